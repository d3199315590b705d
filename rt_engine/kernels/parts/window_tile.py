"""Tiles of convolutions: `rows` output pixels x `halves` half vectors, in registers while taps and channels run.

    table     int32 [pixels, taps]: byte offset of the input pixel under each tap; padding is a pixel of zeros
    product   for tap, for c in run:   acc[row][v] = fma(splat(x[table[row, tap] + c]), w[tap, c, v], acc[row][v])
    dot       for tap, for j in run:   acc[row][v] = fma(x[table[row, tap] + j, v], w[tap, j, v], acc[row][v])

A half vector is 32 bytes, what every machine has in one register or two; a tile of 3 halves is a whole and a half one.
The chains of a product start at bias + addend and run over taps and channels in rising order. A chain may be cut
and go on from the stored sum: the bits are the same. Those of dot start at zero; at the end lane i takes lane i + n/2 until
one is left, then come bias and addend.
"""

from collections.abc import Sequence
from math import inf
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.kernels.interface.panels import HALF
from rt_engine.kernels.parts.shapes import switch_to
from rt_engine.kernels.parts.tail import store_tails
from rt_native.multiply_add import multiply_add
from rt_native.vector import LANES, Vector, call_llvm

_I32, _I64 = ir.IntType(32), ir.IntType(64)


class _Piece:
    """One register of a row: `lanes` elements from byte `at` on."""

    def __init__(self, element: Any, at: int, lanes: int) -> None:
        self.at, self.lanes = at, lanes
        self.type = ir.VectorType(element, lanes)
        self.suffix = f"v{lanes}f{32 if isinstance(element, ir.FloatType) else 64}"


def _pieces(vector: Vector, halves: int) -> list[_Piece]:
    size = vector.bits // 8
    register = LANES * 4
    pieces, at = [], 0
    while at < halves * HALF:
        width = min(register, HALF) if halves * HALF - at < register else register
        pieces.append(_Piece(vector.element, at, width // size))
        at += width
    return pieces


class Tile:
    """Emits one tile; see `make_window_tiles` for the arguments."""

    def __init__(self, builder: Any, vector: Vector, rows: int, halves: int, args: dict[str, Any]) -> None:
        self.builder, self.vector, self.rows, self.args = builder, vector, rows, args
        self.element_bytes = vector.bits // 8
        self.pieces = _pieces(vector, halves)
        self.width = halves * HALF // self.element_bytes

    def number(self, value: int) -> Any:
        """A constant."""
        return ir.Constant(_I64, value)

    def row(self, name: str, r: int) -> Any:
        """Address of row `r` of an operand with a row stride."""
        return self.builder.add(self.args[name], self.builder.mul(self.args[name + "_stride"], self.number(r)))

    def pointer(self, address: Any, piece: _Piece) -> Any:
        """To a piece of the row at an address."""
        return self.builder.inttoptr(self.builder.add(address, self.number(piece.at)), piece.type.as_pointer())

    def load(self, address: Any, piece: _Piece) -> Any:
        """A piece of the row at an address."""
        return self.builder.load(self.pointer(address, piece), typ=piece.type, align=self.element_bytes)

    def splat(self, scalar: Any, piece: _Piece) -> Any:
        """A scalar in all lanes of a piece."""
        undefined = ir.Constant(piece.type, ir.Undefined)
        one = self.builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
        lanes = ir.Constant(ir.VectorType(_I32, piece.lanes), [0] * piece.lanes)
        return self.builder.shuffle_vector(one, undefined, lanes)

    def mask(self, piece: _Piece) -> Any:
        """The lanes of a piece that are valid columns."""
        lanes = ir.VectorType(_I32, piece.lanes)
        undefined = ir.Constant(lanes, ir.Undefined)
        first = piece.at // self.element_bytes
        left = self.builder.trunc(self.builder.sub(self.args["valid"], self.number(first)), _I32)
        one = self.builder.insert_element(undefined, left, ir.Constant(_I32, 0))
        limit = self.builder.shuffle_vector(one, undefined, ir.Constant(lanes, [0] * piece.lanes))
        return self.builder.icmp_signed("<", ir.Constant(lanes, list(range(piece.lanes))), limit)

    def masked(self, kind: str, piece: _Piece, result: Any, values: list[Any]) -> Any:
        """A masked load or store."""
        return call_llvm(self.builder, f"llvm.masked.{kind}.{piece.suffix}.p0", result, values)

    def each(self) -> list[tuple[int, int, _Piece]]:
        """Row, number and piece of every register of the tile."""
        return [(r, i, piece) for r in range(self.rows) for i, piece in enumerate(self.pieces)]

    def whole(self) -> Any:
        """Are all columns of the tile valid?"""
        return self.builder.icmp_signed(">=", self.args["valid"], self.number(self.width))

    def start(self) -> None:
        """Every chain starts at bias + addend."""
        builder = self.builder
        self.start_at_bias()
        with builder.if_then(self.has_addend()), builder.if_else(self.whole()) as (whole, some):
            with whole:
                self.add_whole()
            with some:
                masks = [self.mask(piece) for piece in self.pieces]
                align = ir.Constant(_I32, self.element_bytes)
                for r, i, piece in self.each():
                    zero = ir.Constant(piece.type, [0.0] * piece.lanes)
                    place = self.pointer(self.row("addend", r), piece)
                    value = self.masked("load", piece, piece.type, [place, align, masks[i], zero])
                    self.add(r, i, piece, value)

    def start_at_bias(self) -> None:
        """Every chain starts at the bias."""
        columns = [self.load(self.args["bias"], piece) for piece in self.pieces]
        self.acc = {(r, i): cgutils.alloca_once_value(self.builder, columns[i]) for r, i, _ in self.each()}

    def has_addend(self) -> Any:
        """Is there something to add?"""
        return self.builder.icmp_signed("!=", self.args["addend"], self.number(0))

    def add_whole(self) -> None:
        """The addend, all columns of it."""
        for r, i, piece in self.each():
            self.add(r, i, piece, self.load(self.row("addend", r), piece))

    def add(self, r: int, i: int, piece: _Piece, value: Any) -> None:
        """Onto a chain."""
        cell = self.acc[r, i]
        self.builder.store(self.builder.fadd(self.builder.load(cell, typ=piece.type), value), cell)

    def fma(self, r: int, i: int, piece: _Piece, a: Any, b: Any) -> None:
        """a * b, onto a chain."""
        cell = self.acc[r, i]
        value = self.builder.load(cell, typ=piece.type)
        self.builder.store(multiply_add(self.builder, a, b, value), cell)

    def inputs(self, tap: Any) -> list[Any]:
        """Where each row reads under a tap."""
        builder, places = self.builder, []
        for r in range(self.rows):
            entry = builder.add(self.row("table", r), builder.shl(tap, self.number(2)))
            offset = builder.load(builder.inttoptr(entry, _I32.as_pointer()), typ=_I32, align=4)
            places.append(builder.add(self.args["x"], builder.sext(offset, _I64)))
        return places

    def column(self, address: Any, piece: _Piece) -> Any:
        """Where a piece of a row of weights is, a vector of which is `w_column` behind the one before."""
        vector, rest = divmod(piece.at, 2 * HALF)
        shift = self.builder.mul(self.args["w_column"], self.number(vector))
        return self.builder.add(self.builder.add(address, shift), self.number(rest))

    def weights(self, address: Any, piece: _Piece) -> Any:
        """A piece of a row of weights."""
        pointer = self.builder.inttoptr(self.column(address, piece), piece.type.as_pointer())
        return self.builder.load(pointer, typ=piece.type, align=self.element_bytes)

    def fetch(self, address: Any) -> None:
        """Ask for what comes `ahead` bytes behind a row of weights; beyond their end that is what lies there, and never faults."""
        for piece in self.pieces:
            if piece.at % (2 * HALF) == 0:
                place = self.builder.add(self.column(address, piece), self.args["ahead"])
                flags = (ir.Constant(_I32, number) for number in (0, 2, 1))  # to read, into the second level, data
                pointer = self.builder.inttoptr(place, ir.IntType(8).as_pointer())
                call_llvm(self.builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, *flags])

    def product(self) -> None:
        """Channels are summed over."""
        builder, size = self.builder, self.element_bytes
        b = cgutils.alloca_once_value(builder, self.args["w"])
        with cgutils.for_range(builder, self.args["taps"], intp=_I64) as taps:
            places = self.inputs(taps.index)
            first = builder.load(b, typ=_I64)
            with cgutils.for_range(builder, self.args["run"], intp=_I64) as run:
                at = builder.add(first, builder.mul(run.index, self.args["w_stride"]))
                columns = [self.weights(at, piece) for piece in self.pieces]
                if len(self.pieces) >= FETCHING:
                    self.fetch(at)
                for r in range(self.rows):
                    place = builder.add(places[r], builder.mul(run.index, self.number(size)))
                    scalar = builder.load(
                        builder.inttoptr(place, self.vector.element.as_pointer()), typ=self.vector.element, align=size
                    )
                    for i, piece in enumerate(self.pieces):
                        self.fma(r, i, piece, self.splat(scalar, piece), columns[i])
            builder.store(builder.add(first, builder.mul(self.args["run"], self.args["w_stride"])), b)

    def dot(self) -> None:
        """One output per row: steps of whole tiles' width along a run, then the sum over lanes; a run of one step needs no loop."""
        builder, step = self.builder, self.number(self.width * self.element_bytes)
        run = self.args["run"]
        with builder.if_else(builder.icmp_signed("==", run, self.number(1))) as (single, several):
            with single, cgutils.for_range(builder, self.args["taps"], intp=_I64) as taps:
                at = builder.add(self.args["w"], builder.mul(taps.index, step))
                self.dot_step(at, self.inputs(taps.index), self.number(0))
            with several, cgutils.for_range(builder, self.args["taps"], intp=_I64) as taps:
                places = self.inputs(taps.index)
                first = builder.mul(taps.index, run)
                with cgutils.for_range(builder, run, intp=_I64) as steps:
                    at = builder.add(self.args["w"], builder.mul(builder.add(first, steps.index), step))
                    self.dot_step(at, places, builder.mul(steps.index, step))

    def dot_step(self, w: Any, places: list[Any], shift: Any) -> None:
        """One step of every row."""
        columns = [self.load(w, piece) for piece in self.pieces]
        for r, i, piece in self.each():
            self.fma(r, i, piece, self.load(self.builder.add(places[r], shift), piece), columns[i])

    def zero(self) -> None:
        """Every chain starts at zero."""
        self.acc = {
            (r, i): cgutils.alloca_once_value(self.builder, ir.Constant(piece.type, [0.0] * piece.lanes))
            for r, i, piece in self.each()
        }

    def total(self, r: int) -> Any:
        """The sum over the lanes of a row."""
        builder, parts = self.builder, self.lanes_of(r)
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [builder.fadd(parts[i], parts[i + half]) for i in range(half)]
        return parts[0]

    def lanes_of(self, r: int) -> list[Any]:
        """Every lane of a row, as scalars."""
        builder = self.builder
        values = [(builder.load(self.acc[r, i], typ=piece.type), piece) for i, piece in enumerate(self.pieces)]
        return [builder.extract_element(v, ir.Constant(_I32, k)) for v, piece in values for k in range(piece.lanes)]

    def finish_dot(self) -> None:
        """Bias, addend, clip, store one element per row."""
        builder, element = self.builder, self.vector.element

        def pointer(address: Any) -> Any:
            return builder.inttoptr(address, element.as_pointer())

        bias = builder.load(pointer(self.args["bias"]), typ=element, align=self.element_bytes)
        low, high = self.args["low"], self.args["high"]
        for r in range(self.rows):
            cell = cgutils.alloca_once_value(builder, builder.fadd(self.total(r), bias))
            with builder.if_then(builder.icmp_signed("!=", self.args["addend"], self.number(0))):
                more = builder.load(pointer(self.row("addend", r)), typ=element, align=self.element_bytes)
                builder.store(builder.fadd(builder.load(cell, typ=element), more), cell)
            value = builder.load(cell, typ=element)
            value = builder.select(builder.fcmp_ordered("<", value, low), low, value)
            value = builder.select(builder.fcmp_ordered(">", value, high), high, value)
            builder.store(value, pointer(self.row("out", r)), align=self.element_bytes)

    def clip(self, name: str, symbol: str) -> None:
        """No value beyond a limit; NaN passes. Where there is none, that takes no time."""
        builder, limit = self.builder, self.args[name]
        none = ir.Constant(limit.type, -inf if symbol == "<" else inf)
        with builder.if_then(builder.fcmp_ordered("!=", limit, none)):
            limits = [self.splat(limit, piece) for piece in self.pieces]
            for r, i, piece in self.each():
                value = builder.load(self.acc[r, i], typ=piece.type)
                value = builder.select(builder.fcmp_ordered(symbol, value, limits[i]), limits[i], value)
                builder.store(value, self.acc[r, i])

    def finish(self) -> None:
        """Clip and store."""
        builder = self.builder
        values = self.clipped()
        with builder.if_else(self.whole()) as (whole, some):
            with whole:
                self.store_whole(values)
            with some:
                for i, piece in enumerate(self.pieces):
                    left = builder.sub(self.args["valid"], self.number(piece.at // self.element_bytes))
                    places = [builder.add(self.row("out", r), self.number(piece.at)) for r in range(self.rows)]
                    store_tails(builder, places, [values[r, i] for r in range(self.rows)], left, self.element_bytes)

    def clipped(self) -> dict[tuple[int, int], Any]:
        """The values of every row and piece, within the limits."""
        self.clip("low", "<")
        self.clip("high", ">")
        return {(r, i): self.builder.load(self.acc[r, i], typ=piece.type) for r, i, piece in self.each()}

    def store_whole(self, values: dict[tuple[int, int], Any]) -> None:
        """All columns."""
        for r, i, piece in self.each():
            self.builder.store(values[r, i], self.pointer(self.row("out", r), piece), align=self.element_bytes)


FETCHING = 2
"""Registers of a row of weights from which on the next ones are asked for: fewer are narrow layers, whose weights are in a cache."""

_ARGUMENTS = (
    *("rows", "halves", "x", "table", "table_stride", "taps", "run", "w", "w_stride", "w_column", "ahead"),
    *("bias", "addend", "addend_stride", "out", "out_stride", "valid", "low", "high"),
)


def make_window_tiles(vector: Vector, shapes: Sequence[tuple[int, int]], kind: str) -> Any:
    """A native function that computes one tile; `kind` is "product" or "dot".

    Arguments: rows, halves (one of `shapes`); x (address of an image); table, its row stride; taps, run (counts; steps of a
    run for dot); w, its stride from one channel of a product to the next, that from one vector of columns to the next, how far
    behind lie the weights that a product will want next; bias; addend (0: none), row stride; out,
    row stride; valid (columns), low, high. Strides are in bytes. Each shape is code of its own; a switch leads to it.
    """

    @intrinsic
    def tile(
        typingctx: Any, rows: Any, halves: Any, x: Any, table: Any, table_stride: Any, taps: Any, run: Any,
        w: Any, w_stride: Any, w_column: Any, ahead: Any, bias: Any, addend: Any, addend_stride: Any,
        out: Any, out_stride: Any, valid: Any, low: Any, high: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            named = dict(zip(_ARGUMENTS, args, strict=True))

            def emit(shape: tuple[int, ...]) -> None:
                rows, halves = shape
                emitter = Tile(builder, vector, rows, halves, named)
                emitter.zero() if kind == "dot" else emitter.start()
                getattr(emitter, kind)()
                emitter.finish_dot() if kind == "dot" else emitter.finish()

            switch_to(builder, [named[name] for name in ("rows", "halves")], shapes, emit)
            return context.get_dummy_value()

        return types.void(*([types.int64] * 17), vector.scalar, vector.scalar), codegen

    return tile
