"""The ready steps, in the real cycle on a clock of the test's own, against plain Python."""

import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fieldbus.tags import Quality
from scheduler import Guard, Input, Output, Step, Task
from scheduler.checks import check_task
from scheduler.controller_blocks import Wanted
from scheduler.controllers import linear, pid, ramp, two_point
from scheduler.errors import StepError, TaskError
from tests.scheduler.fakes import PERIOD, Bench, FakeClock, FakeModel, FakeSlot, bench, channel, spec

H = PERIOD / 1e9


def task_of(step: Step, inputs: int = 1, outputs: int = 1, safe: float = 0.0, **more: object) -> Bench:
    """A task without a model."""
    x = channel([f"x{i}" for i in range(inputs)], "in")
    y = channel([f"y{i}" for i in range(outputs)], "out", safe=safe)
    options: dict[str, object] = {"guard": Guard(max_age_s=math.inf), "output": {}} | more
    task = Task(
        name="t",
        period_s=H,
        inputs=(Input(tensor=None, channel=x, count=inputs),),
        outputs=(Output(tensor=None, channel=y, count=outputs, **options.pop("output")),),  # type: ignore[arg-type]
        step=step,
        **options,  # type: ignore[arg-type]
    )
    check_task(task, None)
    return Bench(task, None, FakeClock(), x, y)


def outputs_for(b: Bench, signals: Sequence[float | Sequence[float]]) -> list[list[float]]:
    """All outputs of each cycle, for these inputs."""
    rows = [np.atleast_1d(row) for row in signals]
    return [list(map(float, tick.sample.values)) for tick in b.run(len(rows), lambda k: b.put(*rows[k]))]


def first(rows: list[list[float]]) -> list[float]:
    return [row[0] for row in rows]


# --- linear ---------------------------------------------------------------------------------------------------------------


def test_linear_is_a_matrix_and_an_offset() -> None:
    """NumPy's product, whatever the numbers."""
    rng = np.random.default_rng(1)
    matrix, offset, x = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(5, 4))
    found = outputs_for(task_of(linear(matrix, offset.tolist()), 4, 3), x.tolist())
    np.testing.assert_allclose(found, x @ matrix.T + offset, rtol=1e-12)


# --- two-point ------------------------------------------------------------------------------------------------------------

UP_AND_DOWN = [0.0, 1.5, 2.0, 1.5, 1.0, 1.5, 3.0, 0.5]


def test_two_point_switches_on_above() -> None:
    """On from `switch_on` upwards, off from `switch_off` downwards, as before in between."""
    assert first(outputs_for(task_of(two_point(switch_on=2, switch_off=1)), UP_AND_DOWN)) == [0, 0, 1, 1, 0, 0, 1, 0]


def test_two_point_switches_on_below() -> None:
    """A heater: the other way round, with values of its own."""
    b = task_of(two_point(switch_on=1, switch_off=2, on_value=100, off_value=5))
    assert first(outputs_for(b, UP_AND_DOWN)) == [100, 100, 5, 5, 100, 100, 5, 100]


def test_two_point_begins_as_the_output_is() -> None:
    """Between the limits the first cycle keeps what the safe value says."""
    assert first(outputs_for(task_of(two_point(switch_on=2, switch_off=1), safe=1.0), [1.5, 1.5])) == [1, 1]


def test_two_point_goes_on_from_what_was_published() -> None:
    """After an input that was bad, so that the output was safe: off, between the limits."""
    b = task_of(two_point(switch_on=2, switch_off=1))
    qualities = [Quality.GOOD, Quality.BAD, Quality.GOOD]
    b.run(3, lambda k: b.put([3.0, 1.5, 1.5][k], quality=qualities[k]))
    assert b.values() == [1, 0, 0]


# --- ramp -----------------------------------------------------------------------------------------------------------------


def test_ramp_goes_up_and_down_at_its_own_rates() -> None:
    """From the safe value, 1 per cycle up and 2 down."""
    b = task_of(ramp(up=1 / H, down=2 / H), safe=-1.0)
    assert first(outputs_for(b, [2, 2, 2, 2, -1, -1, 5])) == pytest.approx([0, 1, 2, 2, 0, -1, 0])


def test_ramp_begins_anew_at_the_safe_value() -> None:
    """A motor that was stopped by a lost link is not thrown back to its old speed."""
    b = task_of(ramp(up=1 / H))
    qualities = [Quality.GOOD] * 3 + [Quality.BAD] + [Quality.GOOD] * 2
    b.run(6, lambda k: b.put(9.0, quality=qualities[k]))
    assert b.values() == pytest.approx([1, 2, 3, 0, 1, 2])


def test_steps_work_on_what_the_model_gave() -> None:
    """`of_model`: the model's outputs are the signals (it doubles)."""
    b = bench(step=ramp(up=1 / H, of_model=True))
    b.run(4, lambda k: b.put(1.0))
    assert b.values() == pytest.approx([0, 1, 2, 2])
    b = bench(step=two_point(switch_on=4, switch_off=1, of_model=True))
    b.run(3, lambda k: b.put([1.0, 2.0, 0.5][k]))
    assert b.values() == [0, 1, 0]


# --- PID ------------------------------------------------------------------------------------------------------------------


def naive_pid(
    measured: Sequence[float],
    wanted: Sequence[float],
    *,
    gain: float,
    integral_s: float = 0.0,
    derivative_s: float = 0.0,
    filter_s: float = 0.0,
    bias: float = 0.0,
    low: float = -math.inf,
    high: float = math.inf,
    safe: float = 0.0,
) -> list[float]:
    """The equations of `scheduler.controllers.pid`, as one reads them; nothing is held and no cycle is missed."""
    integral, slope, outputs = 0.0, 0.0, []
    for k, (y, w) in enumerate(zip(measured, wanted, strict=True)):
        e, growth = w - y, 0.0
        if k == 0 and integral_s:
            integral = min(max(safe, low), high) - bias - gain * e
        elif k > 0:
            growth = gain * e * H / integral_s if integral_s else 0.0
            target = -gain * derivative_s * (y - measured[k - 1]) / H
            slope += H / (filter_s + H) * (target - slope)
        total = bias + gain * e + integral + growth + slope
        if total > high and growth > 0:
            growth = max(0.0, growth - (total - high))
        if total < low and growth < 0:
            growth = min(0.0, growth + (low - total))
        integral += growth
        outputs.append(min(max(total, low), high))
    return outputs


PIDS = [
    {"gain": 2.0},
    {"gain": -2.0, "bias": 5.0},
    {"gain": 1.5, "integral_s": 0.02},
    {"gain": 1.5, "derivative_s": 0.01, "filter_s": 0.003},
    {"gain": 1.5, "integral_s": 0.02, "derivative_s": 0.01, "filter_s": 0.003, "low": -4.0, "high": 3.0, "bias": 1.0},
]


@pytest.mark.parametrize("numbers", PIDS, ids=str)
def test_pid_is_its_equations(numbers: dict[str, float]) -> None:
    """200 cycles of a random walk, with a setpoint that jumps, against plain Python."""
    rng, y = random.Random(4), 0.0
    measured, wanted = [], []
    for k in range(200):
        y += rng.uniform(-0.3, 0.3)
        measured.append(y)
        wanted.append([0.0, 2.0, -3.0][k // 70])
    b = task_of(pid(**numbers, wanted=1, inputs=2), 2, safe=0.5)  # type: ignore[arg-type]
    found = first(outputs_for(b, list(zip(measured, wanted, strict=True))))
    np.testing.assert_allclose(found, naive_pid(measured, wanted, **numbers, safe=0.5), rtol=1e-9, atol=1e-12)


def closed_loop(
    b: Bench, cycles: int, plant: Callable[[float, float], float], y: float = 0.0
) -> tuple[list[float], list[float]]:
    """(measured, outputs) of `cycles` cycles; the plant gives its new value for the old one and the output."""
    measured = []

    def before(k: int) -> None:
        nonlocal y
        y = plant(y, float(b.y.read().values[0])) if k else y
        measured.append(y)
        b.put(y)

    b.run(cycles, before)
    return measured, b.values()


def lag(y: float, u: float) -> float:
    """A first-order plant of 20 ms and gain 1."""
    return y + H / 0.02 * (u - y)


def test_pid_brings_a_plant_to_its_setpoint() -> None:
    """Without an error that stays, and without one limit passed."""
    b = task_of(pid(gain=2, integral_s=0.02, setpoint=3.0, low=0.0, high=5.0))
    measured, outputs = closed_loop(b, 600, lag)
    assert measured[-1] == pytest.approx(3.0, abs=1e-6)
    assert 0.0 <= min(outputs) <= max(outputs) <= 5.0


def test_pid_does_not_wind_up() -> None:
    """A setpoint that the limit cannot reach for long, then one that it can: the output leaves the limit at once."""
    wanted = [10.0] * 300 + [0.5] * 5
    b = task_of(pid(gain=0.5, integral_s=0.01, wanted=1, inputs=2, low=0.0, high=1.0), 2)
    found = first(outputs_for(b, [(1.0, w) for w in wanted]))
    assert found[299] == 1.0
    assert found[300] < 1.0


def test_pid_does_not_wind_up_behind_the_guards_rate() -> None:
    """The guard lets the output move 0.01 per cycle: where it arrives, no integral waits that drives it on."""
    b = task_of(pid(gain=1.0, integral_s=0.05, setpoint=1.0), output={"max_rate": 0.01 / H})
    measured, _ = closed_loop(b, 1500, lag)
    assert max(measured) < 1.2
    assert measured[-1] == pytest.approx(1.0, abs=1e-3)


def test_pid_starts_and_comes_back_without_a_jump() -> None:
    """Its first output is the safe value; after a bad input it goes on from the safe value that was published."""
    b = task_of(pid(gain=2, integral_s=0.02, setpoint=3.0), safe=0.25)
    qualities = [Quality.GOOD] * 20 + [Quality.BAD] * 3 + [Quality.GOOD] * 2
    b.run(25, lambda k: b.put(1.0, quality=qualities[k]))
    values = b.values()
    assert values[0] == pytest.approx(0.25)
    assert values[19] > 3.0
    assert values[20:23] == [0.25] * 3
    assert values[23] == pytest.approx(0.25)


def test_pid_keeps_no_nan() -> None:
    """A NaN that the guard lets pass is given on, and is gone with the next number."""
    guard = Guard(on_nan="pass", max_age_s=math.inf)
    b = task_of(pid(gain=2, integral_s=0.02, derivative_s=0.01, setpoint=3.0), guard=guard)
    values = first(outputs_for(b, [1.0, math.nan, 1.0, 1.0]))
    assert math.isnan(values[1])
    assert all(map(math.isfinite, values[2:]))


@pytest.mark.parametrize("limits", [{}, {"low": -5.0, "high": 5.0}])
def test_pid_keeps_no_infinity(limits: dict[str, float]) -> None:
    """A measured value so large that its sums overflow is over with the next one, whatever the guard lets pass."""
    guard = Guard(on_nan="pass", max_age_s=math.inf)
    step = pid(gain=2.0, integral_s=0.02, derivative_s=0.01, setpoint=3.0, **limits)  # type: ignore[arg-type]
    found = first(outputs_for(task_of(step, guard=guard), [1.0, 1e308, *[1.0] * 400]))
    assert all(map(math.isfinite, found[2:]))
    assert found[-1] > found[2]  # it integrates again: the plant is below its setpoint


def test_pid_measures_time_also_over_missed_ticks() -> None:
    """A cycle that woke two ticks late integrates three periods at once: a number of cycles is not a time."""
    late = task_of(pid(gain=1.0, integral_s=0.1, setpoint=1.0))

    def before(k: int) -> None:
        late.clock.latency_ns = 2 * PERIOD if k == 3 else 0
        late.put(0.0)

    late.run(5, before)
    even = first(outputs_for(task_of(pid(gain=1.0, integral_s=0.1, setpoint=1.0)), [0.0] * 7))
    assert late.values()[:3] == pytest.approx(even[:3])
    assert late.values()[3] == pytest.approx(even[5])


def test_pid_follows_what_the_model_wants() -> None:
    """The model doubles its input; the PID's setpoint is what it gives."""
    x, y = channel(["x", "level"], "in"), channel(["y"], "out")
    model = FakeModel([spec("x", 1, 1)], [spec("y", 1, 1)], lambda i, o: o["y"].__setitem__((0, 0), 2 * i["x"][0, 0]))
    task = Task(
        name="t",
        period_s=H,
        model=model,  # type: ignore[arg-type]
        inputs=(Input(tensor="x", channel=x), Input(tensor=None, channel=x, cell=1)),
        outputs=(Output(tensor="y", channel=y),),
        guard=Guard(max_age_s=math.inf),
        step=pid(gain=3.0, wanted=Wanted.MODEL, measured=1, inputs=2),
    )
    b = Bench(task, FakeSlot(model), FakeClock(), x, y)
    b.run(1, lambda k: b.put(5.0, 4.0))
    assert b.values() == [3.0 * (2 * 5.0 - 4.0)]


# --- mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear([[1.0], [1.0, 2.0]]), "rows of the matrix must be numbers, as many in each"),
        (lambda: linear([1.0, 2.0]), "a list of rows"),  # type: ignore[list-item]
        (lambda: linear([[1.0]], [1.0, 2.0]), "offset has 2 numbers; the matrix has 1 rows"),
        (lambda: linear([[math.nan]]), "matrix must be a finite number"),
        (lambda: two_point(switch_on=1, switch_off=1), "must be different"),
        (lambda: two_point(switch_on=1, switch_off=math.inf), "switch_off must be a finite number"),
        (lambda: ramp(up=0), "above 0; got 0 and 0"),
        (lambda: pid(gain=math.nan), "gain must be a finite number"),
        (lambda: pid(gain=1, integral_s=-1), "integral_s is below 0"),
        (lambda: pid(gain=1, measured=3, inputs=2), "measured 3 and wanted -1"),
        (lambda: pid(gain=1, measured=1, wanted=1, inputs=2), "two different ones of 2 inputs"),
        (lambda: pid(gain=1, low=1, high=0), "low 1 is not below high 0"),
    ],
)
def test_a_wrong_parameter_is_named(make: Callable[[], Step], message: str) -> None:
    with pytest.raises(StepError, match=message):
        make()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (linear([[1.0, 1.0]]), "its inputs have 1 values; the step linear is made for 2"),
        (
            two_point(switch_on=1, switch_off=0, count=2, of_model=True),
            "its outputs have 1 values; the step two-point is",
        ),
    ],
)
def test_a_task_of_another_size_is_refused(step: Step, message: str) -> None:
    """Native code does not ask again."""
    with pytest.raises(TaskError, match=message):
        task_of(step)
