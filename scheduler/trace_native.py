"""What a cycle leaves behind for who asks later: changes of action, missed ticks, the latest cycles, ranges of values.

    cycle -- another action or cause, a missed tick --> notes[n % NOTES]    a ring: Python reads it 20 times a second
          -- later complete than the least of the worst --> takes its place in worst[WORST]

Nothing is allocated or waited for: a few comparisons in a cycle of which there is nothing to tell.
"""

from rt_native.lang import atomic_store, fill_bytes, inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.ranges_native import forget_ranges
from scheduler.status import TaskStatus
from scheduler.task_block import CYCLE, NOTES, STATS, TASK, TRACE, WORST

_T, _R, _C, _N = offsets(TASK), offsets(TRACE), offsets(CYCLE), offsets(STATS)
_TRACE, _STATS, _BAD_SOURCE, _BAD_AGE, _BAD_VALUE = _T.trace, _T.stats, _T.bad_source, _T.bad_age_ns, _T.bad_value
_NOTED, _FIRST_NOTE, _FIRST_WORST, _BAR = _R.noted, _R.notes, _R.worst, _R.bar_ns
_LAST_ACTION, _LAST_STATUS, _LAST_BLAME, _LAST_VERSION = _R.action, _R.status, _R.blame, _R.version
_TICK, _ACTION, _STATUS, _BLAME, _AGE, _WAKEUP, _EXECUTION, _MISSED, _SWITCHED = (
    _C.tick_ns, _C.action, _C.status, _C.blame, _C.age_ns, _C.wakeup_ns, _C.execution_ns, _C.missed, _C.switched
)  # fmt: skip
_VERSION, _CYCLE_SIZE = _N.version, CYCLE.itemsize
_MANY, _FEW = NOTES, WORST
_BAD_INPUT, _NAN_INPUT, _NAN_OUTPUT = (int(TaskStatus[name]) for name in ["BAD_INPUT", "NAN_INPUT", "NAN_OUTPUT"])


@inline
def note_cycle(task, tick, wakeup, execution, missed, status, action):  # type: ignore[no-untyped-def]
    """Remember this cycle where it is worth it."""
    trace, version = load_i64(task + _TRACE), load_i64(load_i64(task + _STATS) + _VERSION)
    blame = -1
    if status == _BAD_INPUT:
        blame = load_i64(task + _BAD_SOURCE)
    elif status in (_NAN_INPUT, _NAN_OUTPUT):
        blame = load_i64(task + _BAD_VALUE)
    switched = 1 if version != load_i64(trace + _LAST_VERSION) and load_i64(trace + _LAST_ACTION) >= 0 else 0
    is_new = (
        action != load_i64(trace + _LAST_ACTION)
        or status != load_i64(trace + _LAST_STATUS)
        or blame != load_i64(trace + _LAST_BLAME)
    )
    if is_new or missed > 0:
        number = load_i64(trace + _NOTED)
        entry = trace + _FIRST_NOTE + number % _MANY * _CYCLE_SIZE
        describe(task, entry, tick, wakeup, execution, missed, status, action, blame, switched)
        atomic_store(trace + _NOTED, number + 1)
    if wakeup + execution > load_i64(trace + _BAR):
        entry = trace + _FIRST_WORST + least(trace) * _CYCLE_SIZE
        describe(task, entry, tick, wakeup, execution, missed, status, action, blame, switched)
        store_i64(trace + _BAR, completion(trace, least(trace)))
    store_i64(trace + _LAST_ACTION, action)
    store_i64(trace + _LAST_STATUS, status)
    store_i64(trace + _LAST_BLAME, blame)
    store_i64(trace + _LAST_VERSION, version)


@inline
def describe(task, entry, tick, wakeup, execution, missed, status, action, blame, switched):  # type: ignore[no-untyped-def]
    """Fill a CYCLE."""
    store_i64(entry + _TICK, tick)
    store_i64(entry + _ACTION, action)
    store_i64(entry + _STATUS, status)
    store_i64(entry + _BLAME, blame)
    store_i64(entry + _AGE, load_i64(task + _BAD_AGE) if status == _BAD_INPUT else 0)
    store_i64(entry + _WAKEUP, wakeup)
    store_i64(entry + _EXECUTION, execution)
    store_i64(entry + _MISSED, missed)
    store_i64(entry + _SWITCHED, switched)


@inline
def completion(trace, number):  # type: ignore[no-untyped-def]
    """How late one of the worst was complete."""
    entry = trace + _FIRST_WORST + number * _CYCLE_SIZE
    return load_i64(entry + _WAKEUP) + load_i64(entry + _EXECUTION)


@inline
def least(trace):  # type: ignore[no-untyped-def]
    """Which of the worst was complete first."""
    found = 0
    for number in range(1, _FEW):
        if completion(trace, number) < completion(trace, found):
            found = number
    return found


@inline
def forget_trace(task):  # type: ignore[no-untyped-def]
    """Start the worst cycles and the ranges anew; notes stay, who reads them counts on."""
    fill_bytes(load_i64(task + _TRACE) + _BAR, 0, 8 + _FEW * _CYCLE_SIZE)
    forget_ranges(task)
