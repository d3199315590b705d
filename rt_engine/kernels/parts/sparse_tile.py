"""The tile of `parts.tile` over the blocks of one panel that are not zero: `rows x 1 vector` outputs in registers.

    one step:   acc[r] = fma(splat(a[r, row of the block]), block, acc[r])

An output is the chain that `parts.tile` has, without the links that add a product by zero: the same number for finite inputs.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.parts.shapes import switch_to
from rt_engine.kernels.parts.tile import _Emitter
from rt_native.vector import BYTES, PARTS, Vector, splat_part

_I64 = ir.IntType(64)
_PLACE = 4


class _SparseEmitter(_Emitter):
    """Emits one tile, one vector wide."""

    def start_checked(self, bias: Any, checks: Any) -> None:
        """Chain 0 starts at the bias and the row's check."""
        self.start(bias)
        builder, vector = self.builder, self.vector
        for r in range(self.rows):
            pointer = builder.inttoptr(
                builder.add(checks, self.constant(r * self.element_bytes)), vector.element.as_pointer()
            )
            check = splat_part(builder, vector, builder.load(pointer, typ=vector.element, align=self.element_bytes))
            for p in range(PARTS):
                cell = self.acc[r, 0, 0, p]
                builder.store(builder.fadd(builder.load(cell, typ=vector.part), check), cell)

    def block(self, a: Any, a_stride: Any, b: Any, places: Any, index: Any, chain: int) -> None:
        """The step of block number `index` of one chain."""
        builder = self.builder
        at = builder.inttoptr(
            builder.add(places, builder.mul(index, self.constant(_PLACE))), ir.IntType(32).as_pointer()
        )
        offset = builder.zext(builder.load(at, typ=ir.IntType(32), align=_PLACE), _I64)
        self.step(builder.add(a, offset), a_stride, builder.add(b, builder.mul(index, self.constant(BYTES))), chain)

    def run_blocks(self, a: Any, a_stride: Any, b: Any, places: Any, counts: Sequence[Any]) -> None:
        """All chains, side by side as long as both have blocks."""
        builder, firsts = self.builder, [self.constant(0), *counts[:-1]]
        common = counts[0]
        if self.splits > 1:
            common = builder.select(builder.icmp_signed("<", counts[0], counts[1]), counts[0], counts[1])
        with cgutils.for_range(builder, common, intp=_I64) as loop:
            for s in range(self.splits):
                self.block(a, a_stride, b, places, builder.add(firsts[s], loop.index), s)
        for s in range(self.splits if self.splits > 1 else 0):
            with cgutils.for_range(builder, builder.sub(counts[s], common), intp=_I64) as loop:
                index = builder.add(builder.add(firsts[s], common), loop.index)
                self.block(a, a_stride, b, places, index, s)


def make_sparse_tiles(vector: Vector, shapes: Sequence[tuple[int, int]]) -> Any:
    """A native function that computes one tile of a panel: c[r, :valid] = clip(bias + check[r] + a[r, :] @ blocks).

    Arguments: rows, splits (one of `shapes`), a, a_stride, b, places (the panel's first block, its row), the blocks of chain 0
    and 1, c, c_stride, bias, checks (addresses; strides in bytes), valid (columns), low, high.
    """

    @intrinsic
    def tile(
        typingctx: Any, rows: Any, splits: Any, a: Any, a_stride: Any, b: Any, places: Any, count0: Any, count1: Any,
        c: Any, c_stride: Any, bias: Any, checks: Any, valid: Any, low: Any, high: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            rows, splits, a, a_stride, b, places, count0, count1, c, c_stride, bias, checks, valid, low, high = args

            def emit(shape: tuple[int, ...]) -> None:
                emitter = _SparseEmitter(builder, vector, shape[0], 1, shape[1])
                emitter.start_checked(bias, checks)
                emitter.run_blocks(a, a_stride, b, places, (count0, count1)[: shape[1]])
                emitter.finish(c, c_stride, valid, low, high)

            switch_to(builder, (rows, splits), shapes, emit)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 13), vector.scalar, vector.scalar), codegen

    return tile
