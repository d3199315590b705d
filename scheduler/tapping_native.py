"""Where a cycle meets its tap: a load and a comparison each, for a task that has none.

cycle     tap_begin       a checkpoint, where one is due
          tap_switch      another, where another version of a model became live
          raise_flag      what the record says besides
          tap_take_back   another, where the tick is done again
record    tap_cycle       the record of the cycle
"""

from rt_engine.recording.record_block import Flag, Phase
from rt_engine.run.blocks import READER
from rt_native.lang import call5, inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.slices_native import is_mid_run
from scheduler.status import TaskStatus
from scheduler.tap_block import AT_ONCE, KEPT, ROOM, TAP
from scheduler.task_block import TASK

_T, _P, _K = offsets(TASK), offsets(TAP), offsets(KEPT)
_TAP, _FLAGS = _T.tap, _T.flags
_RECORD, _CHECKPOINT, _KEPT, _NEXT = _P.record, _P.write_checkpoint, _P.kept, _P.next_checkpoint_ns
_ROOMS, _ROOM_COUNT, _READER, _KNOWN, _ROOM_SIZE, _ACTIVE = (
    _K.rooms, _K.room_count, offsets(ROOM).reader, offsets(ROOM).active, ROOM.itemsize, offsets(READER).active
)  # fmt: skip
_BEFORE_READ, _AFTER_TAKE_BACK, _AFTER_SWITCH = (
    int(Phase.BEFORE_READ), int(Phase.AFTER_TAKE_BACK), int(Phase.AFTER_SWITCH)
)  # fmt: skip
_TAKEN_BACK, _HELD_BACK, _ROLLED_BACK = int(Flag.TAKEN_BACK), int(Flag.HELD_BACK), int(TaskStatus.ROLLED_BACK)
_AT_ONCE = AT_ONCE


@inline
def raise_flag(task, flag):  # type: ignore[no-untyped-def]
    """The record of this cycle says so."""
    store_i64(task + _FLAGS, load_i64(task + _FLAGS) | flag)


@inline
def tap_begin(task, tick):  # type: ignore[no-untyped-def]
    """A cycle begins. In the middle of a run of several cycles there is no checkpoint: what it has computed is not in one."""
    store_i64(task + _FLAGS, 0)
    tap = load_i64(task + _TAP)
    if tap != 0 and tick >= load_i64(tap + _NEXT) and not is_mid_run(task):
        call5(load_i64(tap + _CHECKPOINT), task, tap, tick, _BEFORE_READ, 0)


@inline
def tap_switch(task, tick):  # type: ignore[no-untyped-def]
    """All models of the task have the versions of this tick."""
    tap = load_i64(task + _TAP)
    if tap != 0 and is_switched(load_i64(tap + _KEPT)):
        call5(load_i64(tap + _CHECKPOINT), task, tap, tick, _AFTER_SWITCH, 0)


@inline
def is_switched(kept):  # type: ignore[no-untyped-def]
    """Is a block active of which there is no checkpoint?"""
    found, room = False, load_i64(kept + _ROOMS)
    for _ in range(load_i64(kept + _ROOM_COUNT)):
        found = found or load_i64(load_i64(room + _READER) + _ACTIVE) != load_i64(room + _KNOWN)
        room += _ROOM_SIZE
    return found


@inline
def tap_take_back(task, tick, given):  # type: ignore[no-untyped-def]
    """The version before is active again. `given`: ROLLED_BACK where it has no time to run."""
    raise_flag(task, _HELD_BACK if given == _ROLLED_BACK else _TAKEN_BACK)
    tap = load_i64(task + _TAP)
    if tap != 0:
        call5(load_i64(tap + _CHECKPOINT), task, tap, tick, _AFTER_TAKE_BACK, 0)
        store_i64(tap + _NEXT, _AT_ONCE)


@inline
def tap_cycle(task, due, missed, status, action):  # type: ignore[no-untyped-def]
    """Record the cycle."""
    tap = load_i64(task + _TAP)
    if tap != 0:
        call5(load_i64(tap + _RECORD), task, due, missed, status, action)
