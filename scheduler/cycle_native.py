"""The cycle of a task, and the loop that a real-time thread enters once and leaves when it is told to stop.

    tasks_run:  begin of each task;  sleep until the first due tick -> `cycle` of each task whose tick has come;  end of each

When a tick is due, as its number and the grid's shift say, is settled before the sleep, for the whole cycle (`scheduler.grid`).

A thread has one task, or several of one period on one grid (`scheduler.threads`): their cycles run one after the other, the
most urgent first, each with its own ticks, deadlines and counters. One that is told to stop ends them all.

    cycle   read      exchange            devices that the task exchanges with itself
                      settle              a run of several cycles ends at once where a version was found bad
                      model_version       the block for this tick: `scheduler.versions_native`
                      in_time             or that of a smaller model, where the time left does not suffice
                      read_inputs         channels -> windows -> the block's tensors
                      remember            while a version is on trial: what the rest of the cycle changes, so that it can be undone
            compute   renew, compute      model -> (trial's judgement) -> monitor -> fallback -> step: `scheduler.compute_native`
                      judge, action_on    what the outputs answer for: `scheduler.faults_native`
                      blend               `raw` begins where the published values are, when its source is another one
                      guard               `raw` -> `last`, within limits and rates
                      is_found_bad        by any task, meanwhile: all of "compute" again, by the version before (`take_back`)
            write     write_outputs       `last` -> channels
                      exchange            to devices
            record                        counters, and the next tick: `scheduler.record_native`; the tap: `scheduler.tap_native`
            lead                          a bus clock shifts the grid: `scheduler.time_native`
    follow                                after the cycles of all tasks of the thread: second versions, in the time that is left

Between two sleeps it makes no system call (the clock is read through the vDSO), takes no lock, allocates nothing,
writes no log and knows no Python. Page faults and context switches are therefore not counted here: the kernel counts
them for each thread, and Python reads that from /proc while the task runs. Only begin, end and a reset call getrusage.
"""

import scheduler.deadlines as deadlines
from fieldbus.exchange.block import Phase
from rt_engine.run.team_block import TEAM
from rt_native.counting import add_to
from rt_native.lang import (
    atomic_load,
    atomic_store,
    call2,
    call5,
    export,
    getrusage,
    inline,
    load_i64,
    stack,
    store_i64,
)
from rt_native.memory import offsets
from scheduler.compute_native import compute
from scheduler.fallback_native import begin_instead, blend, in_time
from scheduler.faults_native import action_on, end_hold, judge
from scheduler.inputs_native import read_inputs
from scheduler.memory_native import renew
from scheduler.outputs_native import guard, make_safe, write_outputs
from scheduler.record_native import forget, note_usage, record
from scheduler.second_native import active_block, follow, is_found_bad, remember, take_back
from scheduler.status import Action, State, TaskStatus
from scheduler.tapping_native import tap_begin, tap_switch, tap_take_back
from scheduler.task_block import STATS, TASK, Control
from scheduler.time_native import forget_readings, lead, look_at_grid, measured, now, shift_of, sleep_until
from scheduler.versions_native import model_version, settle

_T, _N = offsets(TASK), offsets(STATS)
_CONTROL, _STATE, _EPOCH, _PERIOD, _TICK = _T.control, _T.state, _T.epoch_ns, _T.period_ns, _T.tick_ns
_CLOCK, _SLEEP, _STATS, _TOLD = _T.clock, _T.clock_sleep, _T.stats, _T.told
_DUE, _CYCLES, _STATUS, _ACTION, _USAGE_END = _N.due_ns, _N.cycles, _N.status, _N.action, _N.usage_end

_STOP = int(Control.STOP)
_RUNNING, _STOPPED_STATE = int(State.RUNNING), int(State.STOPPED)
_LIVE, _SAFE, _STAND_IN = int(Action.LIVE), int(Action.SAFE), int(Action.FALLBACK)
_OK, _STOPPED = int(TaskStatus.OK), int(TaskStatus.STOPPED)
_GOOD, _STALE, _BAD = 0, 1, 2
_EXCHANGES, _EXCHANGE_COUNT, _EXCHANGE_PHASE, _EXCHANGE_AREA, _IO = (
    _T.exchanges, _T.exchange_count, _T.exchange_phase, _T.exchange_area, _T.io_ns
)  # fmt: skip
_TEAM, _PIECES_TAKEN_BACK, _HELPERS_LATE = _T.team, _N.pieces_taken_back, _N.helpers_late
_TAKEN_BACK, _LATE, _TEAM_DUE = offsets(TEAM).taken_back, offsets(TEAM).late, offsets(TEAM).due_ns
_READS, _WRITES = int(Phase.READS), int(Phase.WRITES)
_RUSAGE_THREAD = 1
_LEAVE, _NEVER = -1, (1 << 63) - 1  # instead of a tick: the thread has to end; later than any tick

tick_at_or_after = inline(deadlines.tick_at_or_after)
tick_served = inline(deadlines.tick_served)
is_late = inline(deadlines.is_late)


@export
def tasks_run(table, count):  # type: ignore[no-untyped-def]
    """Run the tasks of one thread, `count` addresses of TASK in `table`; gives how many cycles all have run together.

    Returns when one of them is told to stop, or had its outputs taken. The outputs of all are safe then.
    """
    due = begin_all(table, count)
    while due != _LEAVE:
        wake = due + look_at_grid(table, count)
        rest_helpers(table, count, wake)
        sleep_until(load_i64(table), wake)
        due = cycle_all(table, count)
    return end_all(table, count)


@inline
def rest_helpers(table, count, wake):  # type: ignore[no-untyped-def]
    """The cycles are over: helpers sleep until `wake`, and what was counted of them goes to the task's counters."""
    for number in range(count):
        task = load_i64(table + 8 * number)
        team = load_i64(task + _TEAM)
        if team != 0:
            stats = load_i64(task + _STATS)
            add_to(stats + _PIECES_TAKEN_BACK, load_i64(team + _TAKEN_BACK))
            add_to(stats + _HELPERS_LATE, load_i64(team + _LATE))
            store_i64(team + _TAKEN_BACK, 0)
            store_i64(team + _LATE, 0)
            atomic_store(team + _TEAM_DUE, wake)


@inline
def cycle(task):  # type: ignore[no-untyped-def]
    """One cycle, if its tick has come; gives the tick to wait for, or _LEAVE."""
    told = atomic_load(task + _CONTROL)
    if told == _STOP:
        return _LEAVE
    store_i64(task + _TOLD, told)
    epoch, period, due = load_i64(task + _EPOCH), load_i64(task + _PERIOD), load_i64(load_i64(task + _STATS) + _DUE)
    forget_readings(task)
    woke, shift = now(task), shift_of(task)
    if woke - shift < due:
        return due
    tick = tick_served(due, woke - shift, epoch, period)
    tap_begin(task, tick)
    # read
    exchange(task, _READS, woke + load_i64(task + _IO))
    settle(task)
    begin_instead(task, tick)
    version = model_version(task, tick)
    block = in_time(task, version, tick)
    tap_switch(task, tick)
    given = read_inputs(task, block, tick, now(task))
    # compute; once more, with the version before, where the one that ran is found bad
    renew(task, version)
    remember(task)
    fault, action, done, again = given, _SAFE, woke, True
    while again:
        fault = compute(task, block, tick) if given == _OK else given
        done = now(task)
        fault = judge(task, fault, is_late(due, tick, done - shift, period))
        action = end_hold(task, fault, action_on(task, fault), tick)
        blend(task, action, tick)
        guard(task, action, tick - load_i64(task + _TICK))
        again = is_found_bad(task)
        if again:
            given = take_back(task, tick, given)
            tap_take_back(task, tick, given)
            block = active_block(task)
    # write
    if not write_outputs(task, False, _GOOD if action in (_LIVE, _STAND_IN) else _STALE, done):
        return _LEAVE
    exchange(task, _WRITES, min(done + load_i64(task + _IO), tick + period + shift))
    # record
    following = record(task, due, tick, woke - shift, fault, action)
    lead(task, following)
    return following


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
    look_at_grid(table, count)
    for number in range(count):
        due = min(due, begin(load_i64(table + 8 * number)))
    return due


@inline
def cycle_all(table, count):  # type: ignore[no-untyped-def]
    """A cycle of each task whose tick has come, in their order, then their second versions; gives the next tick of all.

    _LEAVE, at once, where one has to end.
    """
    due = _NEVER
    for number in range(count):
        if due != _LEAVE:
            due = min(due, cycle(load_i64(table + 8 * number)))
    if due != _LEAVE:
        for number in range(count):
            follow(load_i64(table + 8 * number))
    return due


@inline
def end_all(table, count):  # type: ignore[no-untyped-def]
    """End every task; gives the number of cycles."""
    cycles = 0
    for number in range(count):
        cycles += end(load_i64(table + 8 * number))
    return cycles


@inline
def begin(task):  # type: ignore[no-untyped-def]
    """Touch what the cycle will touch, start the counters; gives the first tick."""
    time = measured(task)
    call2(load_i64(task + _SLEEP), load_i64(task + _CLOCK), time)
    epoch, period = load_i64(task + _EPOCH), load_i64(task + _PERIOD)
    due = tick_at_or_after(max(measured(task) - shift_of(task), epoch), epoch, period)
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
    if write_outputs(task, True, _BAD, measured(task)):
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
