"""Graph -> kernel calls on buffers: what the plan then lays out in memory.

onnx_ir graph --operators (rt_engine.ops)--> Builder: calls = [Call(kernel, record)], buffers
"""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from rt_engine.errors import Reason, UnsupportedModelError
from rt_engine.kernels.interface.cast import CAST
from rt_engine.lower.pairing import pair_state
from rt_engine.ops import find
from rt_engine.ops.base import Node, Operator, Refusal
from rt_engine.ops.builder import Builder
from rt_engine.ops.graph import name_in_file
from rt_engine.program.calls import Buffer, Kind, Lowered, Storage
from rt_engine.program.element_types import CODES, HALVES, KNOWN, NARROW


def builder(opsets: Mapping[str, int]) -> Builder:
    """A builder that can lower bodies too."""
    return Builder(opsets=dict(opsets), lower_body=_lower_body)


def buffer_of(value: ir.Value, kind: Kind) -> Buffer:
    """The buffer of a graph value with a static shape."""
    if value.const_value is not None:
        array = value.const_value.numpy()
        return Buffer(value.name or "", array.dtype, array.shape, Storage(Kind.CONSTANT, array.nbytes, array))
    assert value.dtype is not None and value.shape is not None, value
    dtype = np.dtype(value.dtype.numpy())
    shape = tuple(int(d) for d in value.shape)  # type: ignore[arg-type]  # static by now
    return Buffer(value.name or "", dtype, shape, Storage(kind, prod(shape) * dtype.itemsize))


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
    build = builder(opsets)
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


def _lower_body(graph: ir.Graph, build: Builder, arguments: Sequence[Buffer]) -> list[Buffer]:
    buffers = dict(zip(graph.inputs, arguments, strict=True))
    for node, refusal in lower_graph(graph, build, buffers):
        raise Refusal(f"in its body, {reason_of(node, refusal)}")
    return [_buffer(buffers, v, Kind.TEMPORARY) for v in graph.outputs]


def _buffer(buffers: dict[ir.Value, Buffer], value: ir.Value, kind: Kind) -> Buffer:
    if value not in buffers:
        buffers[value] = buffer_of(value, kind)
    return buffers[value]


def is_absent(output: ir.Value) -> bool:
    """An optional output that the model leaves out: its name is empty."""
    return output.name == ""


def label(node: ir.Node) -> str:
    """What a user finds a node by: its name in the file, or where it has none that of its first output."""
    return name_in_file(node.name or next((v.name for v in node.outputs if v.name), "")) or node.op_type


def reason_of(node: ir.Node, refusal: Refusal) -> Reason:
    """A refusal, as what a user reads."""
    return Reason(label(node), node.op_type, refusal.why, refusal.help)


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
            build.call("cast", CAST(x=result, out=y, n=y.size, x_type=CODES[result.dtype], out_type=CODES[y.dtype]))


def _widened(build: Builder, x: Buffer | None) -> Buffer | None:
    """A half float as float32; constants now, all others at run time."""
    if x is None or x.dtype not in HALVES:
        return x
    if x.value is not None:
        return build.constant(x.value.astype(np.float32), x.name)
    wide = build.temporary(np.float32, x.shape, x.name)
    if x.size:
        build.call("cast", CAST(x=x, out=wide, n=x.size, x_type=CODES[x.dtype], out_type=CODES[wide.dtype]))
    return wide


def _own_output(build: Builder, buffer: Buffer, name: str) -> Buffer:
    """An output that is an input or a constant needs memory of its own."""
    if buffer.storage.kind is Kind.OUTPUT:
        return Buffer(name, buffer.dtype, buffer.shape, buffer.storage)
    build.nodes.append((name, "Output"))
    own = Buffer(name, buffer.dtype, buffer.shape, Storage(Kind.OUTPUT, buffer.nbytes))
    build.copy(own, buffer)
    return own
