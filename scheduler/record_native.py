"""The end of a cycle: what it did is counted and recorded, and the tick to wait for is found."""

import scheduler.deadlines as deadlines
from rt_native.counting import add_to
from rt_native.histogram import NBYTES as HISTOGRAM_BYTES
from rt_native.histogram_native import add as count_time
from rt_native.lang import atomic_exchange, atomic_store, fill_bytes, getrusage, inline, load_i64, stack, store_i64
from rt_native.memory import offsets
from scheduler.maxima_native import note_maxima
from scheduler.monitor_native import forget_monitor
from scheduler.slice_block import SLICE
from scheduler.slices_native import slice_of
from scheduler.status import TaskStatus
from scheduler.tapping_native import tap_cycle
from scheduler.task_block import STATS, TASK, USAGE
from scheduler.time_native import now, shift_of
from scheduler.trace_native import forget_trace, note_cycle

_T, _N, _U = offsets(TASK), offsets(STATS), offsets(USAGE)
_MINOR, _MAJOR, _VOLUNTARY, _INVOLUNTARY = _U.minor_faults, _U.major_faults, _U.voluntary, _U.involuntary
_RESET, _EPOCH, _PERIOD, _WATCHDOG, _MAXIMA = _T.reset, _T.epoch_ns, _T.period_ns, _T.watchdog, _T.maxima
_STATS, _WAKEUP, _EXECUTION, _TICK, _TRIPPED, _ON_TIME = (
    _T.stats, _T.wakeup, _T.execution, _T.tick_ns, _T.tripped, _T.on_time
)  # fmt: skip
_SEQUENCE, _FIRST_DUE, _DUE, _CYCLES, _MISSED, _OVERRUNS, _LATE, _TRIPS = (
    _N.sequence, _N.first_due_ns, _N.due_ns, _N.cycles, _N.missed, _N.overruns, _N.overruns_in_a_row, _N.watchdog_trips
)  # fmt: skip
_STATUS, _ACTION, _LAST_FAULT, _USAGE_START = _N.status, _N.action, _N.last_fault, _N.usage_start
_COUNTERS, _COUNTERS_SIZE = _N.overruns_in_a_row, _N.status - _N.overruns_in_a_row
_OK = int(TaskStatus.OK)
_OF_RUNS, _OF_RUNS_SIZE = offsets(SLICE).last_cycles, SLICE.itemsize - offsets(SLICE).last_cycles
_RUSAGE_THREAD, _RU_MINFLT, _RU_MAJFLT, _RU_NVCSW, _RU_NIVCSW = 1, 64, 72, 128, 136  # struct rusage

next_due = inline(deadlines.next_due)
missed_ticks = inline(deadlines.missed_ticks)
watchdog_tripped = inline(deadlines.watchdog_tripped)


@inline
def record(task, due, tick, woke, fault, action):  # type: ignore[no-untyped-def]
    """Count this cycle, and what it missed; gives the tick to wait for. `woke`: as ticks have it."""
    stats, epoch, period = load_i64(task + _STATS), load_i64(task + _EPOCH), load_i64(task + _PERIOD)
    done = now(task) - shift_of(task)
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
        note_maxima(load_i64(task + _MAXIMA), due, woke - due, done - woke, missed)
        note_cycle(task, tick, woke - due, done - woke, missed, fault, action)
    store_i64(stats + _LATE, in_a_row)
    store_i64(stats + _DUE, following)
    store_i64(stats + _STATUS, fault)
    store_i64(stats + _ACTION, action)
    if fault != _OK:
        store_i64(stats + _LAST_FAULT, fault)
    atomic_store(stats + _SEQUENCE, load_i64(stats + _SEQUENCE) + 1)
    tap_cycle(task, due, missed, fault, action)
    return following


@inline
def forget(task, due):  # type: ignore[no-untyped-def]
    """Start all counters anew."""
    stats = load_i64(task + _STATS)
    fill_bytes(stats + _COUNTERS, 0, _COUNTERS_SIZE)
    store_i64(stats + _LAST_FAULT, 0)
    fill_bytes(load_i64(task + _WAKEUP), 0, HISTOGRAM_BYTES)
    fill_bytes(load_i64(task + _EXECUTION), 0, HISTOGRAM_BYTES)
    forget_monitor(task)
    if slice_of(task) != 0:
        fill_bytes(slice_of(task) + _OF_RUNS, 0, _OF_RUNS_SIZE)
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
