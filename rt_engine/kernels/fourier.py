"""Discrete Fourier transforms of rows.

    dft_<type>   the record is `interface.fourier.DFT`

The transform is always forward; with a minus before imaginary parts read and written it is the inverse one. A row goes

    load      real, pairs of reals as complex numbers, or complex (interleaved), times the window where there is one;
              what lies behind its end is zero -> two planes, real and imaginary
    columns   length n = a * b, seen as [a, b]: a transforms along the first axis (stages, see `butterfly`), the last with
              twiddles exp(-2 pi i row column / n)
    transpose [a, b] -> [b, a]
    rows      transforms along what is now the first axis; the result lies in its natural order
    store     complex; or the real part; or, of pairs of reals, the spectrum of the 2 n reals

a and b are such that both axes are runs of whole vectors where they can be. All of it is decided when the model is loaded
(`plan`, `PLAN` below), so the order of every operation depends on the length alone.

Multiplication by `before` and `after` (complex, one number per point) makes any length a convolution of a good one
(L. Bluestein, 1970): two records, the program between them in `ops.fourier`.
"""

from typing import Any

from rt_engine.kernels.interface.fourier import DFT
from rt_engine.kernels.interface.fourier_plan import LOAD_HALF, LOAD_REAL, PLAN, STAGE, STORE_PAIRS, STORE_REAL
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.butterfly import make_stage
from rt_engine.kernels.parts.lanes import F32, F64, Element
from rt_engine.kernels.parts.shuffles import evens, odds, reversed_lanes, zip_high, zip_low
from rt_engine.kernels.parts.transpose import SIDE, make_transpose
from rt_native.lang import inline, load_i64
from rt_native.memory import offsets
from rt_native.vector import BYTES, fma

_P = offsets(PLAN)
_N, _A, _STAGES_A, _STAGES_B, _TURN = _P.n, _P.a, _P.stages_a, _P.stages_b, _P.turn
_LOAD, _COUNT, _POINTS, _BEFORE = _P.load, _P.count, _P.points, _P.before
_STORE, _OUT, _AFTER, _PAIR, _MIRROR = _P.store, _P.out, _P.after, _P.pair, _P.mirror
_PLANE, _STAGES = _P.plane, PLAN.itemsize
_S = offsets(STAGE)
_RADIX, _KIND, _M, _STRIDE, _TWIDDLE, _STAGE = _S.radix, _S.kind, _S.m, _S.s, _S.twiddle, STAGE.itemsize


def _make_load(of: Element) -> Any:
    lanes, nbytes, splat, zero = of.lanes, of.nbytes, of.splat, of.scalar(0.0)
    load, store, load_vector, store_vector, load_first = (
        of.load,
        of.store,
        of.load_vector,
        of.store_vector,
        of.load_first,
    )

    @inline
    def elements(source, window, at, left):
        x = load_first(source + at, left)
        if window:
            x = x * load_first(window + at, left)
        return x

    @inline
    def half(real, imaginary, points):
        """The second half of a spectrum of reals."""
        for k in range(points // 2 + 1, points):
            store(real + k * nbytes, load(real + (points - k) * nbytes))
            store(imaginary + k * nbytes, -load(imaginary + (points - k) * nbytes))

    @inline
    def multiplied(real, imaginary, n, table, stride):
        for at in range(0, n * nbytes, BYTES):
            x, y = load_vector(real + at), load_vector(imaginary + at)
            c, s = load_vector(table + at), load_vector(table + stride + at)
            store_vector(real + at, fma(x, c, -(y * s)))
            store_vector(imaginary + at, fma(x, s, y * c))

    @inline
    def load_row(source, window, plan, tables, real, imaginary, sign):
        n, mode, left = load_i64(plan + _N), load_i64(plan + _LOAD), load_i64(plan + _COUNT)
        at = 0
        if mode == LOAD_REAL:
            for at in range(0, n * nbytes, BYTES):
                store_vector(real + at, elements(source, window, at, left))
                store_vector(imaginary + at, splat(zero))
                left = max(left - lanes, 0)
        else:
            factor = splat(sign)
            for at in range(0, n * nbytes, BYTES):
                x = elements(source, window, 2 * at, left)
                left = max(left - lanes, 0)
                y = elements(source, window, 2 * at + BYTES, left)
                left = max(left - lanes, 0)
                store_vector(real + at, evens(x, y))
                store_vector(imaginary + at, odds(x, y) * factor)
        if mode == LOAD_HALF:
            half(real, imaginary, load_i64(plan + _POINTS))
        table = load_i64(plan + _BEFORE)
        if table >= 0:
            multiplied(real, imaginary, n, tables + table, load_i64(plan + _PLANE))

    return load_row


def _make_transform(of: Element) -> Any:
    nbytes, load, store = of.nbytes, of.load, of.store
    stage, block, side = make_stage(of.vector), make_transpose(of.nbytes), SIDE[of.nbytes]

    @inline
    def transposed(source, target, a, b):
        whole_a, whole_b = a - a % side, b - b % side
        in_stride, out_stride = b * nbytes, a * nbytes
        for j in range(0, whole_b, side):
            for i in range(0, whole_a, side):
                block(source + i * in_stride + j * nbytes, in_stride, target + j * out_stride + i * nbytes, out_stride)
        for i in range(a):
            for j in range(0 if i >= whole_a else whole_b, b):
                store(target + j * out_stride + i * nbytes, load(source + i * in_stride + j * nbytes))

    @inline
    def run(stages, count, tables, plane, source, target):
        """Stages from `source` to `target` and back; gives where the last one wrote."""
        for i in range(count):
            at = stages + i * _STAGE
            twiddle = tables + load_i64(at + _TWIDDLE)
            stage(
                load_i64(at + _RADIX),
                load_i64(at + _KIND),
                source,
                source + plane,
                target,
                target + plane,
                load_i64(at + _M),
                load_i64(at + _STRIDE),
                twiddle,
                twiddle + plane,
            )
            source, target = target, source
        return source

    @inline
    def transform(plan, tables, first, second):
        n, a, plane = load_i64(plan + _N), load_i64(plan + _A), load_i64(plan + _PLANE)
        columns, rows, stages = load_i64(plan + _STAGES_A), load_i64(plan + _STAGES_B), plan + _STAGES
        at = run(stages, columns, tables, plane, first, second)
        if load_i64(plan + _TURN):
            to = first + second - at
            transposed(at, to, a, n // a)
            transposed(at + plane, to + plane, a, n // a)
            at = to
        return run(stages + columns * _STAGE, rows, tables, plane, at, first + second - at)

    return transform


def _make_store(of: Element) -> Any:
    lanes, nbytes, splat, scalar = of.lanes, of.nbytes, of.splat, of.scalar
    load, store, load_vector = of.load, of.store, of.load_vector
    store_vector, store_first = of.store_vector, of.store_first

    @inline
    def pairs(target, x, y, left):
        """Complex numbers, of which `left` are wanted."""
        if left >= lanes:
            store_vector(target, zip_low(x, y))
            store_vector(target + BYTES, zip_high(x, y))
        else:
            store_first(target, zip_low(x, y), min(2 * left, lanes))
            store_first(target + BYTES, zip_high(x, y), max(2 * left - lanes, 0))

    @inline
    def plain(real, target, plan, tables, factor, imaginary_factor):
        plane, left, after = load_i64(plan + _PLANE), load_i64(plan + _OUT), load_i64(plan + _AFTER)
        only_real = load_i64(plan + _STORE) == STORE_REAL
        p, q, at = splat(factor), splat(imaginary_factor), 0
        while left > 0:
            x, y = load_vector(real + at) * p, load_vector(real + plane + at) * q
            if after >= 0:
                c, s = load_vector(tables + after + at), load_vector(tables + after + plane + at)
                x, y = fma(x, c, -(y * s)), fma(x, s, y * c)
            if only_real:
                store_first(target + at, x, min(left, lanes))
            else:
                pairs(target + 2 * at, x, y, left)
            at += BYTES
            left -= lanes

    @inline
    def of_pairs(real, target, plan, tables, factor, imaginary_factor):
        """The spectrum of 2 n reals that were taken as n complex numbers: even and odd samples are told apart."""
        n, plane, table = load_i64(plan + _N), load_i64(plan + _PLANE), tables + load_i64(plan + _PAIR)
        p, q = splat(factor * scalar(0.5)), splat(imaginary_factor * scalar(0.5))
        store(real + n * nbytes, load(real))
        store(real + plane + n * nbytes, load(real + plane))
        at, back, left = 0, real + (n - lanes + 1) * nbytes, load_i64(plan + _OUT)
        while left > 0:
            ar, ai = load_vector(real + at), load_vector(real + plane + at)
            br, bi = reversed_lanes(load_vector(back)), reversed_lanes(load_vector(back + plane))
            c, s = load_vector(table + at), load_vector(table + plane + at)
            dr, di = ar - br, ai + bi
            x = fma(c, di, fma(s, dr, ar + br))
            y = fma(s, di, fma(-c, dr, ai - bi))
            pairs(target + 2 * at, x * p, y * q, left)
            at += BYTES
            back -= BYTES
            left -= lanes

    @inline
    def mirrored(target, points):
        """The second half of a spectrum of reals."""
        for k in range(points // 2 + 1, points):
            store(target + 2 * k * nbytes, load(target + 2 * (points - k) * nbytes))
            store(target + (2 * k + 1) * nbytes, -load(target + (2 * (points - k) + 1) * nbytes))

    @inline
    def store_row(real, target, plan, tables, factor, imaginary_factor):
        if load_i64(plan + _STORE) == STORE_PAIRS:
            of_pairs(real, target, plan, tables, factor, imaginary_factor)
        else:
            plain(real, target, plan, tables, factor, imaginary_factor)
        if load_i64(plan + _MIRROR):
            mirrored(target, load_i64(plan + _MIRROR))

    return store_row


def _make(of: Element) -> None:
    nbytes, scalar = of.nbytes, of.scalar
    load_row, transform, store_row = _make_load(of), _make_transform(of), _make_store(of)

    @kernel("dft_" + of.suffix, DFT)
    def dft(record):
        plan, tables, target = record.plan, record.tables, record.out
        window = record.window if record.has_window else 0
        plane = load_i64(plan + _PLANE)
        first = record.scratch + BYTES
        second = first + 2 * plane
        sign, factor, imaginary_factor = scalar(record.sign), scalar(record.real), scalar(record.imaginary)
        for batch in range(record.batches):
            source = record.x + batch * record.x_batch * nbytes
            for _ in range(record.rows):
                load_row(source, window, plan, tables, first, first + plane, sign)
                at = transform(plan, tables, first, second)
                store_row(at, target, plan, tables, factor, imaginary_factor)
                source += record.x_row * nbytes
                target += record.out_row * nbytes
        return 0


for _of in (F32, F64):
    _make(_of)
