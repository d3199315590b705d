"""Recurrent cells: a whole sequence, one direction, in one record.

    lstm_f32, gru_f32      the cells as frameworks train them: sigmoid and tanh, no clip, no peepholes; GRU with its linear
                           map before the reset
    cell_<type>            everything else that ONNX knows (`recurrent_general`)

        operand  0: input gates and work   1: recurrent weights   2: h   3: c   4: Y   5: sequence lengths (int32)
        size     0: steps  1: batch  2: hidden  3: directions  4: direction  5: reverse  6: layout  7: flags  8: activations
                 9: how many steps are done, from the first one of the direction on; what they do not reach stays unwritten

`h` and `c` are states: read where a flag says so (else the start is zero), and written at the end. 3, 4 and 5 are -1
where absent. Lengths are computed at run time: outside of 0 to steps the status is INDEX_OUT_OF_RANGE, nothing is written.

Hidden units come in blocks of one vector. The input gates, x @ W + b of all steps, were made by one matrix product, its
columns ordered by block, then by slot:

    slots      LSTM  i o f c      GRU  z r Rbh n      RNN  one
    gates      [row of x][block][slot][lane]                    operand 0, and after it the work area:
    work       [h][h of the step before][c][five for the general cell], each of whole blocks
    weights    [block][k][vector][lane]                         LSTM 4 vectors, GRU 3 (z r n), RNN 1

So one block is one tile of the matrix product, whose weights lie in one run and whose bias is the input gates. Two chains
over k, added at the end; the order does not depend on the machine. Blocks are walked upwards in even steps and downwards
in odd ones, so that the weights that were used last, which are in the first-level cache, are used first; a block does
not see the others of its step, so this moves no bit.
"""

from math import inf
from typing import Any

from rt_engine.kernels.parts.abi import has_operand, kernel, operand, size
from rt_engine.kernels.parts.elementary import ONE_BITS, at_least, at_most, exp_parts
from rt_engine.kernels.parts.lanes import F32, Element
from rt_engine.kernels.parts.tile import make_tiles
from rt_engine.program.status import Status
from rt_native.lang import fill_bytes, inline, load_i32, stack
from rt_native.vector import BYTES, LANES, bits, fma, from_bits

READ_H, READ_C = 1, 2
WORK = 8
"""Vectors of work per block."""
_OUT_OF_RANGE = int(Status.INDEX_OUT_OF_RANGE)
_WIDEST = 4 if LANES == 16 else 3
"""Vectors of a tile: what two chains each leave of the registers. It moves no bit."""


def make_product(of: Element, widths: tuple[int, ...]) -> Any:
    """product(vectors, h, weights, k, out, bias): out = bias + h @ weights, for one block of a row."""
    low, high = of.scalar(-inf), of.scalar(inf)
    shapes = sorted({(1, min(w, _WIDEST), 2) for w in widths} | {(1, w - _WIDEST, 2) for w in widths if w > _WIDEST})
    tile = make_tiles(of.vector, shapes, whole=True)

    @inline
    def product(vectors, h, weights, k, out, bias):
        stride = BYTES * vectors
        first = min(vectors, _WIDEST)
        tile(1, first, 2, h, 0, weights, stride, k, out, 0, bias, 0, low, high)
        if vectors > _WIDEST:
            at = BYTES * _WIDEST
            tile(1, vectors - _WIDEST, 2, h, 0, weights + at, stride, k, out + at, 0, bias + at, 0, low, high)

    return product


@inline
def length_of(arena, record, row):
    """Steps of a row of the batch."""
    if has_operand(record, 5):
        return load_i32(operand(arena, record, 5) + 4 * row)
    return size(record, 0)


@inline
def lengths_fit(arena, record):
    """Is every sequence length between 0 and the number of steps?"""
    for row in range(size(record, 1)):
        steps = length_of(arena, record, row)
        if steps < 0 or steps > size(record, 0):
            return False
    return True


@inline
def blocks_of(record, lanes):
    """Blocks of hidden units."""
    return (size(record, 2) + lanes - 1) // lanes


def make_cell(name: str, module: str, of: Element, slots: Any, step: Any) -> None:
    """A kernel that walks batch and time; `step(arena, record, gates, h, new_h, c, scratch, number)` does one step.

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
    def state_at(arena, record, index, row):
        """Where the state of a row lies: [direction, batch, hidden], or [batch, direction, hidden] in layout 1."""
        directions, direction, batch = size(record, 3), size(record, 4), size(record, 1)
        place = row * directions + direction if size(record, 6) else direction * batch + row
        return operand(arena, record, index) + place * size(record, 2) * nbytes

    @inline
    def y_at(arena, record, time, row):
        """Where Y of a row and time lies: [time, direction, batch], or [batch, time, direction] in layout 1."""
        directions, direction, batch = size(record, 3), size(record, 4), size(record, 1)
        if size(record, 6):
            place = (row * size(record, 0) + time) * directions + direction
        else:
            place = (time * directions + direction) * batch + row
        return operand(arena, record, 4) + place * size(record, 2) * nbytes

    @kernel(name, module)
    def cell(arena, record):
        if not lengths_fit(arena, record):
            return _OUT_OF_RANGE
        times, batch, hidden, flags = size(record, 0), size(record, 1), size(record, 2), size(record, 7)
        blocks = blocks_of(record, lanes)
        row_bytes, vector_bytes = blocks * slots(record) * BYTES, blocks * BYTES
        gates = operand(arena, record, 0)
        work = gates + times * batch * row_bytes
        has_c, has_y = has_operand(record, 3), has_operand(record, 4)
        c, scratch = work + 2 * vector_bytes, work + 3 * vector_bytes
        for row in range(batch):
            h, new_h = work, work + vector_bytes
            start(h, state_at(arena, record, 2, row), hidden, blocks, flags & READ_H)
            if has_c:
                start(c, state_at(arena, record, 3, row), hidden, blocks, flags & READ_C)
            steps = length_of(arena, record, row)
            for number in range(min(steps, size(record, 9))):
                time = steps - 1 - number if size(record, 5) else number
                place = row * times + time if size(record, 6) else time * batch + row
                step(arena, record, gates + place * row_bytes, h, new_h, c, scratch, number)
                if has_y:
                    copy(y_at(arena, record, time, row), new_h, hidden)
                h, new_h = new_h, h
            if has_y:
                for time in range(steps, times):
                    fill_bytes(y_at(arena, record, time, row), 0, hidden * nbytes)
            copy(state_at(arena, record, 2, row), h, hidden)
            if has_c:
                copy(state_at(arena, record, 3, row), c, hidden)
        return 0


def _make_default(name: str, of: Element, vectors: int, cell: Any) -> None:
    """A cell with fixed activations: `cell(product, input gates, h, c)` gives the new h of a block."""
    product = make_product(of, (vectors,))
    lanes, store = of.lanes, of.store_vector

    @inline
    def slots(record):
        return 4

    @inline
    def step(arena, record, gates, h, new_h, c, scratch, number):
        weights, hidden = operand(arena, record, 1), size(record, 2)
        blocks = blocks_of(record, lanes)
        sums = stack(4 * 64)
        for n in range(blocks):
            block = n if number & 1 == 0 else blocks - 1 - n
            at = block * BYTES
            product(vectors, h, weights + at * vectors * hidden, hidden, sums, gates + 4 * at)
            store(new_h + at, cell(sums, gates + 4 * at, h + at, c + at))

    make_cell(name, __name__, of, slots, step)


@inline
def _sigmoid_part(x):
    """1 + exp(-x), whose reciprocal is the sigmoid: within 2 ulp; 4e-18 stands for everything below."""
    n, u = exp_parts(at_least(at_most(-x, 40.0), -40.0))
    return from_bits(bits(u + 1.0) + n) + 1.0


@inline
def _tanh_part(x):
    """t = exp(-2x) - 1, without cancellation: -t / (t + 2) is the hyperbolic tangent, within 3 ulp."""
    n, u = exp_parts(at_least(at_most(x * -2.0, 40.0), -40.0))
    power = from_bits(ONE_BITS(x) + n)
    return fma(power, u, power - 1.0)


def _make_lstm(of: Element) -> None:
    load, store = of.load_vector, of.store_vector

    @inline
    def lstm(sums, gates, h, c):
        t = _tanh_part(load(sums + 3 * BYTES))
        entered = -t / (_sigmoid_part(load(sums)) * (t + 2.0))
        kept = fma(1.0 / _sigmoid_part(load(sums + 2 * BYTES)), load(c), entered)
        store(c, kept)
        t = _tanh_part(kept)
        return -t / (_sigmoid_part(load(sums + BYTES)) * (t + 2.0))

    _make_default("lstm_" + of.suffix, of, 4, lstm)


def _make_gru(of: Element) -> None:
    load = of.load_vector

    @inline
    def gru(sums, gates, h, c):
        reset = 1.0 / _sigmoid_part(load(sums + BYTES))
        t = _tanh_part(fma(reset, load(sums + 2 * BYTES), load(gates + 3 * BYTES)))
        new = -t / (t + 2.0)
        return fma(1.0 / _sigmoid_part(load(sums)), load(h) - new, new)

    _make_default("gru_" + of.suffix, of, 3, gru)


_make_lstm(F32)
_make_gru(F32)
