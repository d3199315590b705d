"""The tap: the record of a cycle, and a checkpoint, into the ring of a task (`scheduler.ring_block`, `scheduler.tap_block`).

tap_record       no room: the cycle is dropped, whole, and counted; the next for which there is room begins with a checkpoint
                 else    head, inputs as latched, `raw`, `last` -> the slot;  then the ring's head goes on
tap_checkpoint   no room: it stays due; counted

The reader moves only the tail. Neither waits for the other, and what the reader sees was written before head told of it.
"""

from fieldbus.image.image_layout import CHANNEL, SLOT
from rt_engine.recording.record_block import CHECKPOINT_HEAD, CLOCKS, HEAD, SOURCE_HEAD, Flag, Phase
from rt_engine.run.blocks import ARRANGEMENT, READER, Mode
from rt_native.counting import add_to
from rt_native.lang import (
    atomic_load,
    atomic_store,
    copy_bytes,
    export,
    inline,
    load_f64,
    load_i64,
    store_f64,
    store_i64,
)
from rt_native.memory import offsets
from rt_native.streaming import stream_words, streamed
from scheduler.fallback_block import LATE
from scheduler.kept_native import keep, put_back
from scheduler.monitor_block import MONITOR
from scheduler.ring_block import RING
from scheduler.status import TaskStatus
from scheduler.tap_block import AT_ONCE, TAP
from scheduler.task_block import SOURCE, STATS, TASK
from scheduler.time_native import shift_of

_T, _P, _G, _H, _C, _S, _N = (
    offsets(dtype) for dtype in (TASK, TAP, RING, HEAD, CHECKPOINT_HEAD, SOURCE, STATS)
)  # fmt: skip
_TAP, _STATS, _READER, _EPOCH, _TICK, _MONITOR, _LATE, _FLAGS = (
    _T.tap, _T.stats, _T.reader, _T.epoch_ns, _T.tick_ns, _T.monitor, _T.late, _T.flags
)  # fmt: skip
_SOURCES, _SOURCE_COUNT, _RAW, _LAST, _RAW_COUNT, _TURN, _READS, _READINGS = (
    _T.sources, _T.source_count, _T.raw, _T.last, _T.raw_count, _T.turn_ns, _T.reads, _T.readings
)  # fmt: skip
_BAD_SOURCE, _BAD_VALUE, _VERSION, _DUE = _T.bad_source, _T.bad_value, _N.version, _N.due_ns
_RING, _CAPACITY, _STRIDE, _FIRST, _END = _P.ring, _P.capacity, _P.stride, _P.first_slot, _P.end
_NUMBER, _HEAD, _TAIL, _SLOT, _NEXT, _KEPT, _EVERY = (
    _P.number, _P.head, _P.tail, _P.slot, _P.next_checkpoint_ns, _P.kept, _P.checkpoint_ns
)  # fmt: skip
_CP_CAPACITY, _CP_STRIDE, _CP_FIRST, _CP_END, _CP_HEAD, _CP = (
    _P.checkpoint_capacity, _P.checkpoint_stride, _P.first_checkpoint, _P.checkpoint_end, _P.checkpoint_head, _P.checkpoint
)  # fmt: skip
_RING_HEAD, _RING_TAIL, _DROPPED, _RING_CP_HEAD, _RING_CP_TAIL, _REFUSED = (
    _G.head, _G.tail, _G.dropped, _G.checkpoint_head, _G.checkpoint_tail, _G.refused
)  # fmt: skip
_H_TICK, _H_NUMBER, _H_DUE, _H_VERSION, _H_STATUS, _H_ACTION, _H_BLAME, _H_MISSED = (
    _H.tick_ns, _H.number, _H.due_ns, _H.version, _H.status, _H.action, _H.blame, _H.missed
)  # fmt: skip
_H_FLAGS, _H_WAKEUP, _H_EXECUTION, _H_MONITOR, _H_TURN, _H_READS, _H_CLOCK = (
    _H.flags, _H.wakeup_ns, _H.execution_ns, _H.monitor, _H.turn, _H.reads, _H.clock
)  # fmt: skip
_C_TICK, _C_NUMBER, _C_VERSION, _C_PHASE, _C_EPOCH, _C_DUE = (
    _C.tick_ns, _C.number, _C.version, _C.phase, _C.epoch_ns, _C.due_ns
)  # fmt: skip
_LATCHED, _CHANNEL, _SOURCE_SIZE, _CELLS, _CELL_COUNT = (
    _S.slot,
    _S.channel,
    SOURCE.itemsize,
    SLOT.itemsize,
    offsets(CHANNEL).cells,
)
_WATCH, _ARRANGEMENT, _MODE, _IS_LATE, _VALUE = (
    offsets(READER).watch, offsets(READER).arrangement, offsets(ARRANGEMENT).mode, offsets(LATE).is_late, offsets(MONITOR).value
)  # fmt: skip
_SHADOW, _TRIAL, _BEFORE_READ, _AT_ONCE = int(Mode.SHADOW), int(Mode.TRIAL), int(Phase.BEFORE_READ), AT_ONCE
_SECOND_SHADOW, _SECOND_TRIAL, _SMALLER = int(Flag.SECOND_SHADOW), int(Flag.SECOND_TRIAL), int(Flag.SMALLER)
_BAD_INPUT, _NAN_INPUT, _NAN_OUTPUT = (int(TaskStatus[name]) for name in ["BAD_INPUT", "NAN_INPUT", "NAN_OUTPUT"])
_MUCH = 2048  # bytes
_HEAD_BYTES, _SOURCE_BYTES, _CP_BYTES, _CLOCKS = HEAD.itemsize, SOURCE_HEAD.itemsize, CHECKPOINT_HEAD.itemsize, CLOCKS


@export
def tap_record(task, due, missed, status, action):  # type: ignore[no-untyped-def]
    """Record the cycle that has ended; 0 where there was no room."""
    tap = load_i64(task + _TAP)
    ring, head, number = load_i64(tap + _RING), load_i64(tap + _HEAD), load_i64(tap + _NUMBER)
    store_i64(tap + _NUMBER, number + 1)
    if is_full(tap):
        add_to(ring + _DROPPED, 1)
        store_i64(tap + _NEXT, _AT_ONCE)
        return 0
    slot, stride = load_i64(tap + _SLOT), load_i64(tap + _STRIDE)
    write_head(task, slot, number, due, missed, status, action)
    at = write_sources(task, slot + _HEAD_BYTES)
    nbytes = 8 * load_i64(task + _RAW_COUNT)
    write_words(at, load_i64(task + _RAW), nbytes)
    write_words(at + nbytes, load_i64(task + _LAST), nbytes)
    if stride > _MUCH:
        streamed()
    following = slot + stride
    store_i64(tap + _SLOT, load_i64(tap + _FIRST) if following == load_i64(tap + _END) else following)
    store_i64(tap + _HEAD, head + 1)
    atomic_store(ring + _RING_HEAD, head + 1)
    return 1


@inline
def is_full(tap):  # type: ignore[no-untyped-def]
    """Is there no room for a record? The reader's line of the ring is looked at only where there was none when it was last."""
    head, capacity = load_i64(tap + _HEAD), load_i64(tap + _CAPACITY)
    if head - load_i64(tap + _TAIL) < capacity:
        return False
    store_i64(tap + _TAIL, atomic_load(load_i64(tap + _RING) + _RING_TAIL))
    return head - load_i64(tap + _TAIL) >= capacity


@inline
def write_words(to, source, nbytes):  # type: ignore[no-untyped-def]
    """Copy values. Many would push out of the caches what the next cycle needs."""
    if nbytes > _MUCH:
        stream_words(to, source, nbytes)
    else:
        copy_bytes(to, source, nbytes)


@inline
def write_head(task, slot, number, due, missed, status, action):  # type: ignore[no-untyped-def]
    """HEAD of a record."""
    reads = min(load_i64(task + _READS), _CLOCKS)
    woke, done = load_i64(task + _READINGS), load_i64(task + _READINGS + 8 * (reads - 1))
    monitor = load_i64(task + _MONITOR)
    store_i64(slot + _H_TICK, load_i64(task + _TICK))
    store_i64(slot + _H_NUMBER, number)
    store_i64(slot + _H_DUE, due)
    store_i64(slot + _H_VERSION, load_i64(load_i64(task + _STATS) + _VERSION))
    store_i64(slot + _H_STATUS, status)
    store_i64(slot + _H_ACTION, action)
    store_i64(slot + _H_BLAME, blame_of(task, status))
    store_i64(slot + _H_MISSED, missed)
    store_i64(slot + _H_FLAGS, flags_of(task))
    store_i64(slot + _H_WAKEUP, woke - shift_of(task) - due)
    store_i64(slot + _H_EXECUTION, done - woke)
    store_f64(slot + _H_MONITOR, load_f64(monitor + _VALUE) if monitor != 0 else 0.0)
    store_i64(slot + _H_TURN, load_i64(task + _TURN))
    store_i64(slot + _H_READS, load_i64(task + _READS))
    for i in range(_CLOCKS):
        store_i64(slot + _H_CLOCK + 8 * i, load_i64(task + _READINGS + 8 * i) if i < reads else 0)


@inline
def blame_of(task, status):  # type: ignore[no-untyped-def]
    """Which channel, or value, a fault was in; -1 where it was in none."""
    if status == _BAD_INPUT:
        return load_i64(task + _BAD_SOURCE)
    return load_i64(task + _BAD_VALUE) if status in (_NAN_INPUT, _NAN_OUTPUT) else -1


@inline
def flags_of(task):  # type: ignore[no-untyped-def]
    """What was raised, and who else computed."""
    flags, late, reader = load_i64(task + _FLAGS), load_i64(task + _LATE), load_i64(task + _READER)
    if late != 0 and load_i64(late + _IS_LATE) != 0:
        flags |= _SMALLER
    if reader != 0 and load_i64(reader + _WATCH) != 0:
        mode = load_i64(load_i64(reader + _ARRANGEMENT) + _MODE)
        if mode == _SHADOW:
            flags |= _SECOND_SHADOW
        elif mode == _TRIAL:
            flags |= _SECOND_TRIAL
    return flags


@inline
def write_sources(task, at):  # type: ignore[no-untyped-def]
    """Every input channel as latched; gives where they end."""
    source = load_i64(task + _SOURCES)
    for _ in range(load_i64(task + _SOURCE_COUNT)):
        latched, nbytes = load_i64(source + _LATCHED), 8 * load_i64(load_i64(source + _CHANNEL) + _CELL_COUNT)
        copy_bytes(at, latched, _SOURCE_BYTES)
        write_words(at + _SOURCE_BYTES, latched + _CELLS, nbytes)
        at += _SOURCE_BYTES + nbytes
        source += _SOURCE_SIZE
    return at


@export
def tap_checkpoint(task, tap, tick, phase, spare):  # type: ignore[no-untyped-def]
    """Write down what the task remembers; 0 where there was no room: it is due in the next cycle then.

    At the begin of a cycle it is no use without the cycle's own record.
    """
    ring, head = load_i64(tap + _RING), load_i64(tap + _CP_HEAD)
    if head - atomic_load(ring + _RING_CP_TAIL) >= load_i64(tap + _CP_CAPACITY) or (
        phase == _BEFORE_READ and is_full(tap)
    ):
        add_to(ring + _REFUSED, 1)
        store_i64(tap + _NEXT, _AT_ONCE)
        return 0
    slot, stats = load_i64(tap + _CP), load_i64(task + _STATS)
    store_i64(slot + _C_TICK, tick)
    store_i64(slot + _C_NUMBER, load_i64(tap + _NUMBER))
    store_i64(slot + _C_VERSION, load_i64(stats + _VERSION))
    store_i64(slot + _C_PHASE, phase)
    store_i64(slot + _C_EPOCH, load_i64(task + _EPOCH))
    store_i64(slot + _C_DUE, load_i64(stats + _DUE))
    keep(load_i64(tap + _KEPT), slot + _CP_BYTES)
    following = slot + load_i64(tap + _CP_STRIDE)
    store_i64(tap + _CP, load_i64(tap + _CP_FIRST) if following == load_i64(tap + _CP_END) else following)
    store_i64(tap + _CP_HEAD, head + 1)
    store_i64(tap + _NEXT, tick + load_i64(tap + _EVERY))
    atomic_store(ring + _RING_CP_HEAD, head + 1)
    return 1


@export
def kept_keep(kept, to):  # type: ignore[no-untyped-def]
    """See `keep`, for who asks from outside."""
    keep(kept, to)
    return 0


@export
def kept_put_back(kept, source, phase):  # type: ignore[no-untyped-def]
    """See `put_back`."""
    return put_back(kept, source, phase)


@export
def ring_load(address):  # type: ignore[no-untyped-def]
    """A counter of a ring; what was written before it is seen after this."""
    return atomic_load(address)


@export
def ring_store(address, value):  # type: ignore[no-untyped-def]
    """Set a counter of a ring, after all that was read or written before."""
    atomic_store(address, value)
    return 0
