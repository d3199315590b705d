"""Bytes as four hardware vectors of numbers, and back: what `requantise.requantised` does, in registers.

    four vectors, lanes 0 1 2 ...    bytes, 16 of every 4 lanes:  a0 a1 a2 a3 b0 b1 b2 b3 c0 c1 c2 c3 d0 ... a4 a5 ...

On x86 numbers are packed with saturation, which is their lower limit too: what is below every limit, also a number that no int32
holds, becomes the least one. The upper limit is kept before, among real numbers, or, where all are known to be `moderate` (less
than 2^31), behind, among bytes. Elsewhere both are kept before.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from rt_engine.kernels.parts.requantise import clamped_part, nearest_part
from rt_native.vector import PARTS, call_llvm, f32x, split

_I8, _I16, _I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_TWO_23 = 1 << 23
_MAGIC = 0x4B000000
"""The bits of 2^23 in float32."""
_SIGNED = 128
"""Added to signed bytes, so that they are packed as unsigned ones."""


def splatted(builder: Any, kind: Any, scalar: Any) -> Any:
    """A vector with the same scalar in every lane."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, _I32(0))
    zeros = ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


def interleaved(builder: Any, a: Any, b: Any, high: bool) -> Any:
    """Elements of `a` and `b` in turns, from the low or high half of every 16 bytes."""
    each = 128 // a.type.element.width
    mask = []
    for first in range(each // 2 if high else 0, a.type.count, each):
        for i in range(each // 2):
            mask += [first + i, a.type.count + first + i]
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(mask)), mask))


def reals_of(builder: Any, value: Any, zero: Any) -> list[Any]:
    """Unsigned bytes less a zero point (int32) as four vectors of float32, exactly.

    A byte below the upper half of the float 2^23 is the float 2^23 + byte.
    """
    count = value.type.count // 4
    words, floats = ir.VectorType(_I16, 2 * count), ir.VectorType(ir.FloatType(), count)
    nothing, magic = ir.Constant(value.type, None), ir.Constant(words, [_MAGIC >> 16] * 2 * count)
    shift = splatted(builder, floats, builder.sitofp(builder.add(zero, _I32(_TWO_23)), ir.FloatType()))
    found = []
    for high in (False, True):
        half = builder.bitcast(interleaved(builder, value, nothing, high), words)
        for part in (False, True):
            real = builder.bitcast(interleaved(builder, half, magic, part), floats)
            found.append(builder.fsub(real, shift))
    return found


class ToBytes:
    """Emits the constants once, in front of a loop; vectors of sums have `count` lanes."""

    def __init__(self, builder: Any, count: int, zero: Any, low: Any, high: Any, moderate: bool = False) -> None:
        self.builder, self.count, self.moderate = builder, count, moderate
        self.floats, self.bytes = ir.VectorType(ir.FloatType(), count), ir.VectorType(_I8, 4 * count)
        self.packs = builder.module.triple.startswith("x86_64")
        self.low, self.high = (splatted(builder, self.floats, limit) for limit in (low, high))
        self.zero = splatted(builder, ir.VectorType(_I32, count), zero)
        if not self.packs:
            return
        least, most = (builder.add(builder.fptosi(limit, _I32), zero) for limit in (low, high))
        flip = builder.select(builder.icmp_signed("<", least, _I32(0)), _I32(_SIGNED), _I32(0))
        words = ir.VectorType(_I16, 2 * count)
        self.shift = splatted(builder, words, builder.trunc(builder.add(zero, flip), _I16))
        self.least, self.most = (
            splatted(builder, self.bytes, builder.trunc(builder.add(limit, flip), _I8)) for limit in (least, most)
        )
        self.flip = splatted(builder, self.bytes, builder.trunc(flip, _I8))

    def bytes_of(self, totals: list[Any], factors: list[Any]) -> Any:
        """Four vectors of sums, each times its factors, as one of bytes in the order above."""
        builder = self.builder
        return self.of_reals(
            [builder.fmul(builder.sitofp(t, self.floats), f) for t, f in zip(totals, factors, strict=True)]
        )

    def of_reals(self, reals: list[Any]) -> Any:
        """The same of quotients."""
        return self._packed(reals) if self.packs else self._narrowed(reals)

    def _packed(self, reals: list[Any]) -> Any:
        builder, count = self.builder, self.count
        name = {4: "llvm.x86.sse2.{}.128", 8: "llvm.x86.avx2.{}", 16: "llvm.x86.avx512.{}.512"}[count]
        # What is no number stays one, and becomes the least integer.
        below = reals
        if not self.moderate:
            below = [builder.select(builder.fcmp_ordered("<", self.high, real), self.high, real) for real in reals]
        ints = [nearest_part(builder, value) for value in below]
        words = [call_llvm(builder, name.format("packssdw"), self.shift.type, ints[i : i + 2]) for i in (0, 2)]
        moved = [call_llvm(builder, f"llvm.sadd.sat.v{2 * count}i16", w.type, [w, self.shift]) for w in words]
        value = call_llvm(builder, name.format("packuswb"), self.bytes, moved)
        value = builder.select(builder.icmp_unsigned(">", value, self.least), value, self.least)
        if self.moderate:
            value = builder.select(builder.icmp_unsigned("<", value, self.most), value, self.most)
        return builder.xor(value, self.flip)

    def bytes_of_one(self, total: Any, factor: Any) -> Any:
        """The bytes of one vector alone, in the order of its lanes."""
        return self._narrow(self.builder.fmul(self.builder.sitofp(total, self.floats), factor))

    def _narrow(self, real: Any) -> Any:
        whole = nearest_part(self.builder, clamped_part(self.builder, real, self.low, self.high))
        return self.builder.trunc(self.builder.add(whole, self.zero), ir.VectorType(_I8, self.count))

    def _narrowed(self, reals: list[Any]) -> Any:
        builder, count, small = self.builder, self.count, [self._narrow(real) for real in reals]
        line = ir.Constant(ir.VectorType(_I32, 2 * count), list(range(2 * count)))
        pairs = [builder.shuffle_vector(small[i], small[i + 1], line) for i in (0, 2)]
        mask = [count * j + 4 * group + lane for group in range(count // 4) for j in range(4) for lane in range(4)]
        return builder.shuffle_vector(*pairs, ir.Constant(ir.VectorType(_I32, len(mask)), mask))

    def in_order(self, value: Any) -> Any:
        """The bytes of `bytes_of` with those of each vector side by side."""
        groups = self.count // 4
        quads = self.builder.bitcast(value, ir.VectorType(_I32, self.count))
        mask = ir.Constant(quads.type, [4 * group + j for j in range(4) for group in range(groups)])
        return self.builder.bitcast(self.builder.shuffle_vector(quads, quads, mask), self.bytes)


@intrinsic
def store_reals(
    typingctx: Any, address: Any, a: Any, b: Any, c: Any, d: Any, zero: Any, low: Any, high: Any
) -> Any:  # fmt: skip
    """64 quotients below 2^31, four vectors of float32, as bytes: rounded, within limits, plus a zero point."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, *vectors, zero, low, high = args
        goal = ToBytes(builder, f32x.part.count, zero, low, high, moderate=True)
        parts = [part for vector in vectors for part in split(builder, vector)]
        for i in range(PARTS):
            value = goal.in_order(goal.of_reals(parts[4 * i : 4 * i + 4]))
            at = builder.add(address, ir.Constant(ir.IntType(64), i * value.type.count))
            builder.store(value, builder.inttoptr(at, value.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, f32x, f32x, f32x, f32x, types.int32, types.float32, types.float32), codegen
