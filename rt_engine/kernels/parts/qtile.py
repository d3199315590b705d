"""The integer matrix-product tile: `rows x vectors` int32 sums held in registers while k runs, written in LLVM IR.

    weights, signed bytes, packed like float32 ones (`parts.tile`) with four k in place of one number:

        panel 0: k=0..3 [v0 v1 v2 v3]  k=4..7 [v0 v1 v2 v3] ...     each v: 16 columns x 4 bytes
        the last quad is filled up with zeros

    one step of a quad:   acc[r][v] += dot4(splat(a[r, 4 bytes]), b[quad, v])

Integer sums are exact and wrap around, so that no order of summation can be told from another.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.parts.qbytes import ToBytes
from rt_engine.kernels.parts.shapes import call_once, switch_to
from rt_native.dot import dot_part
from rt_native.vector import BYTES, PARTS, f32x, i32x, splat_part

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


class _Emitter:
    """Emits one tile. `table` is the address of the byte offset (int32) of each quad of `a`, or None: 0, 4, 8, ..."""

    def __init__(self, builder: Any, rows: int, vectors: int, splits: int, dot: Any) -> None:
        self.builder, self.rows, self.vectors, self.splits, self.dot = builder, rows, vectors, splits, dot

    def parts_at(self, address: Any, v: int) -> list[Any]:
        """The hardware vectors of virtual vector `v` behind `address`."""
        step = BYTES // PARTS
        places = [self.builder.add(address, _I64(BYTES * v + step * p)) for p in range(PARTS)]
        pointers = [self.builder.inttoptr(p, i32x.part.as_pointer()) for p in places]
        return [self.builder.load(p, typ=i32x.part, align=4) for p in pointers]

    def start(self, bias: Any) -> None:
        """Chain 0 starts at the bias, the others at zero."""
        zero = ir.Constant(i32x.part, [0] * i32x.part.count)
        columns = [self.parts_at(bias, v) for v in range(self.vectors)]
        self.acc = {
            (r, v, s, p): cgutils.alloca_once_value(self.builder, columns[v][p] if s == 0 else zero)
            for r in range(self.rows)
            for v in range(self.vectors)
            for s in range(self.splits)
            for p in range(PARTS)
        }

    def step(self, quads: Sequence[Any], b: Any, chain: int) -> None:
        """One quad of k: `quads` is an int32 for each row."""
        builder = self.builder
        columns = [self.parts_at(b, v) for v in range(self.vectors)]
        for r, quad in enumerate(quads):
            factor = splat_part(builder, i32x, quad)
            for v in range(self.vectors):
                for p in range(PARTS):
                    cell = self.acc[r, v, chain, p]
                    value = builder.load(cell, typ=i32x.part)
                    builder.store(self.dot(builder, value, factor, columns[v][p]), cell)

    def quads_at(self, rows: Sequence[Any], offset: Any) -> list[Any]:
        builder = self.builder
        places = [builder.inttoptr(builder.add(row, offset), _I32.as_pointer()) for row in rows]
        return [builder.load(p, typ=_I32, align=1) for p in places]

    def last_quads(self, rows: Sequence[Any], offset: Any, count: Any) -> list[Any]:
        """The last 1 to 3 bytes of each row; the bytes behind them are not read, their weights are zero."""
        builder = self.builder
        quads = []
        for row in rows:
            quad = _I32(0)
            for byte in range(3):
                there = builder.icmp_signed("<", _I64(byte), count)
                at = builder.select(there, _I64(byte), _I64(0))
                pointer = builder.inttoptr(builder.add(builder.add(row, offset), at), _I8.as_pointer())
                value = builder.shl(builder.zext(builder.load(pointer, typ=_I8), _I32), _I32(8 * byte))
                quad = builder.or_(quad, value)
            quads.append(quad)
        return quads

    def run(self, rows: Sequence[Any], table: Any, b: Any, b_stride: Any, k: Any) -> None:
        builder, splits = self.builder, self.splits
        whole = builder.ashr(k, _I64(2))
        rounds = builder.sdiv(whole, _I64(splits))

        def offset(quad: Any) -> Any:
            if table is None:
                return builder.shl(quad, _I64(2))
            pointer = builder.inttoptr(builder.add(table, builder.shl(quad, _I64(2))), _I32.as_pointer())
            return builder.sext(builder.load(pointer, typ=_I32, align=4), _I64)

        def one(quad: Any, chain: int) -> None:
            self.step(self.quads_at(rows, offset(quad)), builder.add(b, builder.mul(quad, b_stride)), chain)

        with cgutils.for_range(builder, rounds, intp=_I64) as loop:
            for s in range(splits):
                one(builder.add(builder.mul(loop.index, _I64(splits)), _I64(s)), s)
        done = builder.mul(rounds, _I64(splits))
        for s in range(splits - 1):
            with builder.if_then(builder.icmp_signed("<", builder.add(done, _I64(s)), whole)):
                one(builder.add(done, _I64(s)), s)
        if table is None:
            rest = builder.and_(k, _I64(3))
            with builder.if_then(builder.icmp_signed(">", rest, _I64(0))):
                quads = self.last_quads(rows, builder.shl(whole, _I64(2)), rest)
                self.step(quads, builder.add(b, builder.mul(whole, b_stride)), 0)

    def total(self, r: int, v: int, p: int) -> Any:
        """The sum of the chains."""
        total = self.builder.load(self.acc[r, v, 0, p], typ=i32x.part)
        for s in range(1, self.splits):
            total = self.builder.add(total, self.builder.load(self.acc[r, v, s, p], typ=i32x.part))
        return total

    def keep(self, to: Any, row: Any, vector: Any) -> None:
        """The sums go to `to`, int32, with so many bytes from row to row and from vector to vector."""
        builder, step = self.builder, BYTES // PARTS
        for r in range(self.rows):
            for v in range(self.vectors):
                first = builder.add(builder.mul(row, _I64(r)), builder.mul(vector, _I64(v)))
                for p in range(PARTS):
                    at = builder.add(builder.add(to, first), _I64(step * p))
                    builder.store(self.total(r, v, p), builder.inttoptr(at, i32x.part.as_pointer()), align=4)

    def quantise(self, c: Any, c_stride: Any, scale: Any, zero: Any, low: Any, high: Any) -> None:
        """The sums go to `c` as bytes, all columns: what `requantise.requantised` does, in registers. Scales of several rows are
        below 1 (`are_moderate`)."""
        width, side = i32x.part.count, self.vectors * PARTS
        goal = ToBytes(self.builder, width, zero, low, high, moderate=self.rows > 1)
        if side == 1:
            factor = self.floats_at(scale, 0, 0)
            for r in range(self.rows):
                self.store(goal.bytes_of_one(self.total(r, 0, 0), factor), c, c_stride, r, 0)
            return
        parts = [(r, v, p) for r in range(self.rows) for v in range(self.vectors) for p in range(PARTS)]
        for first in range(0, len(parts), 4):
            four = parts[first : first + 4]
            full = [*four, *[four[-1]] * (4 - len(four))]
            factors = [self.floats_at(scale, v, p) for _, v, p in full]
            value = goal.in_order(goal.bytes_of([self.total(*part) for part in full], factors))
            run = min(len(four), side)
            for i in range(0, len(four), run):
                r, v, p = four[i]
                mask = ir.Constant(ir.VectorType(_I32, run * width), list(range(i * width, (i + run) * width)))
                self.store(self.builder.shuffle_vector(value, value, mask), c, c_stride, r, 16 * v + width * p)

    def store(self, value: Any, c: Any, c_stride: Any, r: int, column: int) -> None:
        """Bytes of a row, from a column on."""
        builder = self.builder
        to = builder.add(builder.add(c, builder.mul(c_stride, _I64(r))), _I64(column))
        builder.store(value, builder.inttoptr(to, value.type.as_pointer()), align=1)

    def floats_at(self, address: Any, v: int, p: int) -> Any:
        """A hardware vector of scales."""
        at = self.builder.add(address, _I64(BYTES * v + BYTES // PARTS * p))
        return self.builder.load(self.builder.inttoptr(at, f32x.part.as_pointer()), typ=f32x.part, align=4)


def make_qtiles(shapes: Sequence[tuple[int, int, int]], by_table: bool, dot: Any = dot_part) -> Any:
    """A native function that computes one tile of int32 sums: bias + a[r, :] @ b.

    Arguments: rows, vectors, splits (one of `shapes`), a, then a row stride in bytes or, with `by_table`, the address of
    the rows' byte offsets (int32); the table of the quads' offsets (not read otherwise), b, its stride from quad to quad,
    k in bytes, bias; then where the sums go: `to`, and the bytes to its next row. With `direct` they are quantised, all columns of
    the tile (scales, zero point, limits), else they stay as they are, `vector` bytes from one vector to the next. `dot` multiplies
    what is in four bytes. Each shape is code of its own; a switch leads to it.
    """
    name = f"qtile.{dot.__name__}.{by_table:d}.{'.'.join('x'.join(map(str, shape)) for shape in shapes)}"

    def body(builder: Any, args: Sequence[Any]) -> None:
        rows, vectors, splits, a, places, table, b, b_stride, k, bias, direct, to, to_row, to_vector, *target = args

        def row(r: int) -> Any:
            if not by_table:
                return builder.add(a, builder.mul(places, _I64(r)))
            pointer = builder.inttoptr(builder.add(places, _I64(4 * r)), _I32.as_pointer())
            return builder.add(a, builder.sext(builder.load(pointer, typ=_I32, align=4), _I64))

        def emit(shape: tuple[int, ...]) -> None:
            emitter = _Emitter(builder, *shape, dot)
            emitter.start(bias)
            emitter.run([row(r) for r in range(shape[0])], table if by_table else None, b, b_stride, k)
            with builder.if_else(builder.icmp_signed("!=", direct, _I64(0))) as (quantised, kept):
                with quantised:
                    emitter.quantise(to, to_row, *target)
                with kept:
                    emitter.keep(to, to_row, to_vector)

        switch_to(builder, (rows, vectors, splits), shapes, emit)

    @intrinsic
    def qtile(
        typingctx: Any, rows: Any, vectors: Any, splits: Any, a: Any, places: Any, table: Any, b: Any, b_stride: Any,
        k: Any, bias: Any, direct: Any, to: Any, row: Any, vector: Any, scale: Any, zero: Any, low: Any, high: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            call_once(builder, name, args, body)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 15), types.int32, types.float32, types.float32), codegen

    return qtile
