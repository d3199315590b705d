"""What is published where the model is not to be trusted, or has no time: tick by tick, on a clock of the test's own."""

import math
from typing import Any

import pytest

from fieldbus.tags import Quality
from scheduler import Action, Fallback, Guard, Monitor, OnLate, TaskStatus
from scheduler.errors import TaskError
from tests.scheduler.fakes import ANY_AGE, PERIOD, Bench, FakeClock, FakeModel, FakeSlot, bench, spec, step_of

PERIOD_S = PERIOD / 1e9
INF = math.inf


def slot(compute: Any, inputs: tuple[str, ...] = ("x",), outputs: tuple[str, ...] = ("y",)) -> Any:
    """A slot whose model computes `compute(inputs, outputs)`."""
    return FakeSlot(FakeModel([spec(n, 1, 1) for n in inputs], [spec(n, 1, 1) for n in outputs], compute))


def score(i: dict[str, Any], o: dict[str, Any]) -> None:
    """|x|"""
    o["score"][0, 0] = abs(i["x"][0, 0])


def simple(i: dict[str, Any], o: dict[str, Any]) -> None:
    """100 + x"""
    o["y"][0, 0] = 100 + i["x"][0, 0]


def watched(limit: float = 5.0, **more: Any) -> Monitor:
    return Monitor(model=slot(score, outputs=("score",)), limit=limit, **more)


def given(b: Bench, *samples: float) -> list[float]:
    """What is published for these samples; the model computes 2 x."""
    b.run(len(samples), lambda k: b.put(samples[k]))
    return b.values()


def statuses(b: Bench) -> list[int]:
    return [tick.stats.status for tick in b.ticks]


# --- the monitor ------------------------------------------------------------------------------------------------------


def test_in_the_tick_in_which_it_speaks_the_fallbacks_outputs_are_published() -> None:
    """And in the tick in which it no longer does, the model's; quality GOOD, the reason and the count are there."""
    b = bench(monitor=watched(), fallback=Fallback(use=slot(simple)))
    assert given(b, 1, 6, 7, 2) == [2, 106, 107, 4]
    assert statuses(b) == [0, TaskStatus.MONITOR, TaskStatus.MONITOR, 0]
    assert [t.stats.action for t in b.ticks] == [Action.LIVE, Action.FALLBACK, Action.FALLBACK, Action.LIVE]
    assert {t.sample.quality for t in b.ticks} == {Quality.GOOD}
    s = b.ticks[-1].stats
    assert (s.fallbacks, s.monitor_over, s.monitor_verdicts, s.held, s.safe) == (2, 2, 1, 0, 0)


def test_hysteresis_and_delay() -> None:
    """Over 5 for two periods: it speaks; at 4 it still does, at 3 no longer."""
    monitor = watched(delay_s=2 * PERIOD_S, hysteresis=2.0)
    b = bench(monitor=monitor, fallback=Fallback(use=slot(simple)))
    assert given(b, 6, 6, 4, 6, 6, 6, 4, 3, 6) == [12, 12, 8, 12, 12, 106, 104, 6, 12]
    assert b.ticks[-1].stats.monitor_verdicts == 1


@pytest.mark.parametrize(
    ("use", "published", "action"),
    [("hold", [2, 2, 4], Action.HOLD), ("safe", [2, -1, 4], Action.SAFE)],
)
def test_hold_and_safe(use: Any, published: list[float], action: Action) -> None:
    b = bench(monitor=watched(), fallback=Fallback(use=use))
    assert given(b, 1, 9, 2) == published
    assert (b.ticks[1].stats.status, b.ticks[1].stats.action) == (TaskStatus.MONITOR, action)
    assert b.ticks[1].sample.quality == Quality.STALE
    assert b.ticks[-1].stats.fallbacks == 1


def test_the_step_alone_stands_in() -> None:
    """It runs once in each cycle; where it stands in, the model's outputs are 0 for it."""
    seen = []

    def add_ten(inputs: Any, outputs: Any, state: int) -> int:
        seen.append(float(outputs[0]))
        outputs[0] += 10
        return 0

    b = bench(monitor=watched(), fallback=Fallback(use="step"), step=step_of(add_ten))
    assert given(b, 1, 9, 2) == [12, 10, 14]
    assert seen == [2, 0, 4]


def test_a_hold_ends_after_hold_at_most() -> None:
    """Two cycles for the monitor, while the guard's own time is longer: nothing holds for ever."""
    fallback = Fallback(use="hold", hold_at_most_s=2 * PERIOD_S)
    b = bench(monitor=watched(), fallback=fallback, guard=Guard(max_age_s=INF, on_bad_input="hold"))
    assert given(b, 1, 9, 9, 9, 9, 2) == [2, 2, 2, -1, -1, 4]
    b.run(6, lambda k: b.put(k + 1, quality=Quality.BAD if k else Quality.GOOD))
    assert b.values() == [2] * 6


def test_without_a_fallback_it_only_counts() -> None:
    b = bench(monitor=watched())
    assert given(b, 1, 9, 2) == [2, 18, 4]
    assert statuses(b) == [0, 0, 0]
    assert (b.ticks[-1].stats.monitor_over, b.ticks[-1].stats.monitor_verdicts) == (1, 1)


@pytest.mark.parametrize("wrong", [math.nan, INF])
def test_a_monitor_that_gives_no_number_speaks(wrong: float) -> None:
    """NaN is not below any limit."""

    def strange(i: dict[str, Any], o: dict[str, Any]) -> None:
        o["score"][0, 0] = wrong if i["x"][0, 0] == 3 else 0

    monitor = Monitor(model=slot(strange, outputs=("score",)), limit=1e30)
    assert given(bench(monitor=monitor, fallback=Fallback(use="safe")), 1, 3, 2) == [2, -1, 4]


def test_a_monitor_that_fails_speaks() -> None:
    """What cannot be told is not trusted."""

    def failing(i: dict[str, Any], o: dict[str, Any]) -> int:
        return 7 if i["x"][0, 0] == 3 else 0

    monitor = Monitor(model=slot(failing, outputs=("score",)), limit=1e30)
    b = bench(monitor=monitor, fallback=Fallback(use="safe"))
    assert given(b, 1, 3, 2) == [2, -1, 4]
    assert b.ticks[-1].stats.failed == 0


def test_it_sees_outputs_as_the_model_gave_them_and_one_of_its_own_is_compared() -> None:
    """By name: input x and output y of the task's model; the second output of the monitor is the value."""

    def both(i: dict[str, Any], o: dict[str, Any]) -> None:
        o["first"][0, 0] = 1e9
        o["second"][0, 0] = i["y"][0, 0] - 2 * i["x"][0, 0] if i["x"][0, 0] != 3 else 1

    monitor = Monitor(model=slot(both, ("y", "x"), ("first", "second")), limit=0.5, output="second")
    b = bench(monitor=monitor, fallback=Fallback(use="safe"), step=step_of(lambda i, o, s: o.__setitem__(0, 50) or 0))
    assert given(b, 1, 3, 2) == [50, -1, 50]


def test_bad_inputs_are_the_guards_and_the_monitor_waits() -> None:
    """It does not look where the model did not compute: what it said stays, and the guard says what is published."""
    b = bench(monitor=watched(), fallback=Fallback(use=slot(simple)), guard=Guard(max_age_s=INF, on_bad_input="hold"))
    b.run(4, lambda k: b.put([1, 9, 9, 2][k], quality=Quality.BAD if k == 2 else Quality.GOOD))
    assert b.values() == [2, 109, 109, 4]
    assert statuses(b) == [0, TaskStatus.MONITOR, TaskStatus.BAD_INPUT, 0]
    assert b.ticks[-1].stats.monitor_over == 1


def test_nan_inputs_do_not_reach_it_unless_they_may_pass() -> None:
    b = bench(monitor=watched(), fallback=Fallback(use="safe"))
    assert given(b, 1, math.nan) == [2, 2]
    assert statuses(b)[1] == TaskStatus.NAN_INPUT
    b = bench(monitor=watched(), fallback=Fallback(use="safe"), guard=Guard(max_age_s=INF, on_nan="pass"))
    assert given(b, 1, math.nan) == [2, -1]
    assert statuses(b)[1] == TaskStatus.MONITOR


def test_a_pause_is_stronger() -> None:
    b = bench(monitor=watched(), fallback=Fallback(use=slot(simple)))

    def before(k: int) -> None:
        b.put(9)
        b.runner.memory.task["control"] = 1 if k == 1 else 0

    b.run(3, before)
    assert b.values() == [109, -1, 109]


def test_its_numbers_are_statistics() -> None:
    """The value, the largest, what it costs; a reset starts the largest and the costs anew."""
    clock = FakeClock()

    def costly(i: dict[str, Any], o: dict[str, Any]) -> None:
        clock.now_ns += 7_000
        score(i, o)

    b = bench(monitor=Monitor(model=slot(costly, outputs=("score",)), limit=5.0), clock=clock)
    samples = [1, 9, 3]
    b.run(3, lambda k: b.put(samples[k]))
    monitor = b.ticks[-1].stats.monitor
    assert monitor is not None
    assert (monitor.value, monitor.largest, monitor.speaks, monitor.cost.count) == (3, 9, False, 3)
    assert (monitor.cost.min_ns, monitor.cost.max_ns) == (7_000, 7_000)
    assert b.ticks[1].stats.monitor.speaks  # type: ignore[union-attr]

    def reset(k: int) -> None:
        b.put(samples[k])
        b.runner.memory.task["reset"] = 1 if k == 1 else 0

    b.run(3, reset)
    monitor = b.ticks[-1].stats.monitor
    assert monitor is not None
    assert (monitor.largest, monitor.cost.count) == (3, 1)


# --- the guard --------------------------------------------------------------------------------------------------------


def wrong_at_3(i: dict[str, Any], o: dict[str, Any]) -> int:
    """2 x; NaN for 3, a status for 4."""
    x = i["x"][0, 0]
    o["y"][0, 0] = math.nan if x == 3 else 2 * x
    return 7 if x == 4 else 0


def test_nan_and_a_status_of_the_model_are_stood_in_for() -> None:
    """In that very tick; why is in the status."""
    b = bench(wrong_at_3, fallback=Fallback(use=slot(simple)))
    assert given(b, 1, 3, 4, 2) == [2, 103, 104, 4]
    assert statuses(b) == [0, TaskStatus.NAN_OUTPUT, 7, 0]
    s = b.ticks[-1].stats
    assert (s.fallbacks, s.nan_outputs, s.failed) == (2, 1, 1)


@pytest.mark.parametrize(("use", "published"), [("hold", [2, 2, 2, 4]), ("safe", [2, -1, -1, 4])])
def test_hold_and_safe_take_the_place_of_the_guards_policies(use: Any, published: list[float]) -> None:
    b = bench(wrong_at_3, fallback=Fallback(use=use))
    assert given(b, 1, 3, 4, 2) == published


def test_a_fallback_that_is_no_use_either_is_left_to_the_guard() -> None:
    """NaN of the fallback: as `on_nan` says; where the monitor speaks, safe."""
    broken = slot(lambda i, o: o["y"].fill(math.nan))
    assert given(bench(wrong_at_3, fallback=Fallback(use=broken)), 1, 3, 2) == [2, 2, 4]
    broken = slot(lambda i, o: 9)
    assert given(bench(monitor=watched(), fallback=Fallback(use=broken)), 1, 9, 2) == [2, -1, 4]


def test_a_step_that_fails_after_the_fallback_is_safe() -> None:
    step = step_of(lambda i, o, s: 1 if i[0] == 9 else 0)
    b = bench(monitor=watched(), fallback=Fallback(use=slot(simple)), step=step)
    assert given(b, 1, 9, 2) == [2, -1, 4]
    assert statuses(b)[1] == TaskStatus.STEP_FAILED


def test_a_late_fallback_is_late() -> None:
    """What stands in is subject to `overrun` as the model is."""
    clock = FakeClock()

    def slow(i: dict[str, Any], o: dict[str, Any]) -> None:
        clock.now_ns += 3 * PERIOD // 2
        simple(i, o)

    b = bench(monitor=watched(), fallback=Fallback(use=slot(slow)), overrun="safe", clock=clock)
    assert given(b, 1, 9, 2) == [2, -1, 4]


# --- bumpless ---------------------------------------------------------------------------------------------------------


def test_rates_hold_there_and_back() -> None:
    """At most 30 per period, from the model to the fallback and back."""
    b = bench(monitor=watched(), fallback=Fallback(use=slot(simple)), output={"max_rate": 30 / PERIOD_S})
    assert given(b, 1, 9, 9, 9, 9, 1, 1, 1, 1) == [2, 32, 62, 92, 109, 79, 49, 19, 2]


def test_without_rates_a_blend_does() -> None:
    """Over four cycles: the way to the fallback and back in equal steps; what a source does meanwhile is seen at once."""
    b = bench(monitor=watched(), fallback=Fallback(use=slot(simple), blend_s=4 * PERIOD_S))
    values = given(b, 0, 0, 0, 0, 8, 8, 8, 8, 8, 0, 0, 0, 0)
    assert values[3] == pytest.approx(0)
    assert values[4:9] == pytest.approx([27, 54, 81, 108, 108])
    assert values[9:] == pytest.approx([81, 54, 27, 0])


def test_a_blend_begins_where_the_values_are_held_or_safe() -> None:
    """Also at the start, from the safe value; a change in the middle of a blend begins where that one was."""
    b = bench(monitor=watched(), fallback=Fallback(use="safe", blend_s=2 * PERIOD_S))
    assert given(b, 2, 2, 9, 2, 2) == pytest.approx([1.5, 4, -1, 1.5, 4])
    b = bench(monitor=watched(), fallback=Fallback(use=slot(simple), blend_s=4 * PERIOD_S))
    values = given(b, 0, 0, 0, 0, 10, 10, 0)
    assert values[4:] == pytest.approx([27.5, 55, 41.25])


def test_limits_hold_in_a_blend() -> None:
    b = bench(
        monitor=watched(), fallback=Fallback(use=slot(simple), blend_s=2 * PERIOD_S), output={"high": 60.0, "low": -1.0}
    )
    assert given(b, 0, 0, 9, 9) == pytest.approx([-0.5, 0, 54.5, 60])


# --- too little time --------------------------------------------------------------------------------------------------


def late_bench(**more: Any) -> Bench:
    """The model needs 400 us of a period of 1 ms, 100 us are reserved; the smaller one computes 100 + x."""
    return bench(on_late=OnLate(model=slot(simple), needs_s=400e-6, reserve_s=100e-6), **more)


def test_the_smaller_model_computes_where_the_time_left_does_not_suffice() -> None:
    """500 us suffice, one nanosecond less does not; it is decided before anything computes, in that tick."""
    ran = []

    def model(i: dict[str, Any], o: dict[str, Any]) -> None:
        ran.append(float(i["x"][0, 0]))
        o["y"][0, 0] = 2 * i["x"][0, 0]

    b = late_bench(compute=model)
    b.slot.model.fields["needs_ns"] = 400_000  # type: ignore[union-attr]
    latencies = [0, 500_000, 500_001, 900_000, 0]

    def before(k: int) -> None:
        b.clock.latency_ns = latencies[k]
        b.put(k)

    b.run(5, before)
    assert b.values() == [0, 2, 102, 103, 8]
    assert ran == [0, 1, 4]
    assert [t.stats.smaller_models for t in b.ticks] == [0, 0, 1, 2, 2]
    assert statuses(b) == [0] * 5
    assert {t.stats.action for t in b.ticks} == {Action.LIVE}


def test_rates_hold_for_a_smaller_model_too() -> None:
    b = late_bench(output={"max_rate": 30 / PERIOD_S})
    b.slot.model.fields["needs_ns"] = 400_000  # type: ignore[union-attr]

    def before(k: int) -> None:
        b.clock.latency_ns = 900_000 if k in (1, 2) else 0
        b.put(0)

    b.run(5, before)
    assert b.values() == [0, 30, 60, 30, 0]


def test_in_a_late_cycle_the_monitor_does_not_look_and_what_it_said_stays() -> None:
    """There is no time for it; where it spoke, the fallback still stands in."""
    b = late_bench(monitor=watched(), fallback=Fallback(use=slot(lambda i, o: o["y"].fill(7))))
    b.slot.model.fields["needs_ns"] = 400_000  # type: ignore[union-attr]
    samples, late = [1, 9, 1, 1, 9, 1], {2, 4}

    def before(k: int) -> None:
        b.clock.latency_ns = 900_000 if k in late else 0
        b.put(samples[k])

    b.run(6, before)
    assert b.values() == [2, 7, 7, 2, 109, 2]
    assert b.ticks[-1].stats.monitor_over == 1


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            {"monitor": Monitor(model=slot(score, ("z",)), limit=1)},
            "wants z: float32.1, 1., and the task's model has no",
        ),
        (
            {"monitor": Monitor(model=FakeSlot(FakeModel([spec("x", 2)], [spec("s", 1)], score)), limit=1)},  # type: ignore[arg-type]
            r"wants x: float32\[2\], but the task's model has x: float32\[1, 1\]",
        ),
        ({"monitor": watched(output="scores")}, "no output 'scores'; it has score"),
        ({"monitor": watched(limit=math.nan)}, "limit is NaN"),
        ({"monitor": watched(delay_s=-1.0)}, "delay_s is -1.0"),
        ({"monitor": watched(hysteresis=INF)}, "hysteresis is inf"),
        ({"fallback": Fallback(use=slot(simple, ("z",)))}, "fallback: its model's inputs are"),
        ({"fallback": Fallback(use="step")}, "the task has no step"),
        ({"fallback": Fallback(use="stop")}, "use is 'stop'; it can be a model, step, hold, safe"),  # type: ignore[arg-type]
        ({"fallback": Fallback(use="hold", hold_at_most_s=-1)}, "hold_at_most_s is -1"),
        ({"on_late": OnLate(model=slot(simple, outputs=("z",)))}, "on_late: its model's outputs are"),
        ({"on_late": OnLate(model=slot(simple), needs_s=-1)}, "needs_s is -1"),
    ],
)
def test_mistakes_are_named(task: dict[str, Any], words: str) -> None:
    """Of numbers when the task is described, of what does not fit before anything is bound."""
    with pytest.raises(TaskError, match=words):
        bench(guard=ANY_AGE, **task)
