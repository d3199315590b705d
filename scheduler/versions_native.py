"""Which version of its model a task runs in a tick.

A model that runs in slices (`scheduler.slices_native`) changes its version between two runs only, and so do all that the task has. But
not where a version was found bad that it uses: its run is given up then.
"""

from rt_engine.recording.record_block import Flag
from rt_engine.run.blocks import BLOCK, READER
from rt_engine.run.slot_native import is_condemned, pick
from rt_native.lang import atomic_load, inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.fallback_native import is_any_condemned
from scheduler.second_block import SECOND
from scheduler.second_native import watch_of
from scheduler.slices_native import drop, drop_run, is_mid_run, slice_of
from scheduler.slow_native import note_fault, turn_again
from scheduler.status import TaskStatus
from scheduler.tapping_native import raise_flag
from scheduler.task_block import STATS, TASK

_T, _R = offsets(TASK), offsets(READER)
_READER, _STATS, _ACTIVE, _NEXT = _T.reader, _T.stats, _R.active, _R.next
_SECOND, _PENDING = offsets(SECOND).second, offsets(SECOND).pending_ns
_VERSION, _BLOCK_VERSION = offsets(STATS).version, offsets(BLOCK).version
_DROPPED, _ROLLED_BACK = int(Flag.RUN_DROPPED), int(TaskStatus.ROLLED_BACK)


@inline
def settle(task):  # type: ignore[no-untyped-def]
    """Before versions are picked, of a model in slices: runs end that must not go on. A bad version's result is published no more."""
    if slice_of(task) != 0:
        reader, watch = load_i64(task + _READER), watch_of(task)
        is_bad = is_condemned(reader)
        if is_mid_run(task) and (is_bad or is_any_condemned(task)):
            drop_run(task)
            raise_flag(task, _DROPPED)
        if is_bad:
            note_fault(task, _ROLLED_BACK)
        if watch != 0 and not is_mid_run(task) and (is_bad or atomic_load(reader + _NEXT) != 0):
            drop(load_i64(watch + _SECOND))
            store_i64(watch + _PENDING, 0)


@inline
def model_version(task, tick):  # type: ignore[no-untyped-def]
    """The execution block for this tick; 0 if the task has no model."""
    reader = load_i64(task + _READER)
    if reader == 0:
        return 0
    runs = load_i64(reader + _ACTIVE)
    block = runs if is_mid_run(task) else pick(reader, tick)
    if block != runs:
        drop(block)
        turn_again(task)  # what lies between two turns is of the version before, which may have been found bad
    store_i64(load_i64(task + _STATS) + _VERSION, load_i64(block + _BLOCK_VERSION))
    return block
