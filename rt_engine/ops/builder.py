"""What operators write kernel calls with. No operator of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.kernels.interface.fields import Record
from rt_engine.kernels.interface.movement import COPY_BLOCKS, FILL
from rt_engine.program.calls import Buffer, Call, Kind, Storage

LowerBody = Callable[[ir.Graph, "Builder", Sequence[Buffer]], list[Buffer]]
"""(body, builder, its arguments) -> its results."""


@dataclass(slots=True)
class Builder:
    """Collects calls. Operators use `temporary`, `constant`, `alias` and `call`."""

    calls: list[Call] = field(default_factory=list)
    nodes: list[tuple[str, str]] = field(default_factory=list)
    """(name, operator) of each lowered node; calls refer to them by index."""
    loops: list[tuple[int, int]] = field(default_factory=list)
    """First and last call of every range that is repeated."""
    opsets: dict[str, int] = field(default_factory=dict)
    """Domain -> opset version, for bodies of control flow."""
    lower_body: LowerBody | None = None
    """How the nodes of a body are lowered: that knows all operators, so whoever makes a builder hands it in."""

    def temporary(self, dtype: Any, shape: Sequence[int], name: str = "") -> Buffer:
        """Memory for a value between two calls of the same operator."""
        buffer = Buffer(name, np.dtype(dtype), tuple(int(d) for d in shape), Storage(Kind.TEMPORARY, 0))
        buffer.storage.nbytes = buffer.nbytes
        return buffer

    def constant(self, value: Any, name: str = "") -> Buffer:
        """A value known now; it goes into the program's weights if a call uses it."""
        array = np.asarray(value)  # not ascontiguousarray: it would give a scalar one dimension
        array = array if array.flags.c_contiguous else array.copy()
        return Buffer(name, array.dtype, array.shape, Storage(Kind.CONSTANT, array.nbytes, array))

    def alias(self, output: Buffer, source: Buffer) -> None:
        """`output` is `source` with another shape (same number of bytes): the same memory where that is possible."""
        assert output.nbytes == source.nbytes, (output, source)
        shared, own = source.storage, output.storage
        if own.kind is Kind.OUTPUT and shared.kind is not Kind.TEMPORARY:
            self.copy(output, source)
            return
        if own.kind is Kind.OUTPUT:
            shared.kind = Kind.OUTPUT
        output.storage = shared

    def copy(self, output: Buffer, source: Buffer) -> None:
        """Copy the bytes of `source` to `output`."""
        if output.nbytes:
            record = COPY_BLOCKS(
                x=source, out=output, count=1, nbytes=output.nbytes, x_stride=0, out_stride=0, x_first=0, out_first=0
            )
            self.call("copy_blocks", record, inplace=("x",))

    def fill(self, output: Buffer, pattern: int = 0) -> None:
        """Set the bytes of `output`; `pattern` is eight of them, which are repeated."""
        self.call("fill", FILL(out=output, nbytes=output.nbytes, pattern=pattern))

    def body(self, graph: ir.Graph, arguments: Sequence[Buffer]) -> list[Buffer]:
        """Lower a body of control flow on these arguments; gives its results.

        Raises:
            Refusal: of a node in it.
        """
        assert self.lower_body is not None, "this builder takes no bodies"
        return self.lower_body(graph, self, arguments)

    def jump_from(self, call: int) -> None:
        """Let call number `call` jump to the next call."""
        self.calls[call] = replace(self.calls[call], jump=len(self.calls))

    def again(self, call: Call, **operands: Buffer) -> None:
        """Add a call that is like another of this operator, but for these operands, which that has too."""
        if not operands:
            self.calls.append(call)
            return
        record = call.record
        changed = list(record.operands)
        for name, buffer in operands.items():
            changed[record.fields.places[name].index] = buffer
        copy = Record(record.fields, tuple(changed), record.sizes, record.params)
        self.calls.append(replace(call, record=copy))

    def call(
        self,
        kernel: str,
        record: Record,
        inplace: Sequence[str] = (),
        macs: int = 0,
        jump: int = -1,
        overlap: tuple[str, int] | None = None,
        elements: int = 0,
    ) -> None:
        """Add a kernel call.

        Args:
            kernel: name of the kernel.
            record: what the kernel reads, by its family's `Fields` (`rt_engine.kernels.interface`).
            inplace: operands whose memory the first written one may take.
            macs: multiply-accumulates, for the report.
            jump: for control flow, the call whose record is the `target`.
            overlap: (operand, bytes): the first written operand may lie over that one, which is read for the last time here,
                if it begins at least so many bytes before it.
            elements: that it touches, where they are fewer than all of its operands.
        """
        places = record.fields.places
        self.calls.append(
            Call(
                kernel,
                record,
                tuple(places[name].index for name in record.fields.written if getattr(record, name) is not None),
                tuple(places[name].index for name in inplace),
                len(self.nodes) - 1,
                int(macs),
                jump,
                None if overlap is None else (places[overlap[0]].index, overlap[1]),
                elements,
            )
        )
