"""What all recurrent cells share: the walk over batch and time, and the matrix product of a block. See `kernels.recurrent`."""

from math import inf
from typing import Any

from rt_engine.kernels.interface.cells import CELL_FLAGS
from rt_engine.kernels.interface.recurrent import CELL
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.lanes import Element
from rt_engine.kernels.parts.registers import TILES
from rt_engine.kernels.parts.tile import make_tiles
from rt_engine.status import Status
from rt_native.lang import fill_bytes, inline, load_i32
from rt_native.vector import BYTES

READ_H, READ_C = CELL_FLAGS["read_h"], CELL_FLAGS["read_c"]
_OUT_OF_RANGE = int(Status.INDEX_OUT_OF_RANGE)
_WIDEST = TILES.cell


def make_product(of: Element, widths: tuple[int, ...]) -> Any:
    """product(vectors, h, weights, k, out, bias): out = bias + h @ weights, for one block of a row."""
    low, high = of.scalar(-inf), of.scalar(inf)
    shapes = sorted({(1, min(w, _WIDEST), 2) for w in widths} | {(1, w - _WIDEST, 2) for w in widths if w > _WIDEST})
    tile = make_tiles(of.vector, shapes, whole=True)

    @inline
    def product(vectors, h, weights, k, out, bias):
        stride = BYTES * vectors
        first = min(vectors, _WIDEST)
        tile(1, first, 2, h, 0, weights, stride, BYTES, k, out, 0, bias, 0, low, high)
        if vectors > _WIDEST:
            at = BYTES * _WIDEST
            tile(1, vectors - _WIDEST, 2, h, 0, weights + at, stride, BYTES, k, out + at, 0, bias + at, 0, low, high)

    return product


@inline
def length_of(record, row):
    """Steps of a row of the batch."""
    if record.has_lengths:
        return load_i32(record.lengths + 4 * row)
    return record.steps


@inline
def lengths_fit(record):
    """Is every sequence length between 0 and the number of steps?"""
    for row in range(record.batch):
        steps = length_of(record, row)
        if steps < 0 or steps > record.steps:
            return False
    return True


@inline
def blocks_of(record, lanes):
    """Blocks of hidden units."""
    return (record.hidden + lanes - 1) // lanes


def make_cell(name: str, module: str, of: Element, slots: Any, step: Any) -> None:
    """A kernel that walks batch and time; `step(record, gates, h, new_h, c, scratch, number)` does one step.

    `slots(record)` is the number of slots of a block.
    """
    lanes, nbytes = of.lanes, of.nbytes
    load, store, load_first, store_first = of.load_vector, of.store_vector, of.load_first, of.store_first
    zero = of.scalar(0.0)
    splat = of.splat

    @inline
    def copy(to, source, count):
        """Copy a row of `count` elements, nothing beyond."""
        at = 0
        while count >= lanes:
            store(to + at, load(source + at))
            at, count = at + BYTES, count - lanes
        if count:
            store_first(to + at, load_first(source + at, count), count)

    @inline
    def start(work, source, hidden, blocks, given):
        """A state at its beginning."""
        for block in range(blocks):
            store(work + BYTES * block, splat(zero))
        if given:
            copy(work, source, hidden)

    @inline
    def state_at(record, state, row):
        """Where the state of a row lies: [direction, batch, hidden], or [batch, direction, hidden] in layout 1."""
        directions, direction, batch = record.directions, record.direction, record.batch
        place = row * directions + direction if record.layout else direction * batch + row
        return state + place * record.hidden * nbytes

    @inline
    def y_at(record, time, row):
        """Where Y of a row and time lies: [time, direction, batch], or [batch, time, direction] in layout 1."""
        directions, direction, batch = record.directions, record.direction, record.batch
        if record.layout:
            place = (row * record.steps + time) * directions + direction
        else:
            place = (time * directions + direction) * batch + row
        return record.out + place * record.hidden * nbytes

    @kernel(name, CELL, module)
    def cell(record):
        if not lengths_fit(record):
            return _OUT_OF_RANGE
        times, batch, hidden, flags = record.steps, record.batch, record.hidden, record.flags
        blocks = blocks_of(record, lanes)
        row_bytes, vector_bytes = blocks * slots(record) * BYTES, blocks * BYTES
        gates = record.gates
        work = gates + times * batch * row_bytes
        has_c, has_y = record.has_c, record.has_out
        c, scratch = work + 2 * vector_bytes, work + 3 * vector_bytes
        for row in range(batch):
            h, new_h = work, work + vector_bytes
            steps = length_of(record, row)
            given = flags if steps else 0
            start(h, state_at(record, record.h, row), hidden, blocks, given & READ_H)
            if has_c:
                start(c, state_at(record, record.c, row), hidden, blocks, given & READ_C)
            for number in range(min(steps, record.wanted)):
                time = steps - 1 - number if record.reverse else number
                place = row * times + time if record.layout else time * batch + row
                step(record, gates + place * row_bytes, h, new_h, c, scratch, number)
                if has_y:
                    copy(y_at(record, time, row), new_h, hidden)
                h, new_h = new_h, h
            if has_y:
                for time in range(steps, times):
                    fill_bytes(y_at(record, time, row), 0, hidden * nbytes)
            copy(state_at(record, record.h, row), h, hidden)
            if has_c:
                copy(state_at(record, record.c, row), c, hidden)
        return 0
