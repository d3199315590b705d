"""The matrix-product tile: `rows x vectors` outputs held in registers while k runs, written directly in LLVM IR.

    weights, packed in panels of up to 1 or 4 vectors (`interface.panels`), k-major; the same layout for every lane width:

        panel 0: k=0 [v0 v1 v2 v3]  k=1 [v0 v1 v2 v3] ...     panel 1: ...     last panel: 1 to 4 vectors wide
        panel 0: k=0 [v0]  k=1 [v0] ...     panel 1: k=0 [v1] ...              a tile reads several at once

    one step of k:   acc[r][v] = fma(splat(a[r, k]), b[k, v], acc[r][v])

Every output is a chain over k in rising order, starting at the bias. With `splits` S > 1 (only when one row would leave
the multipliers idle) there are S chains, chain s over k = s, s + S, s + 2S, ..., added at the end in a fixed tree: chain i
takes chain i + S/2, then i + S/4, and so on. The order depends on the shapes alone, never on the machine.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.parts.shapes import call_once, switch_to
from rt_engine.kernels.parts.tail import store_tails
from rt_native.multiply_add import multiply_add
from rt_native.vector import BYTES, PARTS, Vector, call_llvm, splat_part

_I64 = ir.IntType(64)


class _Emitter:
    """Emits one tile; `vector` is f32x or f64x."""

    def __init__(self, builder: Any, vector: Vector, rows: int, vectors: int, splits: int, ahead: int = 0) -> None:
        self.builder, self.vector, self.ahead = builder, vector, ahead
        self.rows, self.vectors, self.splits = rows, vectors, splits
        self.element_bytes = vector.bits // 8
        self.column = self.constant(BYTES)

    def constant(self, value: int) -> Any:
        return ir.Constant(_I64, value)

    def offset(self, address: Any, stride: Any, times: int) -> Any:
        return self.builder.add(address, self.builder.mul(stride, self.constant(times)))

    def parts_at(self, address: Any, v: int) -> list[Any]:
        """The hardware vectors of virtual vector `v` after `address`."""
        step = BYTES // PARTS
        places = [self.builder.add(address, self.constant(BYTES * v + step * p)) for p in range(PARTS)]
        pointers = [self.builder.inttoptr(p, self.vector.part.as_pointer()) for p in places]
        return [self.builder.load(p, typ=self.vector.part, align=self.element_bytes) for p in pointers]

    def start(self, bias: Any) -> None:
        """Chain 0 starts at the bias, the others at zero."""
        zero = ir.Constant(self.vector.part, [0.0] * self.vector.part.count)
        columns = [self.parts_at(bias, v) for v in range(self.vectors)]
        self.acc = {
            (r, v, s, p): cgutils.alloca_once_value(self.builder, columns[v][p] if s == 0 else zero)
            for r in range(self.rows)
            for v in range(self.vectors)
            for s in range(self.splits)
            for p in range(PARTS)
        }

    def step(self, a: Any, a_stride: Any, b: Any, chain: int) -> None:
        """One k of one chain; `a` and `b` point at it."""
        builder, vector = self.builder, self.vector
        columns = [self.parts_at(self.offset(b, self.column, v), 0) for v in range(self.vectors)]
        if self.ahead:
            self.fetch(b)
        for r in range(self.rows):
            pointer = builder.inttoptr(self.offset(a, a_stride, r), vector.element.as_pointer())
            scalar = builder.load(pointer, typ=vector.element, align=self.element_bytes)
            factor = splat_part(builder, vector, scalar)
            for v in range(self.vectors):
                for p in range(PARTS):
                    cell = self.acc[r, v, chain, p]
                    value = builder.load(cell, typ=vector.part)
                    builder.store(multiply_add(builder, factor, columns[v][p], value), cell)

    def fetch(self, b: Any) -> None:
        """Ask for the weights that come `ahead` bytes later; beyond their end that is what lies there, and never faults."""
        flags = [ir.Constant(ir.IntType(32), number) for number in (0, 3, 1)]  # to read, to keep, data
        for v in range(self.vectors):
            place = self.builder.add(self.offset(b, self.column, v), self.constant(self.ahead))
            pointer = self.builder.inttoptr(place, ir.IntType(8).as_pointer())
            call_llvm(self.builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, *flags])

    def run(self, a: Any, a_stride: Any, b: Any, b_stride: Any, k: Any) -> None:
        builder, splits = self.builder, self.splits
        a_step, b_step = self.constant(self.element_bytes), b_stride
        rounds = builder.sdiv(k, self.constant(splits))

        def at(i: Any, s: int) -> tuple[Any, Any]:
            index = builder.add(builder.mul(i, self.constant(splits)), self.constant(s))
            return builder.add(a, builder.mul(index, a_step)), builder.add(b, builder.mul(index, b_step))

        with cgutils.for_range(builder, rounds, intp=_I64) as loop:
            for s in range(splits):
                a_at, b_at = at(loop.index, s)
                self.step(a_at, a_stride, b_at, s)
        rest = builder.srem(k, self.constant(splits))
        for s in range(splits - 1):
            with builder.if_then(builder.icmp_signed(">", rest, self.constant(s))):
                a_at, b_at = at(rounds, s)
                self.step(a_at, a_stride, b_at, s)

    def finish(self, c: Any, c_stride: Any, valid: Any, low: Any, high: Any) -> None:
        """Add the chains, clip, store the first `valid` columns (all, where it is None)."""
        builder, vector = self.builder, self.vector
        low, high = (splat_part(builder, vector, x) for x in (low, high))
        for v in range(self.vectors):
            rows = [builder.add(self.offset(c, c_stride, r), self.constant(BYTES * v)) for r in range(self.rows)]
            values = [[self.clip(self.total(r, v, p), low, high) for r in range(self.rows)] for p in range(PARTS)]
            left = None if valid is None else builder.sub(valid, self.constant(v * vector.lanes))
            self.store(rows, values, left)

    def total(self, r: int, v: int, p: int) -> Any:
        chains = [self.builder.load(self.acc[r, v, s, p], typ=self.vector.part) for s in range(self.splits)]
        while len(chains) > 1:
            half = len(chains) // 2
            chains = [self.builder.fadd(chains[i], chains[i + half]) for i in range(half)]
        return chains[0]

    def clip(self, value: Any, low: Any, high: Any) -> Any:
        """NaN passes: both comparisons are false for it."""
        builder = self.builder
        value = builder.select(builder.fcmp_ordered("<", value, low), low, value)
        return builder.select(builder.fcmp_ordered(">", value, high), high, value)

    def store(self, rows: list[Any], values: list[list[Any]], valid: Any) -> None:
        """The first `valid` lanes of a vector of each row, by parts; all of them where `valid` is None."""
        builder, step, lanes = self.builder, BYTES // PARTS, self.vector.part.count
        places = [[builder.add(row, self.constant(step * p)) for row in rows] for p in range(PARTS)]
        left = self.constant(self.vector.lanes) if valid is None else valid
        with builder.if_else(builder.icmp_signed(">=", left, self.constant(self.vector.lanes))) as (whole, some):
            with whole:
                for place, value in zip(chain(*places), chain(*values), strict=True):
                    builder.store(value, builder.inttoptr(place, value.type.as_pointer()), align=self.element_bytes)
            with some:
                for p in range(PARTS):
                    beyond = builder.sub(left, self.constant(p * lanes))
                    store_tails(builder, places[p], values[p], beyond, self.element_bytes)


def make_tiles(vector: Vector, shapes: Sequence[tuple[int, int, int]], whole: bool = False, ahead: int = 0) -> Any:
    """A native function that computes one tile: c[r, :valid] = clip(bias + a[r, :] @ b).

    Arguments: rows, vectors, splits (one of `shapes`), a, a_stride, b, b_stride, b_column (from one vector of columns to the
    next), k, c, c_stride, bias (addresses; strides in bytes), valid (columns), low, high. Each shape is code of its own; a
    switch leads to it. With `whole`, all columns of a tile are stored, whatever `valid` says. With `ahead`, weights are fetched
    that many bytes before they are needed. Where it is called twice, it is compiled once.
    """
    name = f"tile.{vector.name}.{'.'.join('x'.join(map(str, shape)) for shape in shapes)}.{whole:d}.{ahead}"

    def body(builder: Any, args: Sequence[Any]) -> None:
        rows, vectors, splits, a, a_stride, b, b_stride, b_column, k, c, c_stride, bias, valid, low, high = args

        def emit(shape: tuple[int, ...]) -> None:
            emitter = _Emitter(builder, vector, *shape, ahead)
            emitter.column = b_column
            emitter.start(bias)
            emitter.run(a, a_stride, b, b_stride, k)
            emitter.finish(c, c_stride, None if whole else valid, low, high)

        switch_to(builder, (rows, vectors, splits), shapes, emit)

    @intrinsic
    def tile(
        typingctx: Any, rows: Any, vectors: Any, splits: Any, a: Any, a_stride: Any, b: Any, b_stride: Any,
        b_column: Any, k: Any, c: Any, c_stride: Any, bias: Any, valid: Any, low: Any, high: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            call_once(builder, name, args, body)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 13), vector.scalar, vector.scalar), codegen

    return tile
