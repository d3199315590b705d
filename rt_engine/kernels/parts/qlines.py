"""A line of outputs of a convolution of every channel for itself, in LLVM IR: what `kernels.qdepthwise` describes."""

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.parts.qbytes import ToBytes, interleaved, splatted
from rt_engine.kernels.parts.requantise import clamped_part
from rt_native.dot import dot_part, is_widened, widened_bytes, widened_dots, widened_part, widened_weights
from rt_native.vector import LANES, masked

_I8, _I16, _I32, _I64 = (ir.IntType(n) for n in (8, 16, 32, 64))
_WIDEST = LANES // 4
"""Groups of 16 channels in a hardware vector of bytes."""
_BLOCK = 64
"""Channels of the largest block."""
_CHUNKS = (8, 16, 32)
"""Bytes of x that are a piece of a block, as many are between them."""
_ROLLED = 3
"""Quads of a window that are kept from output to output."""


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

    def quads(self, taps: list[Any]) -> list[Any]:
        """The four vectors of a quad of taps."""
        builder, found = self.builder, []
        for high in (False, True):
            pairs = [builder.bitcast(interleaved(builder, taps[i], taps[i + 1], high), self.words) for i in (0, 2)]
            found += [builder.bitcast(interleaved(builder, *pairs, half), self.ints) for half in (False, True)]
        return found

    def starts(self, bias: Any) -> list[Any]:
        return [self.load(self.ints, bias, j * self.stride) for j in range(4)]

    def run(self, x: Any, w: Any, wide: Any, bias: Any, table: Any, quads: Any, quad_stride: int) -> list[Any]:
        """The sums, four vectors; the weights are in `wide`, where that is no 0."""
        builder = self.builder
        cells = [cgutils.alloca_once_value(builder, start) for start in self.starts(bias)]
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
            taps = [self.load(self.bytes, builder.add(x, offset)) for offset in self.offsets(table, loop.index)]
            weights = self.weights(builder.add(w, builder.mul(loop.index, _I64(quad_stride))), wide)
            for j, quad in enumerate(self.quads(taps)):
                total = builder.load(cells[j], typ=self.ints)
                if wide:
                    total = widened_part(builder, total, quad, weights[j])
                else:
                    total = dot_part(builder, total, quad, weights[j][0])
                builder.store(total, cells[j])

    def offsets(self, table: Any, quad: Any) -> list[Any]:
        """Where the taps of a quad are."""
        places = self.builder.add(table, self.builder.shl(quad, _I64(4)))
        return [self.builder.sext(self.load(_I32, places, 4 * i), _I64) for i in range(4)]

    def weights(self, at: Any, wide: bool) -> list[list[Any]]:
        """The weights of a quad, by j."""
        if not wide:
            return [[self.load(self.ints, at, j * self.stride)] for j in range(4)]
        return [[self.load(self.words, at, (2 * j + odd) * self.stride) for odd in (0, 1)] for j in range(4)]

    def tap(self, address: Any, chunk: int, first: int) -> Any:
        """A tap, from byte `first` of the block on; with `chunk` not 0 every other piece of so many bytes."""
        count = self.bytes.count
        if not chunk:
            return self.load(self.bytes, address, first)
        at = first // chunk * 2 * chunk + first % chunk
        if chunk >= count:
            return self.load(self.bytes, address, at)
        pair = [self.load(self.bytes, address, at + part) for part in (0, count)]
        mask = [i // chunk * 2 * chunk + i % chunk for i in range(count)]
        return self.builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(_I32, count), mask))

    def line(
        self, fresh: int, chunk: int, first: int, x: Any, w: Any, bias: Any, scale: Any, table: Any, quad_stride: int,
        out: "_Target", step: Any, goal: Any,
    ) -> None:  # fmt: skip
        """`out.count` outputs, whose windows of three quads have all but the last `fresh` from the one before."""
        builder, wide, kept = self.builder, self.widens(), _ROLLED - fresh
        kind = self.words if wide else self.ints
        weights = [self.weights(builder.add(w, _I64((1 + wide) * quad_stride * q)), wide) for q in range(_ROLLED)]
        offsets = [self.offsets(table, _I64(q)) for q in range(_ROLLED)]
        starts, factors = self.starts(bias), self.factors(scale)

        def quad(at: Any, q: int) -> list[list[Any]]:
            found = self.quads([self.tap(builder.add(at, offset), chunk, first) for offset in offsets[q]])
            return [widened_bytes(builder, part) if wide else [part] for part in found]

        cells = [
            [[cgutils.alloca_once_value(builder, part) for part in parts] for parts in quad(x, q)] for q in range(kept)
        ]
        with cgutils.for_range(builder, out.count, intp=_I64) as loop:
            at = builder.add(x, builder.mul(loop.index, step))
            seen = [[[builder.load(c, typ=kind) for c in parts] for parts in of_quad] for of_quad in cells]
            seen += [quad(at, q) for q in range(kept, _ROLLED)]
            sums = list(starts)
            for quads, of_quad in zip(seen, weights, strict=True):
                for j, (parts, factor) in enumerate(zip(quads, of_quad, strict=True)):
                    if wide:
                        sums[j] = widened_dots(builder, sums[j], parts, factor)
                    else:
                        sums[j] = dot_part(builder, sums[j], parts[0], factor[0])
            for of_quad, later in zip(cells, seen[fresh:], strict=True):
                for parts, values in zip(of_quad, later, strict=True):
                    for cell, value in zip(parts, values, strict=True):
                        builder.store(value, cell)
            self.finish(goal, sums, factors, builder.add(out.address, builder.mul(loop.index, out.step)), out.left)

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

    def factors(self, scale: Any) -> list[Any]:
        return [self.load(self.floats, scale, j * self.stride) for j in range(4)]

    def finish(self, goal: ToBytes, sums: list[Any], factors: list[Any], out: Any, left: Any) -> None:
        """Quantise and store up to `left` channels."""
        builder = self.builder
        value, pointer = goal.bytes_of(sums, factors), builder.inttoptr(out, self.bytes.as_pointer())
        count = self.bytes.count
        with builder.if_else(builder.icmp_signed(">=", left, _I64(count))) as (whole, some):
            with whole:
                builder.store(value, pointer, align=1)
            with some:
                numbers = ir.Constant(ir.VectorType(_I32, count), list(range(count)))
                limit = splatted(builder, ir.VectorType(_I32, count), builder.trunc(left, _I32))
                mask = builder.icmp_signed("<", numbers, limit)
                masked(builder, f"llvm.masked.store.v{count}i8.p0", ir.VoidType(), [value, pointer, mask], 1, 1)

    def keep(self, sums: list[Any], scale: Any, out: Any, left: Any, real: Any, low: Any, high: Any) -> None:
        """Store up to `left` channels of four bytes: the sums, or with `real` the scaled numbers."""
        builder, low, high = self.builder, *(splatted(self.builder, self.floats, limit) for limit in (low, high))
        for j, (total, factor) in enumerate(zip(sums, self.factors(scale), strict=True)):
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
                        mask = builder.icmp_signed("<", numbers, splatted(builder, four.type, limit))
                        masked(builder, "llvm.masked.store.v4i32.p0", ir.VoidType(), [four, at, mask], 1, 4)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a line of outputs goes, and in what way: `kept` is the record's `sums`."""

    address: Any
    step: Any
    count: Any
    left: Any
    kept: Any


def _emit_line(
    emitter: _Emitter, first: int, places: list[Any], wide: Any, table: Any, quads: Any, quad_stride: int, step: Any,
    fresh: Any, chunk: Any, out: _Target, numbers: tuple[Any, Any, Any],
) -> None:  # fmt: skip
    """A line in the way that fits its window, from byte `first` of a block on."""
    builder, (x, w, bias, scale) = emitter.builder, places
    end = builder.append_basic_block("line.end")
    usual = builder.append_basic_block("line.usual")
    quantised = builder.icmp_signed("==", out.kept, _I64(0))
    switch = builder.switch(builder.select(quantised, builder.add(fresh, chunk), _I64(0)), usual)
    for moved, piece in ((1, 0), (2, 0), *((2, piece) for piece in _CHUNKS if quad_stride == 4 * _BLOCK)):
        block = builder.append_basic_block(f"line.rolled.{moved}.{piece}")
        switch.add_case(_I64(moved + piece), block)
        builder.position_at_end(block)
        goal = ToBytes(builder, emitter.ints.count, *numbers, moderate=True)
        weights = wide if emitter.widens() else w
        emitter.line(moved, piece, first, x, weights, bias, scale, table, quad_stride, out, step, goal)
        builder.branch(end)
    builder.position_at_end(usual)
    with cgutils.for_range(builder, out.count, intp=_I64) as loop:
        at = builder.add(builder.add(x, _I64(first)), builder.mul(loop.index, step))
        to = builder.add(out.address, builder.mul(loop.index, out.step))
        sums = emitter.run(at, w, wide, bias, table, quads, quad_stride)
        with builder.if_else(quantised) as (bytes_wanted, numbers_wanted):
            with bytes_wanted:
                goal = ToBytes(builder, emitter.ints.count, *numbers)
                emitter.finish(goal, sums, emitter.factors(scale), to, out.left)
            with numbers_wanted:
                real = builder.icmp_signed("==", out.kept, _I64(2))
                emitter.keep(sums, scale, to, out.left, real, *numbers[1:])
    builder.branch(end)
    builder.position_at_end(end)


def make_lines(groups: int) -> Any:
    """A native function for a line of outputs of a block of `groups` times 16 channels."""
    part = min(groups, _WIDEST)

    @intrinsic
    def lines(
        typingctx: Any, x: Any, w: Any, wide: Any, bias: Any, scale: Any, table: Any, quads: Any, count: Any, step: Any,
        fresh: Any, chunk: Any, out: Any, out_step: Any, left: Any, kept: Any, zero: Any, low: Any, high: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, w, wide, bias, scale, table, quads, count, step, fresh, chunk, out, out_step, left, kept, *numbers = args
            for first in range(0, groups, part):
                shift = _I64(16 * first)
                emitter = _Emitter(builder, part, 16 * groups)
                places = [x, *(builder.add(address, shift) for address in (w, bias, scale))]
                wide_place = builder.select(builder.icmp_signed("==", wide, _I64(0)), wide, builder.add(wide, shift))
                item = builder.select(builder.icmp_signed("==", kept, _I64(0)), _I64(1), _I64(4))
                target = _Target(
                    builder.add(out, builder.mul(shift, item)), out_step, count, builder.sub(left, shift), kept
                )
                _emit_line(
                    emitter, 16 * first, places, wide_place, table, quads, 64 * groups, step, fresh, chunk, target, tuple(numbers)
                )  # fmt: skip
            return context.get_dummy_value()

        return types.void(*([types.int64] * 15), types.int32, types.float32, types.float32), codegen

    return lines


def make_widening(groups: int) -> Any:
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
