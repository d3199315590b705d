"""What a task remembers from one cycle to the next, into a checkpoint and back (KEPT of `scheduler.tap_block`)."""

from rt_engine.recording.record_block import Phase
from rt_engine.run.blocks import BLOCK, READER, STATE, STATES_HEAD
from rt_native.lang import copy_bytes, inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.tap_block import ABOUT, DAMAGED, KEPT, MOVE, ROOM

_K, _M, _R, _A, _S = offsets(KEPT), offsets(MOVE), offsets(ROOM), offsets(ABOUT), offsets(STATE)
_MOVES, _MOVE_COUNT, _ROOMS, _ROOM_COUNT = _K.moves, _K.move_count, _K.rooms, _K.room_count
_ADDRESS, _NBYTES, _COPIES, _IS_WINDOW, _WINDOW, _MOVE_SIZE = (
    _M.address, _M.nbytes, _M.copies, _M.is_window, _M.window, MOVE.itemsize
)  # fmt: skip
_DAMAGED = DAMAGED
_READER, _ROOM, _WHOSE, _KNOWN, _ROOM_SIZE = _R.reader, _R.nbytes, _R.whose, _R.active, ROOM.itemsize
_LACKING, _NEEDS, _VERSIONS, _ABOUT_SIZE = _A.lacking, _A.needs, _A.versions, ABOUT.itemsize
_ACTIVE, _STATES, _VERSION = offsets(READER).active, offsets(BLOCK).states, offsets(BLOCK).version
_AT, _SIZE, _STATE_SIZE, _HEAD = _S.address, _S.nbytes, STATE.itemsize, STATES_HEAD
_AFTER_TAKE_BACK, _AFTER_SWITCH = int(Phase.AFTER_TAKE_BACK), int(Phase.AFTER_SWITCH)


@inline
def active_of(room):  # type: ignore[no-untyped-def]
    """The block that runs of a model of the task."""
    return load_i64(load_i64(room + _READER) + _ACTIVE)


@inline
def states_bytes(block):  # type: ignore[no-untyped-def]
    """Of all states of a block."""
    states, found = load_i64(block + _STATES), 0
    for i in range(load_i64(states) if states != 0 else 0):
        found += load_i64(states + _HEAD + _STATE_SIZE * i + _SIZE)
    return found


@inline
def states_to(block, to):  # type: ignore[no-untyped-def]
    """The states of a block, one behind the other."""
    states = load_i64(block + _STATES)
    for i in range(load_i64(states) if states != 0 else 0):
        state = states + _HEAD + _STATE_SIZE * i
        copy_bytes(to, load_i64(state + _AT), load_i64(state + _SIZE))
        to += load_i64(state + _SIZE)


@inline
def states_from(block, source):  # type: ignore[no-untyped-def]
    """The inverse of `states_to`."""
    states = load_i64(block + _STATES)
    for i in range(load_i64(states) if states != 0 else 0):
        state = states + _HEAD + _STATE_SIZE * i
        copy_bytes(load_i64(state + _AT), source, load_i64(state + _SIZE))
        source += load_i64(state + _SIZE)


@inline
def keep(kept, to):  # type: ignore[no-untyped-def]
    """All regions of a checkpoint, from ABOUT on."""
    at, row = to + _ABOUT_SIZE, load_i64(kept + _MOVES)
    for _ in range(load_i64(kept + _MOVE_COUNT)):
        copy_bytes(at, load_i64(row + _ADDRESS), load_i64(row + _NBYTES))
        at += load_i64(row + _NBYTES)
        row += _MOVE_SIZE
    lacking, room = 0, load_i64(kept + _ROOMS)
    for _ in range(load_i64(kept + _ROOM_COUNT)):
        block, whose, nbytes = active_of(room), load_i64(room + _WHOSE), load_i64(room + _ROOM)
        need = states_bytes(block)
        store_i64(room + _KNOWN, block)
        store_i64(to + _NEEDS + 8 * whose, need)
        store_i64(to + _VERSIONS + 8 * whose, load_i64(block + _VERSION))
        if need <= nbytes:
            states_to(block, at)
        else:
            lacking |= 1 << whose
        at += nbytes
        room += _ROOM_SIZE
    store_i64(to + _LACKING, lacking)


@inline
def is_damaged(kept, source):  # type: ignore[no-untyped-def]
    """Does a checkpoint say of a window that it is where no window can be?"""
    at, row, found = source + _ABOUT_SIZE, load_i64(kept + _MOVES), False
    for _ in range(load_i64(kept + _MOVE_COUNT)):
        window = load_i64(row + _WINDOW)
        if window != 0:
            filled, position = load_i64(at), load_i64(at + 8)
            found = found or filled < 0 or filled > window or position < 0 or position >= window
        at += load_i64(row + _NBYTES)
        row += _MOVE_SIZE
    return found


@inline
def misfits(kept, source):  # type: ignore[no-untyped-def]
    """Bits of `Whose`: whose states are not in a checkpoint, or are others than those of the block that runs. Or DAMAGED, too."""
    wrong, room = load_i64(source + _LACKING), load_i64(kept + _ROOMS)
    if is_damaged(kept, source):
        wrong |= _DAMAGED
    for _ in range(load_i64(kept + _ROOM_COUNT)):
        whose = load_i64(room + _WHOSE)
        if load_i64(source + _NEEDS + 8 * whose) != states_bytes(active_of(room)):
            wrong |= 1 << whose
        room += _ROOM_SIZE
    return wrong


@inline
def put_back(kept, source, phase):  # type: ignore[no-untyped-def]
    """The regions from ABOUT on -> a task between two cycles; nothing, and the bits of `misfits`, where they do not fit.

    The blocks that run have to be those of the checkpoint. AFTER_TAKE_BACK leaves the windows, which have the inputs of the cycle
    already; AFTER_SWITCH has the states alone.
    """
    wrong = misfits(kept, source)
    if wrong == 0:
        at, row = source + _ABOUT_SIZE, load_i64(kept + _MOVES)
        for _ in range(load_i64(kept + _MOVE_COUNT)):
            nbytes = load_i64(row + _NBYTES)
            if phase != _AFTER_SWITCH and (phase != _AFTER_TAKE_BACK or load_i64(row + _IS_WINDOW) == 0):
                for copy in range(load_i64(row + _COPIES)):
                    copy_bytes(load_i64(row + _ADDRESS) + copy * nbytes, at, nbytes)
            at += nbytes
            row += _MOVE_SIZE
        room = load_i64(kept + _ROOMS)
        for _ in range(load_i64(kept + _ROOM_COUNT)):
            states_from(active_of(room), at)
            at += load_i64(room + _ROOM)
            room += _ROOM_SIZE
    return wrong
