"""Tiles of convolutions over planes: `rows` output channels x `vectors` of neighbouring pixels, in registers while k runs.

    one step of k:   acc[r][v] = fma(splat(w[k, r]), x[table[k] + v], acc[r][v])

Every output is a chain over k in rising order, starting at its bias, as in `window_tile`: no size moves a bit.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.parts.shapes import switch_to
from rt_engine.kernels.parts.tile import _Emitter
from rt_native.vector import BYTES, PARTS, Vector, splat_part

_I32, _I64 = ir.IntType(32), ir.IntType(64)


class _PlaneTile(_Emitter):
    """Emits one tile; see `make_plane_tiles` for the arguments."""

    def start_rows(self, bias: Any) -> None:
        """Every chain starts at the bias of its row."""
        builder, vector = self.builder, self.vector
        self.acc = {}
        for r in range(self.rows):
            place = builder.add(bias, self.constant(self.element_bytes * r))
            scalar = builder.load(builder.inttoptr(place, vector.element.as_pointer()), typ=vector.element, align=4)
            value = splat_part(builder, vector, scalar)
            for v in range(self.vectors):
                for p in range(PARTS):
                    self.acc[r, v, 0, p] = cgutils.alloca_once_value(builder, value)

    def planes(self, x: Any, table: Any, depth: Any, w: Any, w_stride: Any) -> None:
        """All k, one after the other."""
        builder = self.builder
        with cgutils.for_range(builder, depth, intp=_I64) as loop:
            entry = builder.add(table, builder.shl(loop.index, _I64(2)))
            offset = builder.load(builder.inttoptr(entry, _I32.as_pointer()), typ=_I32, align=4)
            row = builder.add(w, builder.mul(loop.index, w_stride))
            self.step(row, self.constant(self.element_bytes), builder.add(x, builder.sext(offset, _I64)), 0)


def make_plane_tiles(vector: Vector, shapes: Sequence[tuple[int, int]]) -> Any:
    """A native function that computes one tile.

    Arguments: rows, vectors (one of `shapes`); x (address of the first pixel); table; depth; w, its stride from one k to the
    next; bias; out, its stride from row to row; valid (pixels), low, high. Strides are in bytes. Whole vectors are read, `valid`
    pixels are written. Each shape is code of its own; a switch leads to it.
    """

    @intrinsic
    def tile(
        typingctx: Any, rows: Any, vectors: Any, x: Any, table: Any, depth: Any, w: Any, w_stride: Any, bias: Any,
        out: Any, out_stride: Any, valid: Any, low: Any, high: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            rows, vectors, x, table, depth, w, w_stride, bias, out, out_stride, valid, low, high = args

            def emit(shape: tuple[int, ...]) -> None:
                emitter = _PlaneTile(builder, vector, *shape, 1)
                emitter.column = emitter.constant(BYTES)
                emitter.start_rows(bias)
                emitter.planes(x, table, depth, w, w_stride)
                emitter.finish(out, out_stride, valid, low, high)

            switch_to(builder, (rows, vectors), shapes, emit)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 11), vector.scalar, vector.scalar), codegen

    return tile
