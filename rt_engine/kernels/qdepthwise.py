"""Integer convolutions of every channel for itself, four taps at a time.

    qdepthwise     x (uint8), w, bias (int32), scale (float32), table (int32); record: `interface.qdepthwise`

The table has the byte offset of each output pixel's window in an image, then that of each tap in a window; taps that fill up
the last quad have the weight 0. The input carries its padding with it; `x` is read up to 64 bytes behind its end, where
memory must be. Nothing outside of `out` is written. What becomes of the sums says `sums`: see `requantise`.

Channels stand in blocks of 64, then 32 and 16 for what is left. In a block, four taps are unpacked within 16 bytes each:

    bytes of taps a b c d, channels 0 1 2 ...    a0 b0 c0 d0 a1 b1 c1 d1 a2 ...    into four vectors j = 0 .. 3
    vector j has of every 16 channels those from 4j to 4j + 3; packing the results undoes it

Weights are [block][quad][j][16 channels each: 4 of them][4 taps], bias and scale [block][j][16 channels each: 4 of them]:
one order for every machine; a machine with narrower vectors works through a block in parts. Where the machine multiplies 16 bits
(`rt_native.dot`), the weights of a block of some pixels are widened once, on the stack: [quad][j][even taps, odd taps].
"""

from typing import Any

from llvmlite import ir
from numba import float32, int32
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.interface.qdepthwise import QDEPTHWISE
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.requantise import clamped_part, nearest_part
from rt_native.dot import dot_part, is_widened, widened_part, widened_weights
from rt_native.lang import inline, load_i32, stack
from rt_native.vector import LANES, call_llvm, masked

_I8, _I16, _I32, _I64 = (ir.IntType(n) for n in (8, 16, 32, 64))
_WIDEST = LANES // 4
"""Groups of 16 channels in a hardware vector of bytes."""
_MOST = 16
"""Quads whose widened weights, 512 bytes each in a block of 64 channels, fit the stack: windows of 64 taps."""
_FEW = 4
"""Pixels from which on weights are widened once."""


class _Emitter:
    """Emits `groups` times 16 channels of one pixel; a block has `stride` bytes from vector j to vector j + 1."""

    def __init__(self, builder: Any, groups: int, stride: int) -> None:
        self.builder, self.groups, self.stride = builder, groups, stride
        self.bytes = ir.VectorType(_I8, 16 * groups)
        self.words, self.ints = ir.VectorType(_I16, 8 * groups), ir.VectorType(_I32, 4 * groups)
        self.floats = ir.VectorType(ir.FloatType(), 4 * groups)

    def load(self, kind: Any, address: Any, offset: int = 0) -> Any:
        at = self.builder.add(address, _I64(offset))
        return self.builder.load(self.builder.inttoptr(at, kind.as_pointer()), typ=kind, align=1)

    def unpack(self, a: Any, b: Any, high: bool) -> Any:
        """Elements of `a` and `b` in turns, from the low or high half of every 16 bytes."""
        each = a.type.count // self.groups
        mask = []
        for group in range(self.groups):
            first = group * each + (each // 2 if high else 0)
            for i in range(each // 2):
                mask += [first + i, a.type.count + first + i]
        indices = ir.Constant(ir.VectorType(_I32, len(mask)), mask)
        return self.builder.shuffle_vector(a, b, indices)

    def quads(self, taps: list[Any]) -> list[Any]:
        """The four vectors of a quad of taps."""
        builder, found = self.builder, []
        for high in (False, True):
            pairs = [builder.bitcast(self.unpack(taps[i], taps[i + 1], high), self.words) for i in (0, 2)]
            found += [builder.bitcast(self.unpack(*pairs, half), self.ints) for half in (False, True)]
        return found

    def splat(self, kind: Any, scalar: Any) -> Any:
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, _I32(0))
        zeros = ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count)
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    def run(self, x: Any, w: Any, wide: Any, bias: Any, table: Any, quads: Any, quad_stride: int) -> list[Any]:
        """The sums, four vectors; the weights are in `wide`, where that is no 0."""
        builder = self.builder
        cells = [cgutils.alloca_once_value(builder, self.load(self.ints, bias, j * self.stride)) for j in range(4)]
        if not self.widens():
            self.add_up(cells, x, w, table, quads, quad_stride, False)
        else:
            with builder.if_else(builder.icmp_signed("==", wide, _I64(0))) as (narrow, widened):
                with narrow:
                    self.add_up(cells, x, w, table, quads, quad_stride, False)
                with widened:
                    self.add_up(cells, x, wide, table, quads, 2 * quad_stride, True)
        return [builder.load(cell, typ=self.ints) for cell in cells]

    def widens(self) -> bool:
        return is_widened(self.builder, 32 * self.ints.count)

    def add_up(self, cells: list[Any], x: Any, w: Any, table: Any, quads: Any, quad_stride: int, wide: bool) -> None:
        """Every quad's products on top of the cells."""
        builder = self.builder
        with cgutils.for_range(builder, quads, intp=_I64) as loop:
            places = builder.add(table, builder.shl(loop.index, _I64(4)))
            offsets = [builder.sext(self.load(_I32, places, 4 * i), _I64) for i in range(4)]
            taps = [self.load(self.bytes, builder.add(x, offset)) for offset in offsets]
            weights = builder.add(w, builder.mul(loop.index, _I64(quad_stride)))
            for j, quad in enumerate(self.quads(taps)):
                total = builder.load(cells[j], typ=self.ints)
                if wide:
                    pair = [self.load(self.words, weights, (2 * j + odd) * self.stride) for odd in (0, 1)]
                    total = widened_part(builder, total, quad, pair)
                else:
                    total = dot_part(builder, total, quad, self.load(self.ints, weights, j * self.stride))
                builder.store(total, cells[j])

    def widen(self, w: Any, wide: Any, quads: Any, quad_stride: int) -> None:
        """Put the weights of `quads` into `wide`, as `add_up` reads them."""
        builder = self.builder
        with cgutils.for_range(builder, quads, intp=_I64) as loop:
            at = builder.mul(loop.index, _I64(quad_stride))
            source, target = builder.add(w, at), builder.add(wide, builder.shl(at, _I64(1)))
            for j in range(4):
                for odd, half in enumerate(widened_weights(builder, self.load(self.ints, source, j * self.stride))):
                    to = builder.add(target, _I64((2 * j + odd) * self.stride))
                    builder.store(half, builder.inttoptr(to, half.type.as_pointer()), align=1)

    def pack(self, parts: list[Any]) -> Any:
        """The low bytes of four vectors, in the order of the channels."""
        builder = self.builder
        if builder.module.triple.startswith("x86_64"):
            name = {1: "llvm.x86.sse2.{}.128", 2: "llvm.x86.avx2.{}", 4: "llvm.x86.avx512.{}.512"}[self.groups]
            low = ir.Constant(self.words, [0xFF] * self.words.count)
            halves = [call_llvm(builder, name.format("packssdw"), self.words, parts[i : i + 2]) for i in (0, 2)]
            halves = [builder.and_(half, low) for half in halves]
            return call_llvm(builder, name.format("packuswb"), self.bytes, halves)
        small = [builder.trunc(part, ir.VectorType(_I8, 4 * self.groups)) for part in parts]
        count = 4 * self.groups
        line = ir.Constant(ir.VectorType(_I32, 2 * count), list(range(2 * count)))
        pairs = [builder.shuffle_vector(small[i], small[i + 1], line) for i in (0, 2)]
        mask = [count * j + 4 * group + c for group in range(self.groups) for j in range(4) for c in range(4)]
        return builder.shuffle_vector(*pairs, ir.Constant(ir.VectorType(_I32, len(mask)), mask))

    def finish(self, sums: list[Any], scale: Any, out: Any, left: Any, zero: Any, low: Any, high: Any) -> None:
        """Quantise and store up to `left` channels."""
        builder, parts = self.builder, []
        low, high = self.splat(self.floats, low), self.splat(self.floats, high)
        shift = self.splat(self.ints, zero)
        for j, total in enumerate(sums):
            factor = self.load(self.floats, scale, j * self.stride)
            real = builder.fmul(builder.sitofp(total, self.floats), factor)
            parts.append(builder.add(nearest_part(builder, clamped_part(builder, real, low, high)), shift))
        value, pointer = self.pack(parts), builder.inttoptr(out, self.bytes.as_pointer())
        count = self.bytes.count
        with builder.if_else(builder.icmp_signed(">=", left, _I64(count))) as (whole, some):
            with whole:
                builder.store(value, pointer, align=1)
            with some:
                numbers = ir.Constant(ir.VectorType(_I32, count), list(range(count)))
                mask = builder.icmp_signed(
                    "<", numbers, self.splat(ir.VectorType(_I32, count), builder.trunc(left, _I32))
                )
                masked(builder, f"llvm.masked.store.v{count}i8.p0", ir.VoidType(), [value, pointer, mask], 1, 1)

    def keep(self, sums: list[Any], scale: Any, out: Any, left: Any, real: Any, low: Any, high: Any) -> None:
        """Store up to `left` channels of four bytes: the sums, or with `real` the scaled numbers."""
        builder, low, high = self.builder, self.splat(self.floats, low), self.splat(self.floats, high)
        for j, total in enumerate(sums):
            factor = self.load(self.floats, scale, j * self.stride)
            scaled = clamped_part(builder, builder.fmul(builder.sitofp(total, self.floats), factor), low, high)
            value = builder.select(real, builder.bitcast(scaled, self.ints), total)
            for group in range(self.groups):
                lanes = ir.Constant(ir.VectorType(_I32, 4), [4 * group + c for c in range(4)])
                four = builder.shuffle_vector(value, value, lanes)
                first = 16 * group + 4 * j
                at = builder.inttoptr(builder.add(out, _I64(4 * first)), four.type.as_pointer())
                rest = builder.sub(left, _I64(first))
                with builder.if_else(builder.icmp_signed(">=", rest, _I64(4))) as (whole, some):
                    with whole:
                        builder.store(four, at, align=4)
                    with some:
                        numbers, limit = ir.Constant(four.type, list(range(4))), builder.trunc(rest, _I32)
                        mask = builder.icmp_signed("<", numbers, self.splat(four.type, limit))
                        masked(builder, "llvm.masked.store.v4i32.p0", ir.VoidType(), [four, at, mask], 1, 4)


def _make_block(groups: int) -> Any:
    """A native function for one pixel of a block of `groups` times 16 channels."""
    part = min(groups, _WIDEST)

    @intrinsic
    def block(
        typingctx: Any, x: Any, w: Any, wide: Any, bias: Any, scale: Any, table: Any, quads: Any, out: Any, left: Any, kept: Any,
        zero: Any, low: Any, high: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, w, wide, bias, scale, table, quads, out, left, kept, zero, low, high = args
            quantised = builder.icmp_signed("==", kept, _I64(0))
            for first in range(0, groups, part):
                shift = _I64(16 * first)
                emitter, rest = _Emitter(builder, part, 16 * groups), builder.sub(left, shift)
                places = [builder.add(address, shift) for address in (x, w, bias, scale)]
                wide_place = builder.select(builder.icmp_signed("==", wide, _I64(0)), wide, builder.add(wide, shift))
                sums = emitter.run(places[0], places[1], wide_place, places[2], table, quads, 64 * groups)
                with builder.if_else(quantised) as (bytes_wanted, numbers_wanted):
                    with bytes_wanted:
                        emitter.finish(sums, places[3], builder.add(out, shift), rest, zero, low, high)
                    with numbers_wanted:
                        real = builder.icmp_signed("==", kept, _I64(2))
                        emitter.keep(sums, places[3], builder.add(out, _I64(64 * first)), rest, real, low, high)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 10), types.int32, types.float32, types.float32), codegen

    return block


def _make_widening(groups: int) -> Any:
    """Widens the weights of a block; gives where they are, or 0 on machines that need it not."""
    part = min(groups, _WIDEST)

    @intrinsic
    def widened(typingctx: Any, w: Any, wide: Any, quads: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, wide, quads = args
            emitter = _Emitter(builder, part, 16 * groups)
            if not emitter.widens():
                return _I64(0)
            for first in range(0, groups, part):
                shift = _I64(16 * first)
                emitter.widen(builder.add(w, shift), builder.add(wide, shift), quads, 64 * groups)
            return wide

        return types.int64(types.int64, types.int64, types.int64), codegen

    return widened


_block_4, _block_2, _block_1 = (_make_block(groups) for groups in (4, 2, 1))
_widened_4, _widened_2, _widened_1 = (_make_widening(groups) for groups in (4, 2, 1))


@inline
def _widened(groups, w, room, quads):
    if groups == 4:
        return _widened_4(w, room, quads)
    if groups == 2:
        return _widened_2(w, room, quads)
    return _widened_1(w, room, quads)


@kernel("qdepthwise", QDEPTHWISE)
def qdepthwise(record):
    """See the top of this file."""
    pixels, quads, channels, zero = record.pixels, record.quads, record.channels, int32(record.zero)
    low, high, kept = float32(record.low), float32(record.high), record.sums
    item = 1 if kept == 0 else 4
    starts = record.table
    taps = starts + (int(record.offsets) or 4 * pixels)
    total = (channels + 15) // 16
    room = stack(8192)
    once = pixels >= _FEW and quads <= _MOST
    for image in range(record.images):
        x = record.x + image * record.x_image
        out = record.out + image * pixels * channels * item
        w, bias, scale = record.w, record.bias, record.scale
        done = 0
        while done < total:
            rest = total - done
            groups = 4 if rest >= 4 else (2 if rest >= 2 else 1)
            left = channels - 16 * done
            wide = _widened(groups, w, room, quads) if once else 0
            for pixel in range(pixels):
                at = x + load_i32(starts + 4 * pixel) + 16 * done
                to = out + (pixel * channels + 16 * done) * item
                if groups == 4:
                    _block_4(at, w, wide, bias, scale, taps, quads, to, left, kept, zero, low, high)
                elif groups == 2:
                    _block_2(at, w, wide, bias, scale, taps, quads, to, left, kept, zero, low, high)
                else:
                    _block_1(at, w, wide, bias, scale, taps, quads, to, left, kept, zero, low, high)
            w += 64 * groups * quads
            bias += 64 * groups
            scale += 64 * groups
            done += groups
    return 0
