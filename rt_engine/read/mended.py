"""What ONNX's format allows, or every runtime takes, and ONNX's checker does not: put into the form that the checker knows."""

from collections.abc import Callable, Iterator
from typing import Any

import onnx
from onnx import AttributeProto, ModelProto, TensorProto, ValueInfoProto

from rt_engine.read.order import order_of, sort
from rt_engine.read.sparse import Room, dense
from rt_engine.read.versions import level, strangers
from rt_engine.read.walking import Walked, walked

_FIRST_WITH_CONSTANTS = 4
"""From this version of the format on, an initializer need not be an input."""


def mended(proto: ModelProto, source: str, own: bool) -> ModelProto:
    """The model as the checker wants it: itself where nothing is to be done, a copy where it is not ours (`own`).

    1. A size of less than 0 is an open one, as exporters of Paddle write it.
    2. An output, or an input, may have no shape, an output no type: inference, or `shapes`, says what it is (`checked`).
    3. Nodes are put in an order in which they can be computed.
    4. Sparse tensors become dense ones.
    5. A function of another opset has the model's, where all of its nodes mean the same in both.
    6. In the third version of the format an initializer must be an input as well: such a file is one of the fourth.
    7. A graph without a name gets one; a known domain that nodes use and the file does not import is imported.

    Raises:
        InvalidModelError, UnsupportedModelError: a sparse tensor that contradicts itself, or is too large.
    """
    seen = walked(proto)
    wanted = [mend for needed, mend in _MENDS if needed(seen)]
    if not wanted:
        return proto
    changed = proto
    if not own:
        changed = ModelProto()
        changed.CopyFrom(proto)
    for mend in wanted:
        mend(changed, source)
    return changed


def checked(proto: ModelProto) -> None:
    """Have ONNX's checker look at a model, whose ends have a type and a shape meanwhile: it wants them, and looks at none.

    Raises:
        ValueError, onnx.checker.ValidationError: it breaks ONNX's rules.
    """
    ends = [value for value in (*proto.graph.input, *proto.graph.output) if _is_vague(value)]
    types = [onnx.TypeProto.FromString(value.type.SerializeToString()) for value in ends]
    had = [value.HasField("type") for value in ends]
    for value in ends:
        if not value.type.tensor_type.elem_type:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
        value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(proto)
    finally:
        for value, type, there in zip(ends, types, had, strict=True):
            if there:
                value.type.CopyFrom(type)
            else:
                value.ClearField("type")


def _is_vague(value: ValueInfoProto) -> bool:
    kind = value.type.WhichOneof("value")
    return kind is None or (
        kind == "tensor_type" and not (value.type.tensor_type.elem_type and value.type.tensor_type.HasField("shape"))
    )


def _vague(seen: Walked) -> bool:
    return any(_is_vague(value) for value in (*seen.graphs[0].input, *seen.graphs[0].output))


def _values(seen: Walked) -> Iterator[ValueInfoProto]:
    for graph in seen.graphs:
        yield from graph.input
        yield from graph.output
        yield from graph.value_info


def _open_sizes(seen: Walked) -> list[Any]:
    return [d for v in _values(seen) for d in v.type.tensor_type.shape.dim if d.dim_value < 0]


def _open(proto: ModelProto, source: str) -> None:
    for dim in _open_sizes(walked(proto)):
        dim.Clear()


def _orders(seen: Walked) -> list[tuple[Any, list[int]]]:
    lists = [g.node for g in seen.graphs] + [f.node for f in seen.proto.functions]
    return [(nodes, order) for nodes in reversed(lists) if (order := order_of(nodes)) is not None]


def _sort(proto: ModelProto, source: str) -> None:
    for nodes, order in _orders(walked(proto)):  # the inner ones first: sorting moves what is in a node
        sort(nodes, order)


def _is_sparse(attribute: AttributeProto) -> bool:
    return attribute.type == AttributeProto.SPARSE_TENSOR and attribute.name == "sparse_value"


def _has_sparse(seen: Walked) -> bool:
    return any(len(g.sparse_initializer) for g in seen.graphs) or any(
        _is_sparse(a) for node in seen.nodes if node.op_type == "Constant" for a in node.attribute
    )


def _make_dense(proto: ModelProto, source: str) -> None:
    seen, room = walked(proto), Room.of(proto)
    for graph in seen.graphs:
        for tensor in graph.sparse_initializer:
            graph.initializer.append(dense(tensor, tensor.values.name, source, room))
        del graph.sparse_initializer[:]
    for node in seen.nodes:
        if node.op_type != "Constant":
            continue
        for attribute in node.attribute:
            if _is_sparse(attribute):
                value = dense(attribute.sparse_tensor, node.output[0] if node.output else "", source, room)
                attribute.CopyFrom(onnx.helper.make_attribute("value", value))


def _level(proto: ModelProto, source: str) -> None:
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    for function in proto.functions:
        level(function, versions)


def _has_hidden_constants(seen: Walked) -> bool:
    """Initializers that are no inputs, in a file of a version that wants them to be."""
    if seen.proto.ir_version >= _FIRST_WITH_CONSTANTS:
        return False
    return any(not {t.name for t in g.initializer} <= {v.name for v in g.input} for g in seen.graphs)


def _be_newer(proto: ModelProto, source: str) -> None:
    proto.ir_version = _FIRST_WITH_CONSTANTS


def _nameless(seen: Walked) -> list[Any]:
    return [graph for graph in seen.graphs if not graph.name]


def _name(proto: ModelProto, source: str) -> None:
    for graph in _nameless(walked(proto)):
        graph.name = "graph"


def _not_imported(seen: Walked) -> set[str]:
    """Known domains that nodes use and the file does not import; ONNX's own must be imported."""
    known = {entry.domain for entry in seen.proto.opset_import}
    return ({node.domain for node in seen.nodes} & set(_IMPORTED)) - known


_IMPORTED = {"ai.onnx.ml": 3, "com.microsoft": 1}


def _import(proto: ModelProto, source: str) -> None:
    for domain in sorted(_not_imported(walked(proto))):
        proto.opset_import.append(onnx.helper.make_opsetid(domain, _IMPORTED[domain]))


_MENDS: tuple[tuple[Callable[[Walked], Any], Callable[[ModelProto, str], None]], ...] = (
    (_open_sizes, _open),
    (_vague, lambda proto, source: None),
    (_orders, _sort),
    (_has_sparse, _make_dense),
    (lambda seen: strangers(seen.proto), _level),
    (_has_hidden_constants, _be_newer),
    (_nameless, _name),
    (_not_imported, _import),
)
"""Each case: is it to be done, and what does it. Case 2 only needs a model that is ours."""
