"""A run in slices: as many pieces of a program at a time as fit, with the bits of a whole run.

    pieces     |--0--|-1-|-----2-----|--3--| ...     records in a row; the clock is read behind each piece
    slice 1    |--0--|-1-|                           piece 2 took more, at most so far, than is left
    slice 2              |-----2-----|--3--|         it goes on there; the last piece ends the run

A piece that would not fit is put off, but for the first of a slice that nothing cuts short: it may be longer than any slice, and
runs then. So is one that would not fit into the cycle if no helper came. One that was put off `PATIENCE` times in a row runs, too:
else a run could stand still for ever.

A helper that is late ends no run: what it has begun is awaited in the next slice, and the piece goes on behind it. One that is late
with the same for `PATIENCE` slices in a row does: outputs would stay as they are, and nobody know.
"""

from rt_engine.kernels.interface.record import ARENA_HEADER, JUMP, RECORD
from rt_engine.run.blocks import BLOCK, PIECE, SLICES
from rt_engine.run.team_block import TEAM
from rt_engine.run.team_native import wait_for_all
from rt_engine.status import Status
from rt_native.lang import (
    call1,
    call2,
    export,
    flush_denormals,
    inline,
    load_i64,
    load_u32,
    now_ns,
    restore_float_mode,
    stack,
    store_i64,
)
from rt_native.memory import offsets

_B, _R, _S, _P = offsets(BLOCK), offsets(RECORD), offsets(SLICES), offsets(PIECE)
_ARENA, _TABLE, _STATUS, _NODE, _RUNS, _SLICES = _B.arena, _B.table, _B.status, _B.node, _B.runs, _B.slices
_KERNEL, _RECORD_NODE, _SIZE, _JUMP = _R.kernel, _R.node, RECORD.itemsize, JUMP
_GOES_ON, _AWAITED, _LATE_IN_ROW = _S.goes_on, _S.awaited, _S.late_in_row
_TEAM_OF, _TEAM_AWAITED, _HELPER_LATE = offsets(ARENA_HEADER).spare, offsets(TEAM).awaited, int(Status.HELPER_LATE)
_PIECES, _COUNT, _PIECE_OF, _NEXT, _UNDER_WAY, _WAITED, _RAN, _LONGEST, _BEHIND = (
    _S.pieces, _S.count, _S.piece_of, _S.next, _S.is_under_way, _S.waited, _S.ran_ns, _S.longest_ns, _S.behind_ns
)  # fmt: skip
_FIRST, _END, _MOST, _BASE, _ALONE, _PIECE_SIZE = (
    _P.first, _P.end, _P.most_ns, _P.base_ns, _P.alone_ns, PIECE.itemsize
)  # fmt: skip
MORE = -1
"""In place of a status: the run is not done."""
PATIENCE = 8
_FORGET = 5  # of what a piece took beyond its base, 1/32 is forgotten each time that it is put off
_MORE, _PATIENCE = MORE, PATIENCE


@export
def execute_slice(block, clock_now, clock, until_ns, is_whole):
    """Begin a run, or go on with it, until the time that a clock tells is `until_ns`; gives its status, or MORE.

    `is_whole`: 1 where all of a slice is left until then, so that its first piece may begin whatever it takes; -1: nothing begins that
    would not fit, however often it was put off.
    """
    mode = flush_denormals()
    slices = load_i64(block + _SLICES)
    begin(slices)
    number, count, status, ran = load_i64(slices + _NEXT), load_i64(slices + _COUNT), 0, 0
    time = call1(clock_now, clock)
    while status == 0 and number < count:
        piece = load_i64(slices + _PIECES) + _PIECE_SIZE * number
        if is_put_off(slices, piece, until_ns - time, is_whole if ran == 0 else min(is_whole, 0)):
            status = _MORE
        else:
            status = run_piece(block, slices, piece)
            done = call1(clock_now, clock)
            note_time(slices, piece, done - time, status)
            time, ran, number = done, ran + 1, number if status == _MORE else number + 1
            if status >= _JUMP:
                number, status = load_i64(load_i64(slices + _PIECE_OF) + 8 * (status - _JUMP)), 0
    store_i64(slices + _NEXT, number)
    if status != _MORE:
        store_i64(slices + _UNDER_WAY, 0)
        store_i64(block + _STATUS, status)
        store_i64(block + _RUNS, load_i64(block + _RUNS) + 1)
    restore_float_mode(mode)
    return status


@inline
def begin(slices):
    """Begin at the first piece where no run is under way."""
    if load_i64(slices + _UNDER_WAY) == 0:
        store_i64(slices + _UNDER_WAY, 1)
        store_i64(slices + _NEXT, 0)
        store_i64(slices + _WAITED, 0)
        store_i64(slices + _GOES_ON, 0)
        store_i64(slices + _RAN, 0)


@inline
def is_put_off(slices, piece, left, is_whole):
    """Has a piece to wait for the next slice?"""
    most, waited = load_i64(piece + _MOST), load_i64(slices + _WAITED)
    is_safe = load_i64(piece + _ALONE) - load_i64(slices + _BEHIND) <= left
    if (most <= left and is_safe) or is_whole > 0 or (is_whole == 0 and waited >= _PATIENCE):
        store_i64(slices + _WAITED, 0)
        return False
    store_i64(slices + _WAITED, waited + 1)
    store_i64(piece + _MOST, most - (max(most - load_i64(piece + _BASE), 0) >> _FORGET))
    return True


@inline
def run_piece(block, slices, piece):
    """Run a piece, or go on with it; gives the status of its last record, or MORE where a helper is late."""
    record, status = load_i64(piece + _FIRST), 0
    if load_i64(slices + _GOES_ON) != 0:
        record = load_i64(slices + _GOES_ON)
        status = wait_for_all(team_of(block), load_i64(slices + _AWAITED))
    if status == 0:
        store_i64(slices + _GOES_ON, 0)
        store_i64(slices + _LATE_IN_ROW, 0)
        status = run_records(block, slices, record, load_i64(piece + _END))
    return _MORE if status == _HELPER_LATE and is_awaited(block, slices) else status


@inline
def team_of(block):
    """TEAM of a block, 0: it has none."""
    return load_i64(load_i64(block + _ARENA) + _TEAM_OF)


@inline
def is_awaited(block, slices):
    """Is a fan-out of this run what a helper is late with, and not for too long? A piece of a run before ends this one at once."""
    team, late = team_of(block), load_i64(slices + _LATE_IN_ROW) + 1
    store_i64(slices + _AWAITED, load_i64(team + _TEAM_AWAITED) if team != 0 else 0)
    store_i64(slices + _LATE_IN_ROW, late)
    return load_i64(slices + _AWAITED) != 0 and late < _PATIENCE


@inline
def run_records(block, slices, record, end):
    """Run records in a row; gives the status of the last one. A jump ends them. What a helper is late with is gone on behind."""
    arena, table, status = load_i64(block + _ARENA), load_i64(block + _TABLE), 0
    while record != end and status == 0:
        status = call2(load_i64(table + 8 * load_u32(record + _KERNEL)), arena, record)
        if 0 < status < _JUMP:
            store_i64(block + _NODE, load_u32(record + _RECORD_NODE))
        record += _SIZE
    if status == _HELPER_LATE:
        store_i64(slices + _GOES_ON, record)
    return status


@inline
def note_time(slices, piece, took, status):
    """A piece has run for so long; what a late helper took is no measure."""
    if status != _MORE:
        store_i64(piece + _MOST, max(load_i64(piece + _MOST), took))
    store_i64(slices + _RAN, load_i64(slices + _RAN) + took)
    store_i64(slices + _LONGEST, max(load_i64(slices + _LONGEST), took))


@export
def slices_clock(clock):
    """CLOCK_MONOTONIC in nanoseconds, for who measures pieces; `clock` is of no matter."""
    return now_ns(stack(16))
