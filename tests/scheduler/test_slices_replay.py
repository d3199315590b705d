"""What a model in slices did is repeated to the bit, wherever the machine's clock had cut its runs."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fieldbus.tags import Quality
from rt_engine import Model, ModelSlot
from rt_engine.reader import ChangeWords
from rt_engine.recording.layout import Flag
from scheduler import Guard, Input, Output, Task
from scheduler.replay import replay_task
from scheduler.task_block import Control
from tests.scheduler import models
from tests.scheduler.fakes import ANY_AGE, MS, FakeClock, channel
from tests.scheduler.recorded import Live, Recorded, run

US = 1_000


class TickingClock(FakeClock):
    """Each look at the clock costs time, now more, now less: so do the pieces of a run, behind each of which there is one."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random, self._now = random.Random(seed), 0
        self.costs = (10 * US, 150 * US)

    @property
    def now_ns(self) -> int:  # type: ignore[override]
        self._now += self._random.randint(*self.costs) if hasattr(self, "costs") else 0
        return self._now

    @now_ns.setter
    def now_ns(self, value: int) -> None:
        self._now = value


@pytest.fixture(autouse=True)
def _each_record_is_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rt_engine.run.slicing.GROUP_NS", 1)


def lstm_task(model: Model, between: Any = "linear", **more: Any) -> Task:
    x, y = channel(["x"], "in"), channel(["y"], "out", safe=-1.0)
    settings: dict[str, Any] = {"guard": ANY_AGE, "slice_s": 200e-6} | more
    inputs, outputs = (Input(tensor="x", channel=x, window=3),), (Output(tensor="y", channel=y, between=between),)
    return Task(name="t", model=ModelSlot(model), period_s=1e-3, inputs=inputs, outputs=outputs, **settings)


def rough(seed: int) -> Any:
    """Inputs that vary; some are bad, some NaN; now and then a pause, or a reset."""
    luck = random.Random(seed)

    def before(k: int, live: Live) -> None:
        quality = Quality.BAD if luck.random() < 0.01 else Quality.GOOD
        live.put(float("nan") if luck.random() < 0.005 else luck.uniform(-1, 1), quality=quality)
        live.runner.tell(Control.PAUSE if k % 97 in (50, 51) else Control.RUN)
        if k % 61 == 60:
            live.runner.memory.task["reset_state"] = 1

    return before


def replayed(task: Task, versions: dict[int, Model], found: Recorded) -> Any:
    return replay_task(task, versions, found.layout, [found.piece])


@pytest.mark.parametrize("every", [1, 7])
def test_a_network_with_memory_is_repeated(every: int) -> None:
    """LSTM, windows, lines, a step, bad inputs, pauses, resets: all cycles but those before the first checkpoint are the same."""
    model = models.lstm(3, 1, 4, 1)
    task = lstm_task(model, every=every, guard=Guard(max_age_s=1e9, on_bad_input="hold"))
    found = run(task, 400, rough(3), clock=TickingClock(1))
    ended = (found.records["flags"] & Flag.RUN_ENDED) != 0
    assert 20 < ended.sum() < 300  # runs were spread
    spread = np.diff(np.flatnonzero(ended))
    assert len(set(spread.tolist())) > 1  # and not all alike
    done = replayed(lstm_task(model, every=every, guard=Guard(max_age_s=1e9, on_bad_input="hold")), {1: model}, found)
    assert done.first is None and done.cycles == done.equal > 350


def test_a_replay_that_ignored_the_recorded_ends_would_differ() -> None:
    """With the flags of the ends taken away, what is published is another: the test above can fail."""
    model = models.lstm(3, 1, 4, 1)
    found = run(lstm_task(model), 100, rough(3), clock=TickingClock(1))
    found.records["flags"] &= ~np.int64(Flag.RUN_ENDED)
    assert replayed(lstm_task(model), {1: model}, found).first is not None


def test_results_are_those_of_whole_runs() -> None:
    """The states that a run begins with are those that the run before left; the inputs are those of the cycle in which it began."""
    model = models.lstm(3, 1, 4, 1)
    found = run(lstm_task(model, between="hold"), 120, lambda k, live: live.put(np.sin(k)), clock=TickingClock(4))
    context, values = model.context(), []
    ends = np.flatnonzero((found.records["flags"] & Flag.RUN_ENDED) != 0)
    given = found.layout.values(found.records, 0)[:, 0]
    for begin in (2, *(ends[:-1] + 1)):  # the window is full in the third cycle
        context.inputs["x"][...] = given[begin - 2 : begin + 1].astype(np.float32).reshape(3, 1, 1)
        context.run()
        values.append(float(context.outputs["y"][0, 0]))
    assert len(values) > 10
    assert found.layout.raw(found.records)[ends].ravel().tolist() == values


def versions() -> Iterator[Model]:
    yield models.summing(1.0)
    yield models.summing(10.0)


def test_an_update_in_the_middle_of_a_run_is_repeated() -> None:
    """It is taken between two runs; the state goes over; the recording says which version ran."""
    first, second = versions()
    slot = ModelSlot(first)

    def summing_task(model: Any) -> Task:
        x, y = channel(["x"], "in"), channel(["y"], "out", safe=-1.0)
        entries = {"inputs": (Input(tensor="x", channel=x),), "outputs": (Output(tensor="y", channel=y),)}
        return Task(name="t", model=model, period_s=1e-3, slice_s=200e-6, guard=ANY_AGE, **entries)  # type: ignore[arg-type]

    def before(k: int, live: Live) -> None:
        live.put(1.0)
        if k == 41:
            reader = live.runner._reader
            assert reader is not None
            words = ChangeWords()
            words.set_activation(0)
            reader.offer(reader.plain(words, reader.fresh(second, 2)))

    found = run(summing_task(slot), 120, before, slot=slot, clock=TickingClock(2))
    version = found.records["version"]
    ended = np.flatnonzero((found.records["flags"] & Flag.RUN_ENDED) != 0)
    changed = int(np.flatnonzero(np.diff(version))[0])
    assert set(version) == {1, 2} and changed in ended and changed >= 40  # the last cycle of the old one ends a run
    fresh, again = versions()
    done = replayed(summing_task(ModelSlot(fresh)), {1: fresh, 2: again}, found)
    assert done.first is None and done.equal == done.cycles > 100


def test_checkpoints_lie_between_two_runs() -> None:
    """Each is one from which a replay goes on."""
    model = models.lstm(3, 1, 4, 1)
    found = run(lstm_task(model), 200, lambda k, live: live.put(np.cos(k)), clock=TickingClock(9), checkpoint_ns=5 * MS)
    is_end = (found.records["flags"] & Flag.RUN_ENDED) != 0
    at = np.searchsorted(found.records["tick_ns"], found.checkpoints["tick_ns"])
    assert len(at) > 10 and all(is_end[k - 1] for k in at if k > 3)  # before the first run they may lie anywhere
    half = found.records[100:]
    done = replay_task(lstm_task(model), {1: model}, found.layout, [type(found.piece)(half, found.checkpoints)])
    assert done.first is None and done.equal == done.cycles > 70


def together_task(model: Any) -> Task:
    """A task of 10 s, as so long is waited for a helper, whose threads are no real-time ones here."""
    x, y = channel(["x"], "in"), channel(["y"], "out", safe=-1.0)
    inputs, outputs = (Input(tensor="x", channel=x),), (Output(tensor="y", channel=y),)
    return Task(
        name="t", model=model, period_s=10.0, slice_s=2.0, threads=2, inputs=inputs, outputs=outputs, guard=ANY_AGE
    )


def test_what_several_cores_did_in_slices_is_repeated_by_one() -> None:
    """Through an update in the middle of a run; helpers worked, and no tick was missed for them."""
    first, second, clock = models.wide(), models.wide(0.5), TickingClock(7)
    clock.costs = (50 * MS, 900 * MS)
    slot, seen = ModelSlot(first), dict[str, Any]()

    def before(k: int, live: Live) -> None:
        live.put(np.sin(k))
        reader, stats = live.runner._reader, live.runner.stats()
        assert reader is not None and live.runner._helpers is not None
        if stats.cycles > 40 and "offered" not in seen:
            words = ChangeWords()
            words.set_activation(0)
            seen["offered"] = reader.offer(reader.plain(words, reader.fresh(second, 2)))
        if stats.cycles > 120:
            live.runner.tell(Control.STOP)
        seen["stats"], seen["team"], seen["shared"] = stats, live.runner._helpers.team.stats(), reader.context.shared

    found = run(together_task(slot), 10_000, before, slot=slot, clock=clock, room=500)  # it sleeps in naps
    assert seen["shared"] > 0.5 and seen["team"].fan_outs > 40
    assert (seen["stats"].missed, seen["stats"].overruns, seen["stats"].helpers_late) == (0, 0, 0)
    ended = np.flatnonzero((found.records["flags"] & Flag.RUN_ENDED) != 0)
    assert 20 < len(ended) < len(found.records) - 20 and set(found.records["version"]) == {1, 2}
    given = found.layout.values(found.records, 0)[:, 0].astype(np.float32)
    for begin, end in zip((0, *(ended[:-1] + 1)), ended, strict=True):
        of = first if found.records["version"][end] == 1 else second
        (y,) = of.run({"x": given[begin].reshape(1, 1)})
        assert float(found.layout.raw(found.records)[end].item()) == float(y[0, 0])
    one, other = models.wide(), models.wide(0.5)
    done = replayed(together_task(ModelSlot(one)), {1: one, 2: other}, found)
    assert done.first is None and done.equal == done.cycles > 80
