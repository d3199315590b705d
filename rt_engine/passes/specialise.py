"""Static shapes for every value, and constants where they can be computed now.

One walk in graph order. A node with constant inputs only is run at once, on our own kernels (the same bits as at run time);
its outputs become constants. For every other node, ONNX's own shape inference is asked, with the constants at hand, so that
chains such as Shape -> Gather -> Concat -> Reshape become static by themselves. An operator that has no lowering here, but that
ONNX defines by others, is replaced by its definition.
"""

from collections import deque
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.errors import InvalidModelError, Reason, UnsupportedModelError
from rt_engine.lower.assemble import assemble
from rt_engine.lower.lower import buffer_of, builder, is_absent, label, lower_node, reason_of
from rt_engine.lower.work import MOST_AT_LOAD, units
from rt_engine.ops import find
from rt_engine.ops.advice import advice
from rt_engine.ops.base import Misfit, Operator, Refusal
from rt_engine.ops.builder import Builder
from rt_engine.ops.graph import add_constant, constant, is_absurd
from rt_engine.ops.microsoft import is_rewritten
from rt_engine.ops.resize import scales_to_infer
from rt_engine.passes.closing import close_node, is_control
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.control import resolve
from rt_engine.passes.doubts import doubt
from rt_engine.passes.following_rules import finish, follow
from rt_engine.passes.length_bodies import refuse_lengths
from rt_engine.passes.microsoft import rewrite
from rt_engine.passes.sequence_nodes import SEQUENCE_OPERATORS, is_sequence, remove, stack, take_apart
from rt_engine.passes.sequences import spread_outputs, takes_tensors
from rt_engine.passes.standard_functions import expand
from rt_engine.program.calls import Buffer, Kind, Lowered
from rt_engine.read.definitions import has_definition
from rt_engine.read.raised import RAISED_BY_ONNX
from rt_engine.read.rules import check_rules
from rt_engine.run.context import Context
from rt_engine.run.executable import Executable

_DATA_LIMIT = 4096
"""Constants with more elements do not matter to shape inference and are not shown to it."""

MOST_FOLDED_BYTES = 1 << 30
"""Constants that are computed at load are refused beyond this: a file of a few bytes can ask for any amount."""


def fold_rest(compilation: Compilation) -> bool:
    """Fold the dequantised constants that no integer operator took, and what follows from them."""
    if not any(n.op_type in _KEPT and _is_constant(n) for n in compilation.graph):
        return False
    return specialise(compilation, kept=())


_KEPT = ("DequantizeLinear",)
"""Operators on constants that a pass wants to see: integer weights stay integers."""


def specialise(compilation: Compilation, kept: tuple[str, ...] = _KEPT) -> bool:
    """Infer every shape and type; fold constants, but for those that `kept` operators make.

    Requires: static input shapes. Ensures: static shapes and types everywhere, no node with constant inputs only,
    but where a length is only known at run time.

    Raises:
        UnsupportedModelError: operators that are not supported (all of them), or shapes that depend on data.
        InvalidModelError: types or shapes that do not fit together.
    """
    graph, opsets = compilation.graph, compilation.opsets
    protos = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    reasons = {id(node): reason for node, reason in unknown_operators(compilation)}
    shapeless: set[ir.Value | None] = set()
    folded = 0
    waiting = deque(graph)
    apart: list[ir.Node] = []

    def infer(node: ir.Node) -> None:
        _infer(node, opsets, protos, compilation.source)

    def go_on_with(nodes: list[ir.Node]) -> None:
        waiting.extendleft(reversed(nodes))
        for made in nodes:
            close_node(made, opsets)

    while waiting:
        node = waiting.popleft()
        if not shapeless.isdisjoint(node.inputs):
            shapeless.update(node.outputs)
            continue
        if is_sequence(node):
            try:
                if node.op_type == "SplitToSequence" and not stack(compilation, node):
                    refuse_lengths(compilation, node.inputs, "splits")
                waiting.extendleft(reversed(take_apart(graph, node, opsets.get("", 1))))
                apart.append(node)
            except Refusal as refusal:
                reasons[id(node)] = reason_of(node, refusal)
                shapeless.update(node.outputs)
            continue
        version = opsets.get(node.domain, 1)
        if find(node.domain, node.op_type, version) is None and has_definition(node.domain, node.op_type, version):
            types = [None if v is None else _type_proto(v) for v in node.inputs]
            nodes = expand(graph, node, version, types)
            if nodes:
                go_on_with(nodes)
                reasons.update((id(n), r) for n in nodes if (r := _unknown(n, opsets)) is not None)
                continue
            reasons[id(node)] = reason_of(node, _no_operator(node, version))
        try:
            if is_rewritten(node.domain, node.op_type):
                go_on_with(rewrite(graph, node, opsets))
                continue
            if is_control(node):
                instead = resolve(compilation, node, specialise)
                if instead is not None:
                    waiting.extendleft(reversed(instead))
                    continue
            else:
                takes_tensors(node)
                check_rules(node, version)
                if not follow(compilation, node, infer):
                    continue
                if (sentence := doubt(node)) is not None and sentence not in compilation.assumed:
                    compilation.assumed.append(sentence)
            has_length = not compilation.lengths.finished and any(v in compilation.lengths.along for v in node.outputs)
            if id(node) not in reasons and node.op_type not in kept and _is_constant(node) and not has_length:
                folded += sum(buffer_of(v, Kind.OUTPUT).nbytes for v in node.outputs)
                if folded > MOST_FOLDED_BYTES:
                    raise Refusal(
                        f"constants of {folded:,} bytes; the most is {MOST_FOLDED_BYTES:,}", "check its shape"
                    )
                _fold(graph, node, opsets)
        except Misfit as misfit:
            if not reasons:
                raise InvalidModelError(f"{compilation.source}: {reason_of(node, misfit)}") from misfit
            shapeless.update(node.outputs)
        except (Refusal, *_DOES_NOT_FIT) as error:
            why = error if isinstance(error, Refusal) else _does_not_fit(error)
            reasons.setdefault(id(node), reason_of(node, why))
            shapeless.update(node.outputs)
        except InvalidModelError:
            if not reasons:
                raise
            shapeless.update(node.outputs)
    try:
        if not reasons:
            finish(compilation, infer)
    except Refusal as refusal:
        reasons[_RESULTS] = Reason("its results", "body", refusal.why, refusal.help)
    if reasons:
        shapeless.update(value for node in apart for value in node.outputs)
        raise UnsupportedModelError(compilation.source, _all_reasons(compilation, reasons, shapeless))
    _remove_sequences(compilation, apart)
    return True


def _remove_sequences(compilation: Compilation, apart: list[ir.Node]) -> None:
    try:
        spread_outputs(compilation)
    except Refusal as refusal:
        reason = Reason("the whole model", "output", refusal.why, refusal.help)
        raise UnsupportedModelError(compilation.source, [reason]) from refusal
    remove(compilation.graph, apart)


_RESULTS = 0
"""Among reasons by the `id` of a node: that of what a graph gives."""
_DOES_NOT_FIT = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


def _does_not_fit(error: Exception) -> Refusal:
    """What inference runs into when a model gives a node what ONNX's checker let pass."""
    return Refusal(f"its inputs and attributes do not fit together: {error}", "export the model again")


def unknown_operators(compilation: Compilation) -> list[tuple[ir.Node, Reason]]:
    """Every node whose operator is not here."""
    found = [(node, _unknown(node, compilation.opsets)) for node in compilation.graph]
    return [(node, reason) for node, reason in found if reason is not None]


def _unknown(node: ir.Node, opsets: dict[str, int]) -> Reason | None:
    version = opsets.get(node.domain, 1)
    if not node.domain and node.op_type in SEQUENCE_OPERATORS:
        return None
    known = find(node.domain, node.op_type, version) is not None or is_rewritten(node.domain, node.op_type)
    if known or has_definition(node.domain, node.op_type, version):
        return None
    return reason_of(node, _no_operator(node, version))


def _no_operator(node: ir.Node, version: int) -> Refusal:
    return Refusal(
        f"there is no operator {node.domain or 'ai.onnx'}:{node.op_type} of opset {version} here",
        advice(node.domain, node.op_type, version),
    )


def _all_reasons(compilation: Compilation, reasons: dict[int, Reason], shapeless: set[ir.Value | None]) -> list[Reason]:
    """The reasons so far, and those of every other node whose shapes are known: a user wants to see all at once."""
    found = [reasons[_RESULTS]] if _RESULTS in reasons else []
    for node in compilation.graph:
        if id(node) in reasons:
            found.append(reasons[id(node)])
        elif shapeless.isdisjoint((*node.inputs, *node.outputs)):
            inputs = tuple(None if v is None else buffer_of(v, Kind.TEMPORARY) for v in node.inputs)
            outputs = tuple(None if is_absent(v) else buffer_of(v, Kind.TEMPORARY) for v in node.outputs)
            try:
                lower_node(node, compilation.opsets, builder(compilation.opsets), inputs, outputs)
            except Refusal as refusal:
                found.append(reason_of(node, refusal))
    return found


def _is_constant(node: ir.Node) -> bool:
    """Constant inputs only; or of the others nothing but type and shape, which are static, is read."""
    if node.op_type == "CastLike":
        return node.inputs[0] is not None and node.inputs[0].const_value is not None
    return node.op_type in _READS_SHAPE_ONLY or all(v is None or v.const_value is not None for v in node.inputs)


_READS_SHAPE_ONLY = ("Shape", "Size")


def _infer(node: ir.Node, opsets: dict[str, int], protos: list[Any], source: str) -> None:
    """Set type and static shape of the node's outputs."""
    version = opsets.get(node.domain, 1)
    operator = find(node.domain, node.op_type, version)
    if operator is not None and operator.infer is not None:
        types = _own_inference(operator, node)
    else:
        types = _onnx_inference(node, version, protos, source)
    for value, (dtype, shape) in zip(node.outputs, types, strict=False):
        value.dtype = ir.DataType.from_numpy(np.dtype(dtype))
        value.shape = ir.Shape(shape)


def _own_inference(operator: Operator, node: ir.Node) -> list[tuple[Any, tuple[int, ...]]]:
    assert operator.infer is not None
    return operator.infer(node, [None if v is None else buffer_of(v, Kind.TEMPORARY) for v in node.inputs])


_POOLS, _CEIL_MODE_MENDED = ("MaxPool", "AveragePool", "LpPool"), 22
"""A window that would begin in the padding behind the input is left out; ONNX's inference before this opset counts it."""

_SCALED = ("Resize", "Upsample")
"""Their last input is sizes, whole numbers, or scales, whose products ONNX's inference does not round."""


def _onnx_inference(node: ir.Node, version: int, protos: list[Any], source: str) -> list[tuple[Any, tuple[int, ...]]]:
    if node.op_type in _POOLS and node.attributes.get_int("ceil_mode", 0) != 0:
        version = max(version, _CEIL_MODE_MENDED)
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError as error:
        raise Refusal(f"ONNX does not know {node.domain or 'ai.onnx'}:{node.op_type} of opset {version}") from error
    inputs = [v for v in node.inputs if v is not None]
    types = {str(v.name): _type_proto(v) for v in inputs}
    data = {
        str(v.name): onnx.numpy_helper.from_array(np.asarray(v.const_value.numpy()), str(v.name))
        for v in inputs
        if v.const_value is not None and v.const_value.size <= _DATA_LIMIT
    }
    scales = constant(inputs[-1]) if node.op_type in _SCALED and inputs else None
    if scales is not None and scales.dtype == np.float32:
        last = str(inputs[-1].name)
        data[last] = onnx.numpy_helper.from_array(scales_to_infer(node, scales), last)
    try:
        found = onnx.shape_inference.infer_node_outputs(
            schema, ir.serde.serialize_node(node), types, data, opset_imports=protos
        )
    except RAISED_BY_ONNX as error:
        given = ", ".join(f"{v.name}: {v.dtype}{list(v.shape) if v.shape is not None else '?'}" for v in inputs)
        words = " ".join(str(error).split())
        raise InvalidModelError(
            f"{source}: {node.op_type} (node '{label(node)}') does not fit its inputs ({given}): {words}"
        ) from error
    result = []
    for value in node.outputs:
        proto = found.get(str(value.name))
        result.append(_static(node, value, proto))
    return result


def _static(node: ir.Node, value: ir.Value, proto: onnx.TypeProto | None) -> tuple[Any, tuple[int, ...]]:
    if proto is None or not proto.HasField("tensor_type") or not proto.tensor_type.HasField("shape"):
        if not value.uses() and not value.is_graph_output():
            value.name = ""  # an optional output that nobody reads is absent
            return np.float32, ()
        raise Refusal(
            f"the shape of its output '{value.name}' is not known when the model is loaded", "export with static shapes"
        )
    dims = proto.tensor_type.shape.dim
    if any(not d.HasField("dim_value") for d in dims):
        raise Refusal(
            f"the shape of its output '{value.name}' depends on data: {[d.dim_value or d.dim_param or '?' for d in dims]}",
            "a real-time program needs static shapes; export with constant shapes",
        )
    dtype = onnx.helper.tensor_dtype_to_np_dtype(proto.tensor_type.elem_type)
    shape = tuple(int(d.dim_value) for d in dims)
    if dtype.hasobject:
        raise Refusal("strings are not supported", "leave them out of the exported model")
    if any(size < 0 for size in shape) or is_absurd(shape):
        raise Refusal(f"the shape of its output '{value.name}' is {list(shape)}", "export it again")
    return dtype, shape


def _type_proto(value: ir.Value) -> onnx.TypeProto:
    known = value if value.const_value is None else value.const_value
    assert known.dtype is not None and known.shape is not None
    return onnx.helper.make_tensor_type_proto(int(known.dtype), [int(d) for d in known.shape])  # type: ignore[arg-type]


def _fold(graph: ir.Graph, node: ir.Node, opsets: dict[str, int]) -> None:
    """Run the node now and put constants in its place."""
    build = builder(opsets)
    inputs = tuple(None if v is None else buffer_of(v, Kind.TEMPORARY) for v in node.inputs)
    values = [v for v in node.outputs if not is_absent(v)]
    outputs = {v: buffer_of(v, Kind.OUTPUT) for v in values}
    lower_node(node, opsets, build, inputs, tuple(outputs.get(v) for v in node.outputs))
    for value, array in zip(values, _run(build, tuple(outputs.values()), node.op_type), strict=True):
        folded = add_constant(graph, value.name or "folded", array)
        ir.convenience.replace_all_uses_with(value, folded, replace_graph_outputs=True)
        if folded.is_graph_output():
            folded.name = value.name
    graph.remove(node, safe=True)


def _run(build: Builder, outputs: tuple[Buffer, ...], operator: str) -> list[NDArray[Any]]:
    """The outputs of calls that have no inputs; what is only a copy of a constant is that constant."""
    (source, *_) = build.calls[0].operands if len(build.calls) == 1 else (None,)
    if source is not None and source.value is not None and build.calls[0].kernel == "copy_blocks":
        return [source.value.reshape(outputs[0].shape)]
    if units(build.calls, build.loops) > MOST_AT_LOAD:
        raise Refusal(
            "its inputs are constants, and computing it once would take very long", "compute it before the model"
        )
    lowered = Lowered(tuple(build.calls), tuple(build.nodes), (), outputs, tuple(build.loops))
    context = Context(Executable(assemble(lowered, operator)))
    context.run()
    return [array.copy() for array in context.outputs.values()]
