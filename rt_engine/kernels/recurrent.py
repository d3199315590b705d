"""Recurrent cells: a whole sequence, one direction, in one record.

    lstm_f32, gru_f32      the cells as frameworks train them: sigmoid and tanh, no clip, no peepholes; GRU with its linear
                           map before the reset
    cell_<type>            everything else that ONNX knows (`recurrent_general`)

Records: `interface.recurrent`. Lengths are computed at run time: outside of 0 to steps the status is
INDEX_OUT_OF_RANGE, nothing is written. A row of length 0 hands on 0, not the state that it was given.

Hidden units come in blocks of one vector. The input gates, x @ W + b of all steps, were made by one matrix product, its
columns ordered by block, then by slot:

    slots      LSTM  i o f c      GRU  z r Rbh n      RNN  one
    gates      [row of x][block][slot][lane]                    and after it the work area:
    work       [h][h of the step before][c][five for the general cell], each of whole blocks
    weights    [block][k][vector][lane]                         LSTM 4 vectors, GRU 3 (z r n), RNN 1

So one block is one tile of the matrix product, whose weights lie in one run and whose bias is the input gates. Two chains
over k, added at the end; the order does not depend on the machine. Blocks are walked upwards in even steps and downwards
in odd ones, so that the weights that were used last, which are in the first-level cache, are used first; a block does
not see the others of its step, so this moves no bit.
"""

from typing import Any

from rt_engine.kernels.parts.cell import blocks_of, make_cell, make_product
from rt_engine.kernels.parts.elementary import ONE_BITS, at_least, at_most, exp_parts
from rt_engine.kernels.parts.lanes import F32, Element
from rt_native.lang import inline, stack
from rt_native.vector import BYTES, bits, fma, from_bits


def _make_default(name: str, of: Element, vectors: int, cell: Any) -> None:
    """A cell with fixed activations: `cell(product, input gates, h, c)` gives the new h of a block."""
    product = make_product(of, (vectors,))
    lanes, store = of.lanes, of.store_vector

    @inline
    def slots(record):
        return 4

    @inline
    def step(record, gates, h, new_h, c, scratch, number):
        weights, hidden = record.weights, record.hidden
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
