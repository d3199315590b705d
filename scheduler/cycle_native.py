"""The cycle of a task, and the loop that a real-time thread enters once and leaves when it is told to stop.

    tasks_run:  begin of each task;  sleep until the first due tick -> `cycle` of each task whose tick has come;  end of each

A thread has one task, or several of one period on one grid (`scheduler.threads`): their cycles run one after the other, the
most urgent first, each with its own ticks, deadlines and counters. One that is told to stop ends them all.

Between two sleeps it makes no system call (the clock is read through the vDSO), takes no lock, allocates nothing,
writes no log and knows no Python. Page faults and context switches are therefore not counted here: the kernel counts
them for each thread, and Python reads that from /proc while the task runs. Only begin, end and a reset call getrusage.
"""

import scheduler.deadlines as deadlines
from fieldbus.exchange.block import Phase
from rt_engine.run.blocks import BLOCK
from rt_engine.run.slot_native import pick
from rt_native.counting import add_to
from rt_native.histogram import NBYTES as HISTOGRAM_BYTES
from rt_native.histogram_native import add as count_time
from rt_native.lang import (
    atomic_exchange,
    atomic_load,
    atomic_store,
    call1,
    call2,
    call5,
    export,
    fill_bytes,
    getrusage,
    inline,
    load_i64,
    stack,
    store_i64,
)
from rt_native.memory import offsets
from scheduler.inputs_native import read_inputs
from scheduler.memory_native import keep_sound, renew
from scheduler.outputs_native import guard, make_safe, not_finite, scatter, write_outputs
from scheduler.status import Action, State, TaskStatus
from scheduler.task_block import STATS, STEP_HEADER, TASK, USAGE, Control, OnFault, OnOverrun, OnState
from scheduler.trace_native import forget_trace, note_cycle

_T, _N, _U, _H = offsets(TASK), offsets(STATS), offsets(USAGE), offsets(STEP_HEADER)
_HEADER, _ELAPSED, _RESUMED, _STEP_TICK = STEP_HEADER.itemsize, _H.elapsed_ns, _H.resumed, _H.tick_ns
_MINOR, _MAJOR, _VOLUNTARY, _INVOLUNTARY = _U.minor_faults, _U.major_faults, _U.voluntary, _U.involuntary
_CONTROL, _RESET, _STATE = _T.control, _T.reset, _T.state
_EPOCH, _PERIOD, _ON_OVERRUN, _WATCHDOG, _ON_NAN, _ON_BAD = (
    _T.epoch_ns, _T.period_ns, _T.on_overrun, _T.watchdog, _T.on_nan, _T.on_bad_input
)  # fmt: skip
_ON_STATE, _MAX_HOLD, _HELD_SINCE = _T.on_bad_state, _T.max_hold_ns, _T.held_since_ns
_CLOCK, _NOW, _SLEEP, _EXECUTE, _READER = _T.clock, _T.clock_now, _T.clock_sleep, _T.execute, _T.reader
_STEP, _STEP_STATE, _VALUES, _VALUE_COUNT, _RAW, _RAW_COUNT = (
    _T.step, _T.step_state, _T.values, _T.value_count, _T.raw, _T.raw_count
)  # fmt: skip
_STATS, _WAKEUP, _EXECUTION, _TICK, _TRIPPED, _ON_TIME = (
    _T.stats, _T.wakeup, _T.execution, _T.tick_ns, _T.tripped, _T.on_time
)  # fmt: skip
_SEQUENCE, _FIRST_DUE, _DUE, _CYCLES, _MISSED, _OVERRUNS, _LATE, _TRIPS = (
    _N.sequence, _N.first_due_ns, _N.due_ns, _N.cycles, _N.missed, _N.overruns, _N.overruns_in_a_row, _N.watchdog_trips
)  # fmt: skip
_NAN_OUTPUTS, _FAILED, _STATUS, _ACTION, _LAST_FAULT, _VERSION = (
    _N.nan_outputs, _N.failed, _N.status, _N.action, _N.last_fault, _N.version
)  # fmt: skip
_USAGE_START, _USAGE_END, _BLOCK_VERSION = _N.usage_start, _N.usage_end, offsets(BLOCK).version
_COUNTERS, _COUNTERS_SIZE = _N.overruns_in_a_row, _N.status - _N.overruns_in_a_row

_STOP, _PAUSE = int(Control.STOP), int(Control.PAUSE)
_RUNNING, _STOPPED_STATE = int(State.RUNNING), int(State.STOPPED)
_LIVE, _HOLD, _SAFE = int(Action.LIVE), int(Action.HOLD), int(Action.SAFE)
_SKIP, _PASS, _RESET_STATE = int(OnOverrun.SKIP), int(OnFault.PASS), int(OnState.RESET)
_OK, _PAUSED, _TRIP, _STEP_FAILED, _NAN_OUTPUT, _LATE_CYCLE, _STOPPED = (
    int(TaskStatus[name]) for name in ["OK", "PAUSED", "WATCHDOG", "STEP_FAILED", "NAN_OUTPUT", "OVERRUN", "STOPPED"]
)
_BAD_INPUT, _NAN_INPUT, _FILLING, _BAD_STATE = (
    int(TaskStatus[name]) for name in ["BAD_INPUT", "NAN_INPUT", "WINDOW_FILLING", "BAD_STATE"]
)
_GOOD, _STALE, _BAD = 0, 1, 2
_EXCHANGES, _EXCHANGE_COUNT, _EXCHANGE_PHASE, _EXCHANGE_AREA, _IO = (
    _T.exchanges, _T.exchange_count, _T.exchange_phase, _T.exchange_area, _T.io_ns
)  # fmt: skip
_READS, _WRITES = int(Phase.READS), int(Phase.WRITES)
_RUSAGE_THREAD, _RU_MINFLT, _RU_MAJFLT, _RU_NVCSW, _RU_NIVCSW = 1, 64, 72, 128, 136  # struct rusage
_LEAVE, _NEVER = -1, (1 << 63) - 1  # instead of a tick: the thread has to end; later than any tick
_SLICE = 100_000_000  # a longer sleep is cut, so that a slow task stops soon

tick_at_or_after = inline(deadlines.tick_at_or_after)
tick_served = inline(deadlines.tick_served)
next_due = inline(deadlines.next_due)
missed_ticks = inline(deadlines.missed_ticks)
is_late = inline(deadlines.is_late)
watchdog_tripped = inline(deadlines.watchdog_tripped)


@export
def tasks_run(table, count):  # type: ignore[no-untyped-def]
    """Run the tasks of one thread, `count` addresses of TASK in `table`; gives how many cycles all have run together.

    Returns when one of them is told to stop, or had its outputs taken. The outputs of all are safe then.
    """
    due = begin_all(table, count)
    while due != _LEAVE:
        sleep_until(load_i64(table), due)
        due = cycle_all(table, count)
    return end_all(table, count)


@inline
def cycle(task):  # type: ignore[no-untyped-def]
    """One cycle, if its tick has come; gives the tick to wait for, or _LEAVE."""
    if atomic_load(task + _CONTROL) == _STOP:
        return _LEAVE
    epoch, period, due = load_i64(task + _EPOCH), load_i64(task + _PERIOD), load_i64(load_i64(task + _STATS) + _DUE)
    woke = now(task)
    if woke < due:
        return due
    tick = tick_served(due, woke, epoch, period)
    # read
    exchange(task, _READS, woke + load_i64(task + _IO))
    block = model_version(task, tick)
    fault = read_inputs(task, block, tick, now(task))
    # compute
    renew(task, block)
    if fault == _OK:
        fault = compute(task, block, tick)
    # write
    done = now(task)
    fault = judge(task, fault, is_late(due, tick, done, period))
    action = end_hold(task, action_on(task, fault), tick)
    guard(task, action, tick - load_i64(task + _TICK))
    if not write_outputs(task, False, _GOOD if action == _LIVE else _STALE, done):
        return _LEAVE
    exchange(task, _WRITES, min(done + load_i64(task + _IO), tick + period))
    # record
    return record(task, due, tick, woke, fault, action)


@inline
def exchange(task, phase, limit_ns):  # type: ignore[no-untyped-def]
    """Read from, or write to, the devices that this task exchanges with itself, until `limit_ns` at the latest."""
    count = load_i64(task + _EXCHANGE_COUNT)
    if count != 0:
        phase_of, table = load_i64(task + _EXCHANGE_PHASE), load_i64(task + _EXCHANGES)
        call5(phase_of, table, count, phase, limit_ns, load_i64(task + _EXCHANGE_AREA))


@inline
def begin_all(table, count):  # type: ignore[no-untyped-def]
    """Begin every task; gives the first tick of all."""
    due = _NEVER
    for number in range(count):
        due = min(due, begin(load_i64(table + 8 * number)))
    return due


@inline
def cycle_all(table, count):  # type: ignore[no-untyped-def]
    """A cycle of each task whose tick has come, in their order; gives the next tick of all, or _LEAVE, at once."""
    due = _NEVER
    for number in range(count):
        if due != _LEAVE:
            due = min(due, cycle(load_i64(table + 8 * number)))
    return due


@inline
def end_all(table, count):  # type: ignore[no-untyped-def]
    """End every task; gives the number of cycles."""
    cycles = 0
    for number in range(count):
        cycles += end(load_i64(table + 8 * number))
    return cycles


@inline
def now(task):  # type: ignore[no-untyped-def]
    """The time in nanoseconds."""
    return call1(load_i64(task + _NOW), load_i64(task + _CLOCK))


@inline
def sleep_until(task, due):  # type: ignore[no-untyped-def]
    """Sleep until `due`, or until the task is told to stop."""
    clock, sleep = load_i64(task + _CLOCK), load_i64(task + _SLEEP)
    time = now(task)
    while due - time > _SLICE and atomic_load(task + _CONTROL) != _STOP:
        call2(sleep, clock, time + _SLICE)
        time = now(task)
    if atomic_load(task + _CONTROL) != _STOP:
        call2(sleep, clock, due)


@inline
def model_version(task, tick):  # type: ignore[no-untyped-def]
    """The execution block for this tick; 0 if the task has no model."""
    reader = load_i64(task + _READER)
    if reader == 0:
        return 0
    block = pick(reader, tick)
    store_i64(load_i64(task + _STATS) + _VERSION, load_i64(block + _BLOCK_VERSION))
    return block


@inline
def compute(task, block, tick):  # type: ignore[no-untyped-def]
    """Run the model and the user's step on the inputs; OK when `raw` holds numbers that may go on to the guard."""
    if atomic_load(task + _CONTROL) == _PAUSE:
        return _PAUSED
    stats = load_i64(task + _STATS)
    fault = call1(load_i64(task + _EXECUTE), block) if block != 0 else _OK
    given = 0
    if fault == _OK:
        scatter(task, block)
        given = not_finite(task)
        fault = run_step(task, tick)
    if fault != _OK:
        add_to(stats + _FAILED, 1)
        return fault
    wrong = not_finite(task) if load_i64(task + _STEP) != 0 else given
    add_to(stats + _NAN_OUTPUTS, wrong)
    fault, on_nan = keep_sound(task, block, given, wrong), load_i64(task + _ON_NAN)
    if wrong > 0 and on_nan != _PASS and (fault == _OK or on_nan == _SAFE):
        return _NAN_OUTPUT
    return fault


@inline
def run_step(task, tick):  # type: ignore[no-untyped-def]
    """The user's own function: step(inputs, n_in, outputs, n_out, state); before its state lies what it can ask."""
    step = load_i64(task + _STEP)
    if step == 0:
        return _OK
    state, last_tick = load_i64(task + _STEP_STATE), load_i64(task + _TICK)
    header = state - _HEADER
    ran = load_i64(header + _STEP_TICK)
    is_own = ran == last_tick and load_i64(load_i64(task + _STATS) + _ACTION) == _LIVE
    store_i64(header + _RESUMED, 0 if is_own else 1)
    store_i64(header + _ELAPSED, tick - ran if ran != 0 else load_i64(task + _PERIOD))
    store_i64(header + _STEP_TICK, tick)
    inputs, n_in = load_i64(task + _VALUES), load_i64(task + _VALUE_COUNT)
    outputs, n_out = load_i64(task + _RAW), load_i64(task + _RAW_COUNT)
    return _OK if call5(step, inputs, n_in, outputs, n_out, state) == 0 else _STEP_FAILED


@inline
def judge(task, fault, late):  # type: ignore[no-untyped-def]
    """What this cycle's outputs have to answer for: pause and watchdog come first, a late end last."""
    if atomic_load(task + _CONTROL) == _PAUSE:
        return _PAUSED
    if load_i64(task + _TRIPPED) != 0:
        return _TRIP
    if fault == _OK and late and load_i64(task + _ON_OVERRUN) != _SKIP:
        return _LATE_CYCLE
    return fault


@inline
def action_on(task, fault):  # type: ignore[no-untyped-def]
    """The task's policy for a fault; safe where it has none."""
    if fault == _OK:
        return _LIVE
    if fault in (_BAD_INPUT, _FILLING):
        return load_i64(task + _ON_BAD)
    if fault in (_NAN_INPUT, _NAN_OUTPUT):
        return load_i64(task + _ON_NAN)
    if fault == _LATE_CYCLE:
        return load_i64(task + _ON_OVERRUN)
    if fault == _BAD_STATE:
        policy = load_i64(task + _ON_STATE)
        return _HOLD if policy == _RESET_STATE else policy
    return _SAFE


@inline
def end_hold(task, action, tick):  # type: ignore[no-untyped-def]
    """The action; safe where outputs were held for as long as the task may."""
    since = load_i64(task + _HELD_SINCE)
    if action != _HOLD:
        store_i64(task + _HELD_SINCE, -1)
        return action
    if since < 0:
        store_i64(task + _HELD_SINCE, tick)
        return _HOLD
    return _SAFE if tick - since >= load_i64(task + _MAX_HOLD) else _HOLD


@inline
def record(task, due, tick, woke, fault, action):  # type: ignore[no-untyped-def]
    """Count this cycle, and what it missed; gives the tick to wait for."""
    stats, epoch, period = load_i64(task + _STATS), load_i64(task + _EPOCH), load_i64(task + _PERIOD)
    done = now(task)
    following = next_due(tick, done, epoch, period)
    missed = missed_ticks(due, tick, following, period)
    late = 1 if missed > 0 else 0
    in_a_row = load_i64(stats + _LATE) + 1 if late else 0
    on_time = 0 if late else load_i64(task + _ON_TIME) + 1
    before = load_i64(task + _TRIPPED)
    tripped = watchdog_tripped(before, in_a_row, on_time, load_i64(task + _WATCHDOG))
    store_i64(task + _ON_TIME, on_time)
    store_i64(task + _TRIPPED, tripped)
    store_i64(task + _TICK, tick)

    atomic_exchange(stats + _SEQUENCE, load_i64(stats + _SEQUENCE) + 1)
    if atomic_exchange(task + _RESET, 0) != 0:
        forget(task, following)
    else:
        add_to(stats + _CYCLES, 1)
        add_to(stats + _MISSED, missed)
        add_to(stats + _OVERRUNS, late)
        add_to(stats + _TRIPS, 1 if tripped > before else 0)
        count_time(load_i64(task + _WAKEUP), woke - due)
        count_time(load_i64(task + _EXECUTION), done - woke)
        note_cycle(task, tick, woke - due, done - woke, missed, fault, action)
    store_i64(stats + _LATE, in_a_row)
    store_i64(stats + _DUE, following)
    store_i64(stats + _STATUS, fault)
    store_i64(stats + _ACTION, action)
    if fault != _OK:
        store_i64(stats + _LAST_FAULT, fault)
    atomic_store(stats + _SEQUENCE, load_i64(stats + _SEQUENCE) + 1)
    return following


@inline
def forget(task, due):  # type: ignore[no-untyped-def]
    """Start all counters anew."""
    stats = load_i64(task + _STATS)
    fill_bytes(stats + _COUNTERS, 0, _COUNTERS_SIZE)
    store_i64(stats + _LAST_FAULT, 0)
    fill_bytes(load_i64(task + _WAKEUP), 0, HISTOGRAM_BYTES)
    fill_bytes(load_i64(task + _EXECUTION), 0, HISTOGRAM_BYTES)
    forget_trace(task)
    note_usage(stats + _USAGE_START)
    store_i64(stats + _FIRST_DUE, due)


@inline
def note_usage(usage):  # type: ignore[no-untyped-def]
    """Page faults and context switches of this thread until now."""
    rusage = stack(144)
    getrusage(_RUSAGE_THREAD, rusage)
    store_i64(usage + _MINOR, load_i64(rusage + _RU_MINFLT))
    store_i64(usage + _MAJOR, load_i64(rusage + _RU_MAJFLT))
    store_i64(usage + _VOLUNTARY, load_i64(rusage + _RU_NVCSW))
    store_i64(usage + _INVOLUNTARY, load_i64(rusage + _RU_NIVCSW))


@inline
def begin(task):  # type: ignore[no-untyped-def]
    """Touch what the cycle will touch, start the counters; gives the first tick."""
    time = now(task)
    call2(load_i64(task + _SLEEP), load_i64(task + _CLOCK), time)
    epoch, period = load_i64(task + _EPOCH), load_i64(task + _PERIOD)
    due = tick_at_or_after(max(now(task), epoch), epoch, period)
    store_i64(task + _TICK, due - period)
    store_i64(load_i64(task + _STATS) + _DUE, due)
    make_safe(task)
    forget(task, due)
    atomic_store(task + _STATE, _RUNNING)
    return due


@inline
def end(task):  # type: ignore[no-untyped-def]
    """Make the outputs safe, if they are still this task's, and say that it has stopped."""
    stats = load_i64(task + _STATS)
    if write_outputs(task, True, _BAD, now(task)):
        store_i64(stats + _STATUS, _STOPPED)
        store_i64(stats + _ACTION, _SAFE)
    note_usage(stats + _USAGE_END)
    atomic_store(task + _STATE, _STOPPED_STATE)
    return load_i64(stats + _CYCLES)


@export
def task_prefault_stack():  # type: ignore[no-untyped-def]
    """Touch 256 KiB of this thread's stack, so that no cycle faults on it."""
    area = stack(262144)
    for page in range(64):
        atomic_store(area + 4096 * page, 0)
    return getrusage(_RUSAGE_THREAD, area)
