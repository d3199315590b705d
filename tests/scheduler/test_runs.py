"""Entries that lie in a row are moved as one run; what each value becomes is as if it were moved alone."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from scheduler import Guard, Input, Output, Task
from scheduler.checks import check_task
from scheduler.errors import TaskError
from scheduler.runs import runs
from scheduler.trace import blamed
from tests.scheduler.fakes import Bench, FakeClock, FakeModel, FakeSlot, channel, spec, step_of

COUNT = 29
"""Three vectors of eight, and a rest."""


def inputs(count: int, **more: Any) -> list[Input]:
    x = channel([f"x{k}" for k in range(count)], "in")
    return [Input(tensor="x", index=k, channel=x, cell=k, **more) for k in range(count)]


def shape(entries: Any) -> list[tuple[int, int]]:
    """(First value, count) of each run."""
    return [(run.number, run.entry.count) for run in runs(entries)]


def test_neighbours_become_one_run() -> None:
    """Consecutive cells, consecutive elements, equal scaling: one run, whatever the entries' own counts."""
    few = inputs(6, scale=2.0)
    assert shape(few) == [(0, 6)]
    x = few[0].channel
    assert shape([Input(tensor="x", channel=x, count=4), Input(tensor="x", channel=x, index=4, cell=4, count=2)]) == [
        (0, 6)
    ]
    y = channel(["a", "b", "c"], "out")
    assert shape([Output(tensor="y", index=k, channel=y, cell=k, low=-k - 1.0, safe=0) for k in range(3)]) == [(0, 3)]


@pytest.mark.parametrize(
    "other",
    [
        {"cell": 3},
        {"index": 3},
        {"tensor": "z"},
        {"tensor": None},
        {"scale": 0.5},
        {"offset": 0.5},
        {"window": 2},
        {"stride": 2},
        {"low": 0.0},
        {"high": 1.0},
        {"channel": channel(["o", "p", "q"], "in")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_is_not_moved_alike_ends_a_run(other: dict[str, Any]) -> None:
    """Another channel, a hole in cells or elements, another tensor, scaling or window: a run of its own."""
    first, second = inputs(4)[:2]
    assert shape([first, dataclasses.replace(second, **other)]) == [(0, 1), (1, 1)]


def test_windows_with_equal_spacing_are_one_run_and_with_none_are_not() -> None:
    """Two windows interleaved by their spacing lie in a row; two behind each other do not."""
    a, b = inputs(2, window=3, spacing=2)
    assert shape([a, b]) == [(0, 2)]
    x = a.channel
    a, b = (Input(tensor="x", index=3 * k, channel=x, cell=k, window=3) for k in range(2))
    assert shape([a, b]) == [(0, 1), (1, 1)]


def mixed(rng: np.random.Generator, kind: str) -> tuple[list[Input], list[Output]]:
    """Entries one by one; each limit is its own. `kind` says whether they lie in a row."""
    x, y = channel([f"x{k}" for k in range(COUNT)], "in"), channel([f"y{k}" for k in range(COUNT)], "out")
    places = list(range(COUNT)) if kind != "shuffled" else [int(p) for p in rng.permutation(COUNT)]
    scales = [1.0 if kind != "scaled" else float(rng.choice([1.0, 0.5])) for _ in range(COUNT)]
    ins = [
        Input(tensor="x", index=places[k], channel=x, cell=k, scale=scales[k], offset=scales[k] - 1)
        for k in range(COUNT)
    ]
    outs = [
        Output(
            tensor="y", index=places[k], channel=y, cell=k, scale=scales[k], low=-1.0 - k / 8, high=1.0 + k / 4,
            safe=k / 64, max_rate=math.inf if kind == "rows" else 200.0 + 10 * k,
        )
        for k in range(COUNT)
    ]  # fmt: skip
    return ins, outs


def guarded(entry: Output, element: float, before: float) -> tuple[float, int, int]:
    """What an output publishes, by the words of its description; (value, clamped, limited)."""
    value = element * entry.scale + entry.offset
    wanted = min(max(value, entry.low), entry.high)  # type: ignore[type-var]
    reach = entry.max_rate * (1_000_000 * 1e-9)
    given = (
        wanted if abs(wanted - before) <= reach or reach == math.inf else before + math.copysign(reach, wanted - before)
    )
    return given, wanted != value, given != wanted


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize("kind", ["rows", "rates", "scaled", "shuffled"])
@pytest.mark.parametrize("window", [1, 3])
def test_each_value_is_moved_as_if_alone(kind: str, dtype: str, window: int) -> None:
    """Random inputs through a model that copies: elements, published values, counters and ranges of single tags are those
    of a calculation value by value, bit for bit."""
    rng = np.random.default_rng(7)
    ins, outs = mixed(rng, kind)
    if window > 1:
        ins = [dataclasses.replace(e, window=window, spacing=COUNT) for e in ins]
    seen: list[np.ndarray[Any, Any]] = []

    def copy(i: Any, o: Any) -> None:
        seen.append(i["x"].copy())
        o["y"][0] = i["x"][-1]

    model = FakeModel([spec("x", window, COUNT, dtype=dtype)], [spec("y", 1, COUNT, dtype=dtype)], copy)
    task = Task(
        name="t", period_s=0.001, inputs=tuple(ins), outputs=tuple(outs), guard=Guard(on_bad_input="run", max_age_s=math.inf)
    )  # fmt: skip
    b = Bench(task, FakeSlot(model), FakeClock(), ins[0].channel, outs[0].channel)
    samples = [rng.standard_normal(COUNT) * 2 for _ in range(9)]
    samples[4][5] = -0.0
    ticks = b.run(9, before=lambda k: b.put(*samples[k]))
    last, clamped, limited = [e.safe for e in outs], 0, 0
    for k, tick in enumerate(ticks):
        for number, (i, o) in enumerate(zip(ins, outs, strict=True)):
            scaled = np.float64(samples[k][number] * i.scale + i.offset)
            element = np.round(scaled).astype(dtype) if dtype == "int16" else scaled.astype(dtype)
            got = seen[k][-1].ravel()[i.index % COUNT]
            assert (got, np.signbit(got)) == (element, np.signbit(element))
            last[number], cut, held = guarded(o, float(element), last[number])  # type: ignore[arg-type]
            clamped, limited = clamped + cut, limited + held
            assert tick.sample.values[o.cell] == last[number], (k, number)
    stats = ticks[-1].stats
    assert (stats.clamped, stats.limited) == (clamped, limited)
    ranges = b.runner.ranges()
    for number in range(COUNT):
        column = [sample[number] for sample in samples]
        one = ranges[f"x{number}"]
        assert (one.seen, one.least, one.greatest) == (9, min(column), max(column))
        assert one.mean == sum(column) / 9


@pytest.mark.parametrize("number", [0, 7, 8, 23, 24, 28])
@pytest.mark.parametrize("kept", [False, True])
def test_a_nan_within_a_run_is_blamed_by_its_name_and_left_out_of_its_range(number: int, kept: bool) -> None:
    """Wherever it lies in a run, in a vector or in the rest, also where a step reads the values: the status names its tag,
    the first of several, and only its range has fewer values."""
    ins, outs = mixed(np.random.default_rng(1), "rows")
    model = FakeModel([spec("x", 1, COUNT)], [spec("y", 1, COUNT)], lambda i, o: None)
    step = step_of(lambda inputs, outputs, state: 0) if kept else None
    task = Task(name="t", period_s=0.001, inputs=tuple(ins), outputs=tuple(outs), step=step)
    b = Bench(task, FakeSlot(model), FakeClock(), ins[0].channel, outs[0].channel)

    def before(k: int) -> None:
        values = np.arange(COUNT) + float(k)
        if k == 1:
            values[number] = math.nan
            values[-1] = math.inf
        b.put(*values)

    ticks = b.run(3, before)
    assert ticks[1].stats.nan_inputs == len({number, COUNT - 1})
    note = next(cycle for cycle in b.runner.notes(0)[1] if cycle.status)
    assert blamed(task, note) == f"x{number}"
    ranges = b.runner.ranges()
    assert {name: one.seen for name, one in ranges.items() if name.startswith("x") and one.seen != 3} == {
        f"x{number}": 2,
        f"x{COUNT - 1}": 2,
    }
    assert (ranges[f"x{number}"].least, ranges[f"x{number}"].greatest) == (number, number + 2)


def test_a_step_reads_the_values_of_a_run() -> None:
    """What a step gets are the scaled values of all inputs, in the order of the entries."""
    ins, outs = mixed(np.random.default_rng(1), "scaled")
    got: list[np.ndarray[Any, Any]] = []

    def step(inputs: Any, outputs: Any, state: int) -> int:
        got.append(inputs.copy())
        return 0

    model = FakeModel([spec("x", 1, COUNT)], [spec("y", 1, COUNT)], lambda i, o: None)
    task = Task(name="t", period_s=0.001, inputs=tuple(ins), outputs=tuple(outs), step=step_of(step))
    b = Bench(task, FakeSlot(model), FakeClock(), ins[0].channel, outs[0].channel)
    values = np.arange(COUNT) / 3
    b.run(1, before=lambda k: b.put(*values))
    np.testing.assert_array_equal(got[0], [v * e.scale + e.offset for v, e in zip(values, ins, strict=True)])


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("scale", [0.5, -2.0])
def test_the_model_gets_nothing_beyond_an_inputs_limits(window: int, scale: float) -> None:
    """What is below low counts as low, above high as high, in the channel's unit; the ranges say what came."""
    x, y = channel([f"x{k}" for k in range(11)], "in"), channel(["y"], "out")
    seen: list[np.ndarray[Any, Any]] = []
    model = FakeModel([spec("x", window, 11)], [spec("y", 1)], lambda i, o: seen.append(i["x"][-1].copy()))
    entry = Input(tensor="x", channel=x, count=11, scale=scale, offset=1.0, low=-2.0, high=3.0, window=window)
    out = Output(tensor="y", channel=y)
    task = Task(name="t", period_s=0.001, inputs=(entry,), outputs=(out,), guard=Guard(max_age_s=math.inf))
    b = Bench(task, FakeSlot(model), FakeClock(), x, y)
    values = [float(k) - 5 for k in range(11)]
    b.run(3, before=lambda k: b.put(*values))
    assert seen[-1].tolist() == [min(max(value, -2.0), 3.0) * scale + 1.0 for value in values]
    assert b.runner.ranges()["x0"].least == -5.0


@pytest.mark.parametrize(("low", "high", "words"), [(3.0, -2.0, "low 3.0 is above high -2.0"), (0.0, None, "scale 0")])
def test_limits_that_leave_nothing_are_refused(low: float, high: float | None, words: str) -> None:
    """Of an input."""
    x = channel(["x"], "in")
    entry = Input(tensor=None, channel=x, low=low, high=high, scale=0.0 if high is None else 1.0)
    task = Task(name="t", period_s=0.001, inputs=(entry,), outputs=())
    with pytest.raises(TaskError, match=words):
        check_task(task, None)
