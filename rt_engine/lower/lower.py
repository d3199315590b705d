"""Graph -> kernel calls on buffers: what the plan then lays out in memory.

    onnx_ir graph --operators (rt_engine.ops)--> Builder: calls = [Call(kernel, operands, sizes, params)], buffers

A `Buffer` is a view (type, shape) of a `Storage`, a piece of memory that is an input, an output, a constant or temporary.
Reshape-like operators give a second buffer on the same storage; nothing moves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.errors import Reason, UnsupportedModelError
from rt_engine.ops import find
from rt_engine.ops.base import Node, Operator, Refusal
from rt_engine.program.element_types import CODES, HALVES, KNOWN, NARROW
from rt_engine.program.records import OPERANDS, PARAMS, SIZES
from rt_engine.state import pair_state


class Kind(Enum):
    """What a storage is for, which decides how long it lives."""

    TEMPORARY = "temporary"  # from its first write to its last read
    INPUT = "input"  # always: the caller may write it once and run many times
    OUTPUT = "output"  # always: the caller reads it until the next run
    CONSTANT = "constant"  # in the weights of the program


@dataclass(eq=False, slots=True)
class Storage:
    """A piece of memory. `nbytes` grows to the largest buffer on it."""

    kind: Kind
    nbytes: int
    value: NDArray[Any] | None = None


@dataclass(eq=False, slots=True)
class Buffer:
    """A typed, shaped, contiguous view of a storage."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    storage: Storage

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes without padding."""
        return self.size * self.dtype.itemsize

    @property
    def value(self) -> NDArray[Any] | None:
        """The array, if it is known when the model is loaded."""
        value = self.storage.value
        return None if value is None else value.reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Call:
    """One kernel call. `writes` of the operands are outputs; the output may take the memory of an input in `inplace`."""

    kernel: str
    operands: tuple[Buffer | None, ...]
    writes: tuple[int, ...]
    inplace: tuple[int, ...]
    sizes: tuple[int, ...]
    params: tuple[float, ...]
    node: int
    macs: int
    jump: int = -1
    """For control flow: the call that the first size becomes the record of (`rt_engine.kernels.control`)."""
    overlap: tuple[int, int] | None = None
    """(operand, bytes): the first written operand may lie over that operand if it begins at least so many bytes before it."""


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
            self.call("copy_blocks", (source, output), sizes=(1, output.nbytes, 0, 0, 0, 0), inplace=(0,))

    def body(self, graph: ir.Graph, arguments: Sequence[Buffer]) -> list[Buffer]:
        """Lower a body of control flow on these arguments; gives its results.

        Raises:
            Refusal: of a node in it.
        """
        buffers = dict(zip(graph.inputs, arguments, strict=True))
        for node, refusal in lower_graph(graph, self, buffers):
            raise Refusal(f"in its body, {reason_of(node, refusal)}")
        return [_buffer(buffers, v, Kind.TEMPORARY) for v in graph.outputs]

    def jump_from(self, call: int) -> None:
        """Let call number `call` jump to the next call."""
        self.calls[call] = replace(self.calls[call], jump=len(self.calls))

    def call(
        self,
        kernel: str,
        operands: Sequence[Buffer | None],
        sizes: Sequence[int] = (),
        params: Sequence[float] = (),
        writes: Sequence[int] | None = None,
        inplace: Sequence[int] = (),
        macs: int = 0,
        jump: int = -1,
        overlap: tuple[int, int] | None = None,
    ) -> None:
        """Add a kernel call.

        Args:
            kernel: name of the kernel.
            operands: buffers, as the kernel's module documents them; None where one is absent.
            sizes, params: integers and floats of the record.
            writes: indices of operands that the kernel writes; by default the last.
            inplace: indices of operands whose memory the first written one may take.
            macs: multiply-accumulates, for the report.
            jump: for control flow, the call that the first size becomes the record of.
            overlap: (operand, bytes): the first written operand may lie over that one, which is read for the last time here,
                if it begins at least so many bytes before it.
        """
        assert len(operands) <= OPERANDS and len(sizes) <= SIZES and len(params) <= PARAMS
        written = tuple(writes) if writes is not None else (len(operands) - 1,)
        self.calls.append(
            Call(
                kernel,
                tuple(operands),
                written,
                tuple(inplace),
                tuple(int(s) for s in sizes),
                tuple(float(p) for p in params),
                len(self.nodes) - 1,
                int(macs),
                jump,
                overlap=overlap,
            )
        )


def buffer_of(value: ir.Value, kind: Kind) -> Buffer:
    """The buffer of a graph value with a static shape."""
    if value.const_value is not None:
        array = value.const_value.numpy()
        return Buffer(value.name or "", array.dtype, array.shape, Storage(Kind.CONSTANT, array.nbytes, array))
    assert value.dtype is not None and value.shape is not None, value
    dtype = np.dtype(value.dtype.numpy())
    shape = tuple(int(d) for d in value.shape)  # type: ignore[arg-type]  # static by now
    return Buffer(value.name or "", dtype, shape, Storage(kind, prod(shape) * dtype.itemsize))


@dataclass(frozen=True, slots=True)
class Lowered:
    """A whole graph as kernel calls."""

    calls: tuple[Call, ...]
    nodes: tuple[tuple[str, str], ...]
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    loops: tuple[tuple[int, int], ...] = ()
    """First and last call of every range that is repeated."""
    state: tuple[tuple[Buffer, Buffer], ...] = ()
    """(input, output) that is carried from run to run; the last calls copy them, one each."""


def lower(
    graph: ir.Graph,
    opsets: dict[str, int],
    source: str,
    names: Sequence[str],
    state: Mapping[str, str] | None = None,
) -> Lowered:
    """Lower every node, in order; `names` are those of the outputs, whatever passes made of their values.

    `state` pairs outputs with the inputs that they become in the next run (`rt_engine.state`).

    Raises:
        UnsupportedModelError: operators that cannot run a node, with all reasons.
    """
    build = Builder(opsets=opsets)
    inputs = [v for v in graph.inputs if v.const_value is None]
    buffers: dict[ir.Value, Buffer] = {v: buffer_of(v, Kind.INPUT) for v in inputs}
    reasons = [reason_of(*refused) for refused in lower_graph(graph, build, buffers, Kind.OUTPUT)]
    if reasons:
        raise UnsupportedModelError(source, reasons)
    outputs = [
        _own_output(build, _buffer(buffers, v, Kind.OUTPUT), name) for v, name in zip(graph.outputs, names, strict=True)
    ]
    pairs = pair_state(dict(state or {}), [buffers[v] for v in inputs], outputs, source)
    for start, end in pairs:
        build.nodes.append((f"{end.name} -> {start.name}", "State"))
        build.copy(start, end)
    carried = {start for start, _ in pairs}
    free = tuple(b for b in (buffers[v] for v in inputs) if b not in carried)
    return Lowered(tuple(build.calls), tuple(build.nodes), free, tuple(outputs), tuple(build.loops), pairs)


def lower_graph(
    graph: ir.Graph, build: Builder, buffers: dict[ir.Value, Buffer], results: Kind = Kind.TEMPORARY
) -> list[tuple[ir.Node, Refusal]]:
    """Lower every node, in order, with the buffers that are known; gives what was refused."""
    ends, refused = set(graph.outputs), []

    def of(value: ir.Value) -> Buffer:
        return _buffer(buffers, value, results if value in ends else Kind.TEMPORARY)

    for node in graph:
        inputs = tuple(None if v is None else of(v) for v in node.inputs)
        outputs = tuple(None if is_absent(v) else of(v) for v in node.outputs)
        try:
            lower_node(node, build.opsets, build, inputs, outputs)
        except Refusal as refusal:
            refused.append((node, refusal))
    return refused


def _buffer(buffers: dict[ir.Value, Buffer], value: ir.Value, kind: Kind) -> Buffer:
    if value not in buffers:
        buffers[value] = buffer_of(value, kind)
    return buffers[value]


def is_absent(output: ir.Value) -> bool:
    """An optional output that the model leaves out: its name is empty."""
    return output.name == ""


def reason_of(node: ir.Node, refusal: Refusal) -> Reason:
    """A refusal, as what a user reads."""
    return Reason(node.name or node.op_type, node.op_type, refusal.why, refusal.help)


_DOES_NOT_FIT = (ValueError, TypeError, LookupError, ArithmeticError, AssertionError, AttributeError)
"""What an operator runs into when a model gives it an attribute of a wrong kind or length that ONNX's checker let pass."""


def lower_node(
    node: ir.Node,
    opsets: dict[str, int],
    build: Builder,
    inputs: tuple[Buffer | None, ...],
    outputs: tuple[Buffer | None, ...],
) -> None:
    """Lower one node with the operator that serves it."""
    version = opsets.get(node.domain, 1)
    operator = find(node.domain, node.op_type, version)
    if operator is None:
        raise Refusal(f"no operator for {node.domain or 'ai.onnx'}:{node.op_type} of opset {version}")
    build.nodes.append((node.name or f"{node.op_type}_{len(build.nodes)}", node.op_type))
    try:
        if operator.any_type:
            operator.lower(Node(node, version, inputs, outputs), build)
        else:
            _lower_in_float32(operator, node, version, build, inputs, outputs)
    except _DOES_NOT_FIT as error:
        raise Refusal(f"its inputs and attributes do not fit together: {error}", "export the model again") from error


Buffers = tuple[Buffer | None, ...]


def _lower_in_float32(
    operator: Operator, node: ir.Node, version: int, build: Builder, inputs: Buffers, outputs: Buffers
) -> None:
    """float16 and bfloat16 are storage: operands are widened, results rounded once, to nearest even."""
    for buffer in (*inputs, *outputs):
        if buffer is not None and (buffer.dtype in NARROW or buffer.dtype not in KNOWN):
            raise Refusal(f"type {buffer.dtype} is not supported here", "dequantise or cast it to float32 before")
    results = tuple(
        build.temporary(np.float32, y.shape, y.name) if y is not None and y.dtype in HALVES else y for y in outputs
    )
    operator.lower(Node(node, version, tuple(_widened(build, x) for x in inputs), results), build)
    for result, y in zip(results, outputs, strict=True):
        if result is not None and y is not None and result is not y and y.size:
            build.call("cast", (result, y), (y.size, CODES[result.dtype], CODES[y.dtype]))


def _widened(build: Builder, x: Buffer | None) -> Buffer | None:
    """A half float as float32; constants now, all others at run time."""
    if x is None or x.dtype not in HALVES:
        return x
    if x.value is not None:
        return build.constant(x.value.astype(np.float32), x.name)
    wide = build.temporary(np.float32, x.shape, x.name)
    if x.size:
        build.call("cast", (x, wide), (x.size, CODES[x.dtype], CODES[wide.dtype]))
    return wide


def _own_output(build: Builder, buffer: Buffer, name: str) -> Buffer:
    """An output that is an input or a constant needs memory of its own."""
    if buffer.storage.kind is Kind.OUTPUT:
        return Buffer(name, buffer.dtype, buffer.shape, buffer.storage)
    build.nodes.append((name, "Output"))
    own = Buffer(name, buffer.dtype, buffer.shape, Storage(Kind.OUTPUT, buffer.nbytes))
    build.copy(own, buffer)
    return own
