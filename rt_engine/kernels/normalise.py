"""Rows that are scaled by their own statistics: softmax, log_softmax, layer norm.

    softmax_<type>, log_softmax_<type>, layer_norm_<type>     records: `interface.normalise`

Rows are contiguous; the output may be the input. The type of the statistics is the node's stash_type. Sums
are folded in the order of `rt_engine.kernels.parts.fold`: it belongs to n and not to the machine. Nothing outside of the
tensors is read or written.

    softmax      exp(x - max) / sum of it. A row with +inf or NaN, or of -inf alone, becomes NaN (PyTorch too).
    log_softmax  x - max - log(sum of exp(x - max)), likewise.
    layer norm   d = x - mean, or x itself with `about_zero` (root mean square);
                 out = d * (1 / sqrt(mean of d * d + epsilon)) * scale + bias; two passes, in x's type.
                 Its 64 (32) partial sums make float32 as good as the float32 that stash_type = 1 asks for.
"""

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.interface.normalise import LAYER_NORM, SOFTMAX
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.elementary import exp, log
from rt_engine.kernels.parts.fold import MAX_NUMBER, SUM, SUM_EXP, make_row, make_total
from rt_engine.kernels.parts.lanes import F32, F64, Element, first_lane
from rt_engine.kernels.parts.lanes_of_rows import add, make_lanes_of_rows
from rt_engine.kernels.parts.rows import make_deviations, make_exp_row
from rt_native.lang import inline, stack, store_f32, store_f64
from rt_native.vector import BYTES, fma, max_lanes, sqrt, sum_lanes

_DOUBLE = int(DType.DOUBLE)
_ROWS, _NEAR = 32, 16384
"""The most rows, and their bytes, that are worked through step by step: while one waits for its sum, the next go on."""


def _make_softmax(of: Element) -> None:
    lanes, nbytes, splat, load_first_or = of.lanes, of.nbytes, of.splat, of.load_first_or
    load, store, store_first, load_first = of.load_vector, of.store_vector, of.store_first, of.load_first
    max_row, exp_row = make_row(of, MAX_NUMBER), make_exp_row(of)
    zero, one, filler = of.scalar(0.0), of.scalar(1.0), of.scalar(SUM_EXP.filler)

    @inline
    def short_row(source, target, n):
        """At most one vector: everything stays in registers, with the bits of a long row."""
        x = load_first_or(source, n, filler)
        e = exp(x - splat(max_lanes(x)))
        store_first(target, e * splat(one / sum_lanes(e)), n)

    @inline
    def long_row(source, target, n):
        factor = splat(one / exp_row(source, target, n, splat(max_row(source, n, splat(zero)))))
        at, left = target, n
        while left >= lanes:
            store(at, load(at) * factor)
            at += BYTES
            left -= lanes
        if left:
            store_first(at, load_first(at, left) * factor, left)

    @kernel("softmax_" + of.suffix, SOFTMAX)
    def softmax(record):
        rows, n = record.rows, record.n
        source, target = record.x, record.out
        for _ in range(rows):
            if n <= lanes:
                short_row(source, target, n)
            else:
                long_row(source, target, n)
            source += n * nbytes
            target += n * nbytes
        return 0


def _make_log_softmax(of: Element) -> None:
    lanes, nbytes, splat, zero = of.lanes, of.nbytes, of.splat, of.scalar(0.0)
    load, store, store_first, load_first = of.load_vector, of.store_vector, of.store_first, of.load_first
    max_row, sum_row = make_row(of, MAX_NUMBER), make_row(of, SUM_EXP)

    @kernel("log_softmax_" + of.suffix, SOFTMAX)
    def log_softmax(record):
        n = record.n
        source, target = record.x, record.out
        for _ in range(record.rows):
            top = splat(max_row(source, n, splat(zero)))
            rest = log(splat(sum_row(source, n, top)))
            left = n
            while left >= lanes:
                store(target, load(source) - top - rest)
                source += BYTES
                target += BYTES
                left -= lanes
            if left:
                store_first(target, load_first(source, left) - top - rest, left)
                source += left * nbytes
                target += left * nbytes
        return 0


@inline
def _together(line):
    """How many rows of so many bytes are worked through step by step."""
    return min(max(_NEAR // max(line, 1), 1), _ROWS)


@inline
def _store_statistic(to, kind, row, value):
    if kind == _DOUBLE:
        store_f64(to + 8 * row, value)
    else:
        store_f32(to + 4 * row, value)


def _make_layer_norm(of: Element) -> None:
    lanes, nbytes, splat, scalar = of.lanes, of.nbytes, of.splat, of.scalar
    load, store, store_first, load_first = of.load_vector, of.store_vector, of.store_first, of.load_first
    total, squares, zero, one = make_total(of, SUM), make_deviations(of), scalar(0.0), scalar(1.0)
    load_one, store_one, sums_of_eight = of.load, of.store, make_lanes_of_rows(of.vector, 8, add)

    @inline
    def means_of(lines, to, count, n):
        """Sums of rows, up to their trees -> what they are divided by n."""
        if count == 1:
            store_one(to, sum_lanes(load(lines)) / scalar(n))
        else:
            for r in range(0, count, 8):
                store(to + r * nbytes, sums_of_eight(lines + r * BYTES) / splat(scalar(n)))

    @inline
    def inverses_of(lines, to, count, n, epsilon):
        """Sums of squares, up to their trees -> 1 / sqrt(mean + epsilon)."""
        if count == 1:
            deviation = sum_lanes(load(lines)) / scalar(n)
            store_one(to, first_lane(splat(one) / sqrt(splat(deviation + epsilon))))
        else:
            for r in range(0, count, 8):
                deviations = sums_of_eight(lines + r * BYTES) / splat(scalar(n))
                store(to + r * nbytes, splat(one) / sqrt(deviations + splat(epsilon)))

    @inline
    def scaled(source, target, scale, bias, n, mean, inverse):
        at, whole = 0, n // lanes * lanes * nbytes
        while at < whole:
            x = (load(source + at) - mean) * inverse
            store(target + at, fma(x, load(scale + at), load(bias + at)))
            at += BYTES
        rest = n - whole // nbytes
        if rest:
            x = (load_first(source + at, rest) - mean) * inverse
            store_first(target + at, fma(x, load_first(scale + at, rest), load_first(bias + at, rest)), rest)

    @kernel("layer_norm_" + of.suffix, LAYER_NORM)
    def layer_norm(record):
        n, kind, epsilon = record.n, record.statistics, scalar(record.epsilon)
        source, target = record.x, record.out
        scale, bias = record.scale, record.bias
        line, together = n * nbytes, _together(n * nbytes)
        lines, means, inverses = stack(_ROWS * 64), stack(_ROWS * 8 + 64), stack(_ROWS * 8 + 64)
        for first in range(0, record.rows, together):
            count = min(together, record.rows - first)
            for r in range(count):
                store(lines + r * BYTES, splat(zero) if record.about_zero else total(source + r * line, n, splat(zero)))
            means_of(lines, means, count, n)
            for r in range(count):
                store(lines + r * BYTES, squares(source + r * line, n, load_one(means + r * nbytes)))
            inverses_of(lines, inverses, count, n, epsilon)
            for r in range(count):
                mean, inverse = load_one(means + r * nbytes), load_one(inverses + r * nbytes)
                scaled(source, target, scale, bias, n, splat(mean), splat(inverse))
                if record.has_mean:
                    _store_statistic(record.mean, kind, first + r, mean)
                if record.has_deviation:
                    _store_statistic(record.deviation, kind, first + r, inverse)
                source += line
                target += line
        return 0


for _of in (F32, F64):
    _make_softmax(_of)
    _make_log_softmax(_of)
    _make_layer_norm(_of)
