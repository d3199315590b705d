"""One stage of a Fourier transform (Stockham's, which needs no bit reversal), written directly in LLVM IR.

The data are two planes, real and imaginary parts, seen before and after a stage as

    in  [radix j][m p][s q]      out  [m p][radix k][s q]
    out[p, k, q] = twiddle(p, k, q) * sum over j of in[j, p, q] * exp(-2 pi i j k / radix)

q is contiguous and runs in whole vectors, backwards, the last of which may reach into what comes next; p and k run
forwards, so that what is written there too early is written again. Behind the planes there is room for one vector.

Twiddles are one complex number per (p, k > 0) (`SCALAR`), one per output element (`VECTOR`; then m is 1), or none.
"""

import math
import struct
from itertools import product
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.interface.fourier_plan import NONE, SCALAR, VECTOR
from rt_engine.kernels.parts.shapes import switch_to
from rt_native.multiply_add import multiply_add
from rt_native.vector import BYTES, PARTS, Vector, splat_part

RADICES = (2, 3, 4, 5, 7, 8)
_I64 = ir.IntType(64)
Complex = tuple[Any, Any]


class _Emitter:
    """Emits the arithmetic of one hardware vector."""

    def __init__(self, builder: Any, vector: Vector) -> None:
        self.builder, self.vector = builder, vector
        self.nbytes = vector.bits // 8

    def number(self, value: float) -> Any:
        if self.vector.bits == 32:
            value = _single(value)
        return ir.Constant(self.vector.part, [value] * self.vector.part.count)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return multiply_add(self.builder, a, b, c)

    def add(self, x: Complex, y: Complex) -> Complex:
        return self.builder.fadd(x[0], y[0]), self.builder.fadd(x[1], y[1])

    def sub(self, x: Complex, y: Complex) -> Complex:
        return self.builder.fsub(x[0], y[0]), self.builder.fsub(x[1], y[1])

    def times(self, x: Complex, w: Complex) -> Complex:
        b = self.builder
        real = self.fma(x[0], w[0], b.fneg(b.fmul(x[1], w[1])))
        return real, self.fma(x[0], w[1], b.fmul(x[1], w[0]))

    def turned(self, x: Complex, k: int, n: int) -> Complex:
        """x * exp(-2 pi i k / n), for the eighths of a turn that even radices need."""
        b, eighth = self.builder, 8 * k // n
        assert 8 * k % n == 0 and 0 <= eighth < 4, (k, n)
        if eighth == 0:
            return x
        if eighth == 2:
            return x[1], b.fneg(x[0])
        half = self.number(math.sqrt(0.5))
        total, difference = b.fmul(b.fadd(x[0], x[1]), half), b.fmul(b.fsub(x[1], x[0]), half)
        return (total, difference) if eighth == 1 else (difference, b.fneg(total))

    def transform(self, x: list[Complex]) -> list[Complex]:
        n = len(x)
        if n == 1:
            return x
        return self.even(x) if n % 2 == 0 else self.odd(x)

    def even(self, x: list[Complex]) -> list[Complex]:
        """Two transforms of half the length."""
        half = len(x) // 2
        low = self.transform(x[0::2])
        high = [self.turned(v, k, len(x)) for k, v in enumerate(self.transform(x[1::2]))]
        pairs = list(zip(low, high, strict=True))
        return [self.add(a, b) for a, b in pairs] + [self.sub(a, b) for a, b in pairs[:half]]

    def odd(self, x: list[Complex]) -> list[Complex]:
        """By definition, with the terms j and n - j taken together."""
        n, b = len(x), self.builder
        sums = [self.add(x[j], x[n - j]) for j in range(1, n // 2 + 1)]
        differences = [self.sub(x[j], x[n - j]) for j in range(1, n // 2 + 1)]
        first = x[0]
        for term in sums:
            first = self.add(first, term)
        out: list[Complex] = [first] * n
        for k in range(1, n // 2 + 1):
            even, odd = x[0], None
            for j, (s, d) in enumerate(zip(sums, differences, strict=True), 1):
                c = self.number(math.cos(2 * math.pi * (j * k % n) / n))
                w = self.number(math.sin(2 * math.pi * (j * k % n) / n))
                even = (self.fma(s[0], c, even[0]), self.fma(s[1], c, even[1]))
                odd = (
                    (b.fmul(d[0], w), b.fmul(d[1], w))
                    if odd is None
                    else (self.fma(d[0], w, odd[0]), self.fma(d[1], w, odd[1]))
                )
            assert odd is not None
            out[k] = (b.fadd(even[0], odd[1]), b.fsub(even[1], odd[0]))
            out[n - k] = (b.fsub(even[0], odd[1]), b.fadd(even[1], odd[0]))
        return out


def _single(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _emit_stage(builder: Any, vector: Vector, radix: int, kind: int, args: list[Any]) -> None:
    """The loops over p and q of one radix and kind of twiddles."""
    real, imaginary, to_real, to_imaginary, m, s, twiddle, twiddle_imaginary = args
    nbytes, part_bytes = vector.bits // 8, BYTES // PARTS
    emitter = _Emitter(builder, vector)

    def times(a: Any, b: Any) -> Any:
        return builder.mul(a, b if not isinstance(b, int) else _I64(b))

    def plus(a: Any, b: Any) -> Any:
        return builder.add(a, b if not isinstance(b, int) else _I64(b))

    def load(address: Any) -> Any:
        pointer = builder.inttoptr(address, vector.part.as_pointer())
        return builder.load(pointer, typ=vector.part, align=nbytes)

    def scalar(address: Any) -> Any:
        pointer = builder.inttoptr(address, vector.element.as_pointer())
        return splat_part(builder, vector, builder.load(pointer, typ=vector.element, align=nbytes))

    run = times(s, nbytes)
    in_step = times(m, run)
    vectors = builder.sdiv(plus(run, BYTES - 1), _I64(BYTES))
    with cgutils.for_range(builder, m, intp=_I64) as outer:
        in_row, out_row = times(outer.index, run), times(times(outer.index, run), radix)
        row_twiddle = plus(twiddle, times(outer.index, 2 * (radix - 1) * nbytes))
        with cgutils.for_range(builder, vectors, intp=_I64) as inner:
            q = times(builder.sub(builder.sub(vectors, inner.index), _I64(1)), BYTES)
            for part in reversed(range(PARTS)):  # backwards, like q
                at = plus(plus(in_row, q), part * part_bytes)
                places = [plus(at, times(in_step, j)) for j in range(radix)]
                x = [(load(plus(real, p)), load(plus(imaginary, p))) for p in places]
                y = emitter.transform(x)
                at = plus(plus(out_row, q), part * part_bytes)
                for k in range(radix):
                    place = plus(at, times(run, k))
                    value = y[k]
                    if kind == SCALAR and k:
                        w = plus(row_twiddle, 2 * (k - 1) * nbytes)
                        value = emitter.times(value, (scalar(w), scalar(plus(w, nbytes))))
                    elif kind == VECTOR:
                        w = (load(plus(twiddle, place)), load(plus(twiddle_imaginary, place)))
                        value = emitter.times(value, w)
                    for plane, number in zip((to_real, to_imaginary), value, strict=True):
                        pointer = builder.inttoptr(plus(plane, place), vector.part.as_pointer())
                        builder.store(number, pointer, align=nbytes)


def make_stage(vector: Vector) -> Any:
    """A native function that runs one stage.

    Arguments: radix (one of `RADICES`), kind of twiddles, real, imaginary, target real, target imaginary (addresses), m, s,
    twiddles (address; of `VECTOR`, the real plane), imaginary twiddles (address, for `VECTOR`).
    """

    @intrinsic
    def stage(
        typingctx: Any, radix: Any, kind: Any, real: Any, imaginary: Any, to_real: Any, to_imaginary: Any, m: Any,
        s: Any, twiddle: Any, twiddle_imaginary: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = list(product(RADICES, (NONE, SCALAR, VECTOR)))
            switch_to(builder, args[:2], kinds, lambda kind: _emit_stage(builder, vector, *kind, list(args[2:])))
            return context.get_dummy_value()

        return types.void(*([types.int64] * 10)), codegen

    return stage
