"""Tiles of depthwise convolutions: `rows` outputs of a line x `halves` half vectors of channels, in registers while taps run.

    for each row of the window:
        for pixel under any of the tile's windows:
            for tap of the row, for output whose tap it is:    acc[output][v] = fma(x[pixel][v], w[tap][v], acc[output][v])

    width 3, step 1, 4 outputs     pixel   0  1  2  3  4  5        each pixel and each weight is read once
                                output 0   a  b  c
                                output 1      a  b  c
                                output 2         a  b  c
                                output 3            a  b  c

Every chain starts at bias + addend and runs over the taps in rising order, as in `window_tile`: neither width nor rows move a bit.
A tile of width 1 reads every tap of every output for itself.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.parts.shapes import switch_to
from rt_engine.kernels.parts.window_tile import Tile
from rt_native.vector import Vector

_I32, _I64 = ir.IntType(32), ir.IntType(64)


class _LineTile(Tile):
    """Emits one tile; see `make_line_tiles` for the arguments."""

    def line(self, width: int, step: int) -> None:
        """All rows of the window, one after the other."""
        builder = self.builder
        rounds = builder.sdiv(self.args["taps"], self.number(width))
        with cgutils.for_range(builder, rounds, intp=_I64) as loop:
            first = builder.mul(loop.index, self.number(width))
            self.row_of_window(first, width, step)

    def row_of_window(self, first: Any, width: int, step: int) -> None:
        """The taps from `first` on, of all outputs."""
        builder = self.builder
        w = builder.add(self.args["w"], builder.mul(first, self.args["w_stride"]))
        weights = [
            [
                self.load(builder.add(w, builder.mul(self.args["w_stride"], self.number(tap))), piece)
                for piece in self.pieces
            ]
            for tap in range(width)
        ]
        output = 0
        for pixel in range((self.rows - 1) * step + width):
            if pixel - output * step >= width:
                output = min(pixel // step, self.rows - 1)
            place = self.pixel(output, builder.add(first, self.number(pixel - output * step)))
            for i, piece in enumerate(self.pieces):
                value = self.load(place, piece)
                for tap in range(width):
                    r, rest = divmod(pixel - tap, step)
                    if rest == 0 and 0 <= r < self.rows:
                        self.fma(r, i, piece, value, weights[tap][i])

    def pixel(self, output: int, tap: Any) -> Any:
        """The address of the pixel under a tap of an output."""
        builder = self.builder
        entry = builder.add(self.row("table", output), builder.shl(tap, self.number(2)))
        offset = builder.load(builder.inttoptr(entry, _I32.as_pointer()), typ=_I32, align=4)
        return builder.add(self.args["x"], builder.sext(offset, _I64))


_ARGUMENTS = (
    *("rows", "halves", "width", "step", "x", "table", "table_stride", "taps", "w", "w_stride"),
    *("bias", "addend", "addend_stride", "out", "out_stride", "low", "high"),
)


def make_line_tiles(vector: Vector, shapes: Sequence[tuple[int, int, int, int]]) -> Any:
    """A native function that computes one tile.

    Arguments: rows, halves, width, step (one of `shapes`); x (address of an image); table, its row stride; taps (a multiple of
    the width); w, its stride from one tap to the next; bias; addend (0: none), row stride; out, row stride; low,
    high. All of its channels are read and written. Strides are in bytes. Each shape is code of its own; a switch leads to it.
    """

    @intrinsic
    def tile(
        typingctx: Any, rows: Any, halves: Any, width: Any, step: Any, x: Any, table: Any, table_stride: Any, taps: Any,
        w: Any, w_stride: Any, bias: Any, addend: Any, addend_stride: Any, out: Any, out_stride: Any, low: Any, high: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            named = dict(zip(_ARGUMENTS, args, strict=True))

            def emit(shape: tuple[int, ...]) -> None:
                rows, halves, width, step = shape
                emitter = _LineTile(builder, vector, rows, halves, named)
                emitter.start_at_bias()
                with builder.if_then(emitter.has_addend()):
                    emitter.add_whole()
                emitter.line(width, step)
                emitter.store_whole(emitter.clipped())

            switch_to(builder, [named[name] for name in ("rows", "halves", "width", "step")], shapes, emit)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 15), vector.scalar, vector.scalar), codegen

    return tile
