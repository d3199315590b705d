"""Recurrent cells of every kind that ONNX knows, float32 and float64: `cell_<type>`, with the record of `recurrent`.

    flags           the kind too: `cells.CELL_FLAGS`
    activations     f | g << 8 | h << 16, of `cells.CELL_ACTIVATIONS`

After the recurrent weights come, in `weights`, vectors as follows: the peepholes of i, o and f (each of whole blocks), and
one line (two in float64) with clip, and alpha and beta of f, g and h. The clip limits what enters a gate, not c before h: so do
ONNX Runtime and OpenVINO.

    GRU without `linear before reset`: weights are those of z and r, [block][k][2][lane], then those of n, [block][k][lane]
"""

from rt_engine.kernels.interface.cells import CELL_ACTIVATIONS, CELL_FLAGS
from rt_engine.kernels.parts import elementary
from rt_engine.kernels.parts.cell import blocks_of, make_cell, make_product
from rt_engine.kernels.parts.elementary import at_least, at_most
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_native.lang import inline
from rt_native.vector import BYTES, absolute, fma, select

_GRU, _RNN, _LINEAR_FIRST, _PEEPHOLES, _COUPLED = (
    CELL_FLAGS[name] for name in ("gru", "rnn", "linear_before_reset", "peepholes", "input_forget")
)
(
    _TANH, _SIGMOID, _RELU, _AFFINE, _LEAKY, _THRESHOLDED, _SCALED_TANH, _HARD_SIGMOID, _ELU, _SOFTSIGN, _SOFTPLUS
) = range(len(CELL_ACTIVATIONS))  # fmt: skip


@inline
def _activate(code, x, alpha, beta):
    """The activation with a number, of a vector."""
    if code == _TANH:
        return elementary.tanh(x)
    if code == _SIGMOID:
        return elementary.sigmoid(x)
    if code == _RELU:
        return at_least(x, 0.0)
    if code == _AFFINE:
        return fma(x, alpha, beta)
    if code == _LEAKY:
        return select(x < 0.0, x * alpha, x)
    if code == _THRESHOLDED:
        return select(x <= alpha, 0.0, x)
    if code == _SCALED_TANH:
        return alpha * elementary.tanh(x * beta)
    if code == _HARD_SIGMOID:
        return at_most(at_least(fma(x, alpha, beta), 0.0), 1.0)
    if code == _ELU:
        return select(x < 0.0, alpha * elementary.expm1(at_most(x, 0.0)), x)
    if code == _SOFTSIGN:
        return x / (absolute(x) + 1.0)
    return elementary.softplus(x)


def _make_general(of: Element) -> None:
    product = make_product(of, (1, 2, 3, 4))
    lanes, nbytes = of.lanes, of.nbytes
    load, store, scalar, splat = of.load_vector, of.store_vector, of.load, of.splat

    @inline
    def vectors_of(flags):
        """Vectors of a block of weights."""
        if flags & _RNN:
            return 1
        return (3 if flags & _LINEAR_FIRST else 2) if flags & _GRU else 4

    @inline
    def slots(record):
        return 1 if record.flags & _RNN else 4

    @inline
    def gate_input(flags, stage, sums, gates, h, c, peepholes, at, every):
        """What the activation of a stage is applied to. Stages: LSTM i f c o h, GRU r z n, RNN one."""
        if flags & _RNN:
            return load(sums)
        if flags & _GRU:
            if stage == 0:
                return load(sums + BYTES)
            if stage == 1:
                return load(sums)
            if flags & _LINEAR_FIRST:
                return fma(load(sums + BYTES), load(sums + 2 * BYTES), load(gates + 3 * BYTES))
            return load(sums + 2 * BYTES)
        if stage == 4:
            return load(c)
        slot = 0 if stage == 0 else (2 if stage == 1 else (3 if stage == 2 else 1))
        x = load(sums + slot * BYTES)
        if flags & _PEEPHOLES and stage != 2:
            return fma(load(peepholes + slot * every + at), load(c), x)
        return x

    @inline
    def gate_done(flags, stage, y, sums, h, new_h, c):
        """Note what a stage gave."""
        if flags & _RNN:
            store(new_h, y)
        elif flags & _GRU:
            if stage == 0:
                store(sums + BYTES, y)
            elif stage == 1:
                store(sums, y)
            else:
                store(new_h, fma(load(sums), load(h) - y, y))
        elif stage == 0:
            store(sums, y)
            if flags & _COUPLED:
                store(sums + 2 * BYTES, 1.0 - y)
        elif stage == 1:
            store(sums + 2 * BYTES, y)
        elif stage == 2:
            store(c, fma(load(sums + 2 * BYTES), load(c), load(sums) * y))
        elif stage == 3:
            store(sums + BYTES, y)
        else:
            store(new_h, load(sums + BYTES) * y)

    @inline
    def activation_of(flags, stage):
        """f, g or h: 0, 1 or 2."""
        if flags & _RNN:
            return 0
        if flags & _GRU:
            return 1 if stage == 2 else 0
        return 1 if stage == 2 else (2 if stage == 4 else 0)

    @inline
    def step(record, gates, h, new_h, c, scratch, number):
        weights, hidden, flags = record.weights, record.hidden, record.flags
        blocks, vectors, wide = blocks_of(record, lanes), vectors_of(flags), slots(record)
        every = blocks * BYTES
        total = 3 if flags & _GRU else vectors
        peepholes = weights + total * every * hidden
        settings = peepholes + 3 * every
        stages = 1 if flags & _RNN else (3 if flags & _GRU else 5)
        late = (flags & _GRU) != 0 and (flags & _LINEAR_FIRST) == 0
        reset_h = scratch + 4 * every
        for part in range(2 if late else 1):
            first, last = (0, 2) if late and part == 0 else ((2, 3) if late else (0, stages))
            for block in range(blocks):
                at = block * BYTES
                sums, bias = scratch + 4 * at, gates + wide * at
                if part == 0:
                    product(vectors, h, weights + at * vectors * hidden, hidden, sums, bias)
                else:
                    product(1, reset_h, weights + (2 * every + at) * hidden, hidden, sums + 2 * BYTES, bias + 3 * BYTES)
                for stage in range(first, last):
                    if stage == 1 and flags & _COUPLED:
                        continue
                    x = gate_input(flags, stage, sums, bias, h + at, c + at, peepholes, at, every)
                    if stage != 4:
                        limit = splat(scalar(settings))
                        x = at_most(at_least(x, -limit), limit)
                    which = activation_of(flags, stage)
                    alpha = splat(scalar(settings + (1 + 2 * which) * nbytes))
                    beta = splat(scalar(settings + (2 + 2 * which) * nbytes))
                    y = _activate((record.activations >> (8 * which)) & 255, x, alpha, beta)
                    gate_done(flags, stage, y, sums, h + at, new_h + at, c + at)
                if late and part == 0:
                    store(reset_h + at, load(sums + BYTES) * load(h + at))

    make_cell("cell_" + of.suffix, __name__, of, slots, step)


_make_general(F32)
_make_general(F64)
