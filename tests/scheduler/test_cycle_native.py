"""The cycle, with time and the model in the test's hands."""

import itertools
import math

import numpy as np
import pytest

from fieldbus.tags import Quality
from scheduler import Action, Guard, Input, Output, State, Task, TaskStatus
from scheduler.task_block import Control
from tests.scheduler.fakes import (
    EPOCH,
    MS,
    PERIOD,
    Bench,
    FakeClock,
    FakeModel,
    FakeSlot,
    bench,
    channel,
    spec,
    step_of,
)

INF = math.inf


def slow(clock: FakeClock, work_ns: dict[int, int]):  # type: ignore[no-untyped-def]
    """y = 2 x, taking `work_ns[n]` in run n."""
    runs = iter(range(10**6))

    def compute(i, o):  # type: ignore[no-untyped-def]
        clock.now_ns += work_ns.get(next(runs), 0)
        o["y"][0, 0] = 2 * i["x"][0, -1]

    return compute


def test_every_tick_reads_computes_and_writes() -> None:
    """Each cycle publishes the model's answer to the newest input, with quality GOOD, on its tick; none is missed."""
    b = bench()
    ticks = b.run(5, before=lambda k: b.put(k))
    assert b.values() == [0, 2, 4, 6, 8]
    assert [t.sample.timestamp_ns for t in ticks] == [EPOCH + k * PERIOD for k in range(5)]
    assert all(t.sample.quality == Quality.GOOD for t in ticks)
    s = ticks[-1].stats
    assert (s.cycles, s.missed, s.overruns, s.status, s.action) == (5, 0, 0, 0, Action.LIVE)
    assert (s.first_due_ns, s.due_ns) == (EPOCH, EPOCH + 5 * PERIOD)


def test_end_publishes_safe_values_as_bad() -> None:
    """A task that is told to stop leaves its safe values, with quality BAD, and the status STOPPED."""
    b = bench()
    b.run(3, before=lambda k: b.put(7))
    last = b.y.read()
    assert (last.values[0], last.quality) == (-1.0, Quality.BAD)
    assert b.runner.stats().status == TaskStatus.STOPPED
    assert b.runner.state == State.STOPPED


def test_times_are_recorded() -> None:
    """Wake-up latency is from the tick to waking; execution from waking to the end of the cycle."""
    clock = FakeClock()
    clock.latency_ns = 40_000
    b = bench(slow(clock, {0: 100_000, 1: 300_000}), clock=clock)
    s = b.run(2, before=lambda k: b.put(1))[-1].stats
    assert (s.wakeup.count, s.wakeup.min_ns, s.wakeup.max_ns, s.wakeup.last_ns) == (2, 40_000, 40_000, 40_000)
    assert (s.execution.min_ns, s.execution.max_ns, s.execution.last_ns) == (100_000, 300_000, 300_000)


def test_long_sleep_is_cut_so_that_a_stop_is_seen() -> None:
    """A task with a period of 10 s is told to stop: it ends within 100 ms, not after its period."""
    b = bench(period_ns=10_000 * MS)
    sleeps: list[int] = []
    run_on = b.clock

    def on_sleep(until_ns: int) -> None:
        sleeps.append(until_ns)
        if len(sleeps) == 3:
            b.runner.tell(Control.STOP)

    run_on.on_sleep = on_sleep
    b.runner.memory.clear()
    assert b.runner.run_here() == 1  # the first tick, at once
    assert len(sleeps) == 3
    assert all(later - sooner <= 100 * MS for sooner, later in itertools.pairwise(sleeps))


# --- overruns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "published", "quality"),
    [("skip", 2.0, Quality.GOOD), ("hold", 0.0, Quality.STALE), ("safe", -1.0, Quality.STALE)],
)
def test_late_cycle_by_policy(policy: str, published: float, quality: Quality) -> None:
    """A cycle of 2.5 periods: skip writes its late outputs, hold those before it, safe the safe ones. Two ticks are
    missed, the next cycle is on the grid and on time."""
    clock = FakeClock()
    b = bench(slow(clock, {1: 5 * PERIOD // 2}), clock=clock, overrun=policy)
    ticks = b.run(4, before=lambda k: b.put(k))
    assert b.values() == [0, published, 4, 6]
    assert ticks[1].sample.quality == quality
    s = ticks[-1].stats
    assert (s.cycles, s.missed, s.overruns, s.overruns_in_a_row) == (4, 2, 1, 0)
    assert s.due_ns == EPOCH + 6 * PERIOD
    assert [t.sample.timestamp_ns for t in ticks[2:]] == [EPOCH + 4 * PERIOD, EPOCH + 5 * PERIOD]
    assert ticks[1].stats.last_fault == (0 if policy == "skip" else TaskStatus.OVERRUN)


def test_late_wake_serves_the_newest_tick_only() -> None:
    """A wake-up 3.2 periods late runs one cycle, for the newest tick; three are missed, and there is no burst."""
    b = bench()

    def before(k: int) -> None:
        b.put(k)
        b.clock.latency_ns = 32 * PERIOD // 10 if k == 1 else 0

    ticks = b.run(3, before)
    s = ticks[-1].stats
    assert (s.cycles, s.missed, s.overruns) == (3, 3, 1)
    assert [t.stats.due_ns for t in ticks] == [EPOCH + k * PERIOD for k in (1, 5, 6)]
    assert s.wakeup.max_ns == 32 * PERIOD // 10


def test_watchdog_trips_and_recovers() -> None:
    """Three late cycles in a row make the outputs safe from the next cycle on, until three in a row were on time."""
    clock = FakeClock()
    b = bench(slow(clock, dict.fromkeys(range(1, 5), 5 * PERIOD // 2)), clock=clock, watchdog=3)
    ticks = b.run(10, before=lambda k: b.put(1))
    assert b.values() == [2, 2, 2, 2, -1, -1, -1, -1, 2, 2]
    assert [t.stats.status == TaskStatus.WATCHDOG for t in ticks] == [4 <= k < 8 for k in range(10)]
    assert ticks[-1].stats.watchdog_trips == 1
    assert ticks[4].sample.quality == Quality.STALE


def test_watchdog_off() -> None:
    """Watchdog 0: a task that is always late is never made safe by it."""
    clock = FakeClock()
    b = bench(slow(clock, dict.fromkeys(range(50), 5 * PERIOD // 2)), clock=clock, watchdog=0)
    b.run(30, before=lambda k: b.put(1))
    assert set(b.values()) == {2.0}


# --- inputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "published"), [("safe", -1.0), ("hold", 2.0), ("run", 10.0)])
@pytest.mark.parametrize("way", ["bad", "old"])
def test_bad_input_by_policy(policy: str, published: float, way: str) -> None:
    """An input of bad quality, or too old: safe values, the last outputs, or the model all the same; counted either
    way."""
    b = bench(guard=Guard(on_bad_input=policy, max_age_s=0.01))  # type: ignore[arg-type]

    def before(k: int) -> None:
        late = k == 1
        quality = Quality.BAD if late and way == "bad" else Quality.GOOD
        b.put(5 if late else 1, quality=quality, age_ns=11 * MS if late and way == "old" else 0)

    ticks = b.run(3, before)
    assert b.values() == [2, published, 2]
    assert ticks[-1].stats.bad_inputs == 1
    assert ticks[1].stats.status == (0 if policy == "run" else TaskStatus.BAD_INPUT)


def test_stale_input_runs_until_it_is_too_old() -> None:
    """Quality STALE is a warning: the model runs on the values while they are young enough."""
    b = bench(guard=Guard(max_age_s=0.0025))
    b.put(3, quality=Quality.STALE)
    b.x.write([3.0], Quality.STALE, EPOCH)
    b.run(5)
    assert b.values() == [6, 6, 6, -1, -1]


def test_input_never_written_is_bad() -> None:
    """Before the first write of its input a task keeps its outputs safe."""
    b = bench()
    b.run(2)
    assert b.values() == [-1, -1]


@pytest.mark.parametrize("wrong", [math.nan, INF, -INF])
@pytest.mark.parametrize(("policy", "published"), [("hold", 2.0), ("safe", -1.0), ("pass", None)])
def test_nan_input_by_policy(policy: str, published: float | None, wrong: float) -> None:
    """NaN or infinity from a sensor: hold, safe, or on to the model; counted."""
    b = bench(guard=Guard(on_nan=policy))  # type: ignore[arg-type]
    ticks = b.run(3, before=lambda k: b.put(wrong if k == 1 else 1))
    expected = 2 * wrong if published is None else published
    np.testing.assert_equal(b.values(), [2, expected, 2])
    assert ticks[-1].stats.nan_inputs == 1


def test_scale_and_offset_of_inputs_and_outputs() -> None:
    """element = value * scale + offset on the way in, value = element * scale + offset on the way out."""
    x, y = channel(["a", "b", "c"], "in"), channel(["p", "q"], "out")
    seen = []

    def compute(i, o):  # type: ignore[no-untyped-def]
        seen.append(i["x"].copy())
        o["y"][0] = [1, 2]

    model = FakeModel([spec("x", 2, 2)], [spec("y", 1, 2)], compute)
    inputs = (
        Input(tensor="x", index=1, channel=x, cell=1, count=2, scale=10, offset=1),
        Input(tensor="x", index=0, channel=x),
    )
    outputs = (Output(tensor="y", index=1, channel=y, scale=3, offset=0.5), Output(tensor="y", channel=y, cell=1))
    b = Bench(Task(name="t", period_s=0.001, inputs=inputs, outputs=outputs), FakeSlot(model), FakeClock(), x, y)
    ticks = b.run(1, before=lambda k: b.put(7, 8, 9))
    np.testing.assert_array_equal(seen[0], [[7, 81], [91, 0]])
    np.testing.assert_array_equal(ticks[0].sample.values, [6.5, 1])


@pytest.mark.parametrize(
    ("dtype", "value", "element"),
    [
        ("float32", 0.1, np.float32(0.1)),
        ("float64", 0.1, 0.1),
        ("bool", 0.3, True),
        ("bool", 0.0, False),
        ("int8", 200.0, 127),
        ("int8", -2.5, -2),
        ("uint8", -1.0, 0),
        ("uint8", 3.5, 4),
        ("int16", -40000.0, -32768),
        ("uint16", 65534.4, 65534),
        ("int32", 1e12, 2**31 - 1),
        ("uint32", 4e9, 4_000_000_000),
        ("int64", -1e15, -(10**15)),
        ("uint64", 1e15, 10**15),
        ("int64", math.nan, 0),
    ],
)
def test_element_types_both_ways(dtype: str, value: float, element: object) -> None:
    """Values become the tensor's type by rounding to even and saturating, NaN to 0, and come back as float64."""
    x, y = channel(["x"], "in"), channel(["y"], "out")
    seen = []

    def compute(i, o):  # type: ignore[no-untyped-def]
        seen.append(i["x"][0])
        o["y"][0] = i["x"][0]

    model = FakeModel([spec("x", 1, dtype=dtype)], [spec("y", 1, dtype=dtype)], compute)
    task = Task(
        name="t",
        period_s=0.001,
        inputs=(Input(tensor="x", channel=x),),
        outputs=(Output(tensor="y", channel=y),),
        guard=Guard(on_nan="pass"),
    )
    b = Bench(task, FakeSlot(model), FakeClock(), x, y)
    b.run(1, before=lambda k: b.put(value))
    assert seen == [element]
    assert b.values() == [float(element)]  # type: ignore[arg-type]


# --- windows --------------------------------------------------------------------------------------------------------


def recorder(seen: list[list[float]]):  # type: ignore[no-untyped-def]
    def compute(i, o):  # type: ignore[no-untyped-def]
        seen.append(i["x"].ravel().tolist())
        o["y"][0, 0] = i["x"].ravel()[-1]

    return compute


def test_window_holds_the_last_samples_oldest_first() -> None:
    """Until the window is full its state is WINDOW_FILLING and outputs are safe; then the model sees the last N
    samples."""
    seen: list[list[float]] = []
    b = bench(recorder(seen), window=3)
    ticks = b.run(5, before=lambda k: b.put(k))
    assert seen == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert b.values() == [-1, -1, 2, 3, 4]
    assert ticks[1].stats.status == TaskStatus.WINDOW_FILLING
    assert ticks[-1].stats.filling == 2


def test_window_with_stride_takes_every_nth_sample() -> None:
    """Stride 3: a sample enters at every third tick; the model runs each cycle on the window as it is."""
    seen: list[list[float]] = []
    b = bench(recorder(seen), window=2, stride=3)
    b.run(8, before=lambda k: b.put(k))
    assert seen == [[0, 3], [0, 3], [0, 3], [3, 6], [3, 6]]


def test_window_is_filled_by_its_first_sample_where_bad_inputs_run() -> None:
    """With on_bad_input="run" there is no filling state: the first sample stands for the missing ones."""
    seen: list[list[float]] = []
    b = bench(recorder(seen), window=3, guard=Guard(on_bad_input="run"))
    b.run(3, before=lambda k: b.put(k + 5))
    assert seen == [[5, 5, 5], [5, 5, 6], [5, 6, 7]]


def test_window_starts_anew_after_a_gap() -> None:
    """A window holds consecutive good samples: a bad input empties it."""
    seen: list[list[float]] = []
    b = bench(recorder(seen), window=2)
    b.run(6, before=lambda k: b.put(k, quality=Quality.BAD if k == 2 else Quality.GOOD))
    assert seen == [[0, 1], [3, 4], [4, 5]]


def test_windows_of_several_features_interleave_by_spacing() -> None:
    """Two inputs with spacing 2 fill a [window, feature] tensor: row t holds sample t of both."""
    x, y = channel(["a", "b"], "in"), channel(["y"], "out")
    seen: list[list[float]] = []
    model = FakeModel([spec("x", 2, 2)], [spec("y", 1, 1)], recorder(seen))
    inputs = (
        Input(tensor="x", index=0, channel=x, cell=0, window=2, spacing=2),
        Input(tensor="x", index=1, channel=x, cell=1, window=2, spacing=2),
    )
    b = Bench(
        Task(name="t", period_s=0.001, inputs=inputs, outputs=(Output(tensor="y", channel=y),)),
        FakeSlot(model), FakeClock(), x, y,
    )  # fmt: skip
    b.run(3, before=lambda k: b.put(k, 10 + k))
    assert seen == [[0, 10, 1, 11], [1, 11, 2, 12]]


def test_window_survives_a_model_switch() -> None:
    """The window is the task's, not the model version's: a new version sees the samples of before."""
    seen: list[list[float]] = []
    b = bench(recorder(seen), window=2)
    later: list[list[float]] = []
    new = FakeModel([spec("x", 1, 2)], [spec("y", 1, 1)], recorder(later))
    assert b.slot is not None
    b.slot.offer(new, EPOCH + 3 * PERIOD)
    b.run(5, before=lambda k: b.put(k))
    assert seen == [[0, 1], [1, 2]]
    assert later == [[2, 3], [3, 4]]


# --- model, step, guard ---------------------------------------------------------------------------------------------


def test_new_version_is_taken_at_the_first_tick_of_its_time() -> None:
    """A version with activation between two ticks is run from the second on, on its own tensors."""
    b = bench()
    assert b.slot is not None

    def triple(i, o):  # type: ignore[no-untyped-def]
        o["y"][0, 0] = 3 * i["x"][0, 0]

    b.slot.offer(FakeModel([spec("x", 1, 1)], [spec("y", 1, 1)], triple), EPOCH + 2 * PERIOD - 5)
    b.run(4, before=lambda k: b.put(1))
    assert b.values() == [2, 2, 3, 3]
    assert int(b.slot.fields["taken_ns"][0]) == EPOCH + 2 * PERIOD


def test_failed_model_makes_outputs_safe() -> None:
    """A kernel that ends with a status: that cycle is safe, the status is the task's, and it is counted."""
    runs = iter([0, 1, 0])

    def compute(i, o):  # type: ignore[no-untyped-def]
        o["y"][0, 0] = 5
        return next(runs)

    b = bench(compute)
    ticks = b.run(3, before=lambda k: b.put(1))
    assert b.values() == [5, -1, 5]
    assert (ticks[1].stats.status, ticks[-1].stats.failed) == (1, 1)


def test_step_sees_inputs_and_changes_outputs() -> None:
    """The user's step gets the scaled inputs and the model's scaled outputs, may change them, and keeps its state."""
    import ctypes

    def step(inputs, outputs, state):  # type: ignore[no-untyped-def]
        count = ctypes.c_int64.from_address(state)
        count.value += 1
        outputs[0] += 100 * inputs[0] + 1000 * count.value
        return 0

    b = bench(step=step_of(step))
    b.run(3, before=lambda k: b.put(k))
    assert b.values() == [1000, 2102, 3204]
    b.run(1, before=lambda k: b.put(0))
    assert b.values() == [1000]  # another start, another state


def test_step_that_fails_makes_outputs_safe() -> None:
    """A step that gives a number other than 0: safe values for that cycle."""
    b = bench(step=step_of(lambda inputs, outputs, state: int(inputs[0] == 1)))
    ticks = b.run(3, before=lambda k: b.put(k))
    assert b.values() == [0, -1, 4]
    assert ticks[1].stats.status == TaskStatus.STEP_FAILED


@pytest.mark.parametrize("wrong", [math.nan, INF, -INF])
@pytest.mark.parametrize(("policy", "published"), [("hold", 2.0), ("safe", -1.0), ("pass", None)])
def test_nan_output_by_policy(policy: str, published: float | None, wrong: float) -> None:
    """NaN or infinity from the model: the last outputs, the safe ones, or passed as they are; counted."""

    def compute(i, o):  # type: ignore[no-untyped-def]
        o["y"][0, 0] = wrong if i["x"][0, 0] == 2 else 2 * i["x"][0, 0]

    b = bench(compute, guard=Guard(on_nan=policy, max_age_s=INF))  # type: ignore[arg-type]
    ticks = b.run(3, before=lambda k: b.put([1, 2, 3][k]))
    np.testing.assert_equal(b.values(), [2, wrong if published is None else published, 6])
    assert ticks[-1].stats.nan_outputs == 1
    assert ticks[1].stats.status == (0 if policy == "pass" else TaskStatus.NAN_OUTPUT)


def test_hold_before_any_value_is_safe() -> None:
    """Nothing to hold yet: the safe values."""
    b = bench(lambda i, o: o["y"].fill(math.nan))
    b.run(2, before=lambda k: b.put(1))
    assert b.values() == [-1, -1]


def test_clamp() -> None:
    """Outputs stay within low and high, and what was cut is counted."""
    b = bench(output={"low": -3.0, "high": 4.0})
    ticks = b.run(4, before=lambda k: b.put([1, 5, -9, 2][k]))
    assert b.values() == [2, 4, -3, 4]
    assert ticks[-1].stats.clamped == 2


def test_limits_and_safe_value_default_to_the_tag() -> None:
    """An output without limits of its own takes those of its channel's tag."""
    b = bench(y=channel(["y"], "out", low=-1.0, high=1.0, safe=0.25))
    b.run(2, before=lambda k: b.put(9, quality=Quality.BAD if k == 0 else Quality.GOOD))
    assert b.values() == [0.25, 1.0]


def test_rate_limit_is_per_time() -> None:
    """An output moves at most max_rate times the time since the cycle before, both ways, starting at its safe value."""
    b = bench(output={"max_rate": 1000.0, "safe": 0.0})  # 1 per tick
    ticks = b.run(6, before=lambda k: b.put([2, 2, 2, -1, -1, 0.5][k]))
    np.testing.assert_allclose(b.values(), [1, 2, 3, 2, 1, 1])
    assert ticks[-1].stats.limited == 5


def test_rate_limit_allows_more_after_missed_ticks() -> None:
    """Two ticks missed: three periods have passed, so the output may move three times as far."""
    clock = FakeClock()
    b = bench(slow(clock, {0: 5 * PERIOD // 2}), clock=clock, output={"max_rate": 1000.0, "safe": 0.0})
    b.run(2, before=lambda k: b.put(50))
    np.testing.assert_allclose(b.values(), [1, 4])


def test_safe_is_immediate_and_the_way_back_is_limited() -> None:
    """No rate applies on the way to the safe value; from there on it does."""
    b = bench(output={"max_rate": 1000.0, "safe": 0.0})
    b.run(5, before=lambda k: b.put(10, quality=Quality.BAD if k == 3 else Quality.GOOD))
    np.testing.assert_allclose(b.values(), [1, 2, 3, 0, 1])


def test_the_way_back_from_a_nan_that_passed_is_limited() -> None:
    """A link sends NaN as the safe value: from there on the rate applies, so the actuator does not jump."""
    b = bench(output={"max_rate": 1000.0, "safe": 0.0}, guard=Guard(on_nan="pass"))
    b.run(4, before=lambda k: b.put([10, math.nan, 10, 10][k]))
    np.testing.assert_allclose(b.values(), [1, math.nan, 1, 2])


# --- told from outside ----------------------------------------------------------------------------------------------


def test_pause_ticks_on_with_safe_outputs() -> None:
    """A paused task misses no tick, does not run its model, and its outputs are safe until it is resumed."""
    runs: list[int] = []

    def compute(i, o):  # type: ignore[no-untyped-def]
        runs.append(1)
        o["y"][0, 0] = 2

    b = bench(compute)

    def before(k: int) -> None:
        b.put(1)
        b.runner.tell({1: Control.PAUSE, 3: Control.RUN}.get(k, Control(int(b.runner.memory.task["control"][0]))))

    ticks = b.run(5, before)
    assert b.values() == [2, -1, -1, 2, 2]
    assert len(runs) == 3
    assert ticks[-1].stats.missed == 0
    assert ticks[1].stats.status == TaskStatus.PAUSED


def test_reset_starts_all_counters_anew() -> None:
    """After a reset counters, times and the tick count begin at the next tick; the cycles between are consistent."""
    b = bench(output={"low": 0.0, "high": 1.0, "safe": 0.0})

    def before(k: int) -> None:
        b.put(math.nan if k == 1 else 3)
        if k == 3:
            b.runner.memory.task["reset"] = 1

    ticks = b.run(6, before)
    assert (ticks[2].stats.cycles, ticks[2].stats.clamped, ticks[2].stats.nan_inputs) == (3, 2, 1)
    at_reset, after = ticks[3].stats, ticks[5].stats
    assert (at_reset.cycles, at_reset.clamped, at_reset.nan_inputs, at_reset.last_fault) == (0, 0, 0, 0)
    assert (after.cycles, after.clamped, after.wakeup.count, after.execution.count) == (2, 2, 2, 2)
    assert (after.due_ns - after.first_due_ns) // PERIOD == after.cycles + after.missed


def test_revoked_outputs_are_not_written_again() -> None:
    """A task whose outputs were taken while it hung publishes nothing when it comes back, and ends."""
    b = bench()
    published: list[float] = []

    def hang(i, o):  # type: ignore[no-untyped-def]
        o["y"][0, 0] = 8
        if i["x"][0, 0] == 1:
            assert b.runner.revoke()
            published.append(float(b.y.read().values[0]))

    b = bench(hang)
    counter = 0

    def on_sleep(until_ns: int) -> None:
        nonlocal counter
        b.put(counter)
        counter += 1

    b.clock.on_sleep = on_sleep
    b.runner.memory.clear()
    b.runner.run_here()
    assert published == [-1.0]
    last = b.y.read()
    assert (last.values[0], last.quality, last.counter) == (-1.0, Quality.BAD, 2)
    assert b.runner.stats().status == TaskStatus.HUNG


def test_several_channels_are_each_read_and_published_once() -> None:
    """Inputs of one channel see one write of it; outputs of one channel go out as one write."""
    x, y = channel(["a", "b"], "in"), channel(["p", "q"], "out")

    def compute(i, o):  # type: ignore[no-untyped-def]
        o["y"][0] = i["x"][0]

    model = FakeModel([spec("x", 1, 2)], [spec("y", 1, 2)], compute)
    inputs = tuple(Input(tensor="x", index=k, channel=x, cell=k) for k in range(2))
    outputs = tuple(Output(tensor="y", index=k, channel=y, cell=k) for k in range(2))
    b = Bench(Task(name="t", period_s=0.001, inputs=inputs, outputs=outputs), FakeSlot(model), FakeClock(), x, y)
    ticks = b.run(3, before=lambda k: b.put(k, -k))
    assert [t.sample.counter for t in ticks] == [1, 2, 3]
    assert [t.sample.values.tolist() for t in ticks] == [[0, 0], [1, -1], [2, -2]]
