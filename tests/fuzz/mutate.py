"""Models that are nearly right: a good model with a few hostile changes, by a seeded generator."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from rt_engine.backend import bind, constant_inputs
from rt_engine.ops import operators
from tests import ROOT
from tests.conformance.suite import cases, excluded
from tests.fuzz.doors import door_changes, doors

GOLDEN = ROOT / "tests" / "exporters" / "golden"
INTEGERS = (
    -1,
    0,
    1,
    2,
    3,
    5,
    7,
    64,
    1000,
    1 << 20,
    1 << 31,
    1 << 40,
    1 << 62,
    (1 << 63) - 1,
    -2,
    -7,
    -(1 << 31),
    -(1 << 63),
)
FLOATS = (float("nan"), float("inf"), float("-inf"), 0.0, -0.0, -1.0, 1e-45, 1e38, -1e38, 0.5, 3.0)
NAMES = ("", "x", "no such name", "a" * 300)

Rng = np.random.Generator
Change = Callable[[ModelProto, GraphProto, Rng], None]


@cache
def seeds() -> list[tuple[str, bytes]]:
    """(name, model) of the golden files and of ONNX's cases, with inputs that decide shapes as constants."""
    found = [(path.stem, path.read_bytes()) for path in sorted(GOLDEN.glob("*.onnx"))]
    for case in cases().values():
        if excluded(case.name) is None:
            inputs = dict(zip((i.name for i in case.model.graph.input), case.data[0][0], strict=False))
            constants = {n: inputs[n] for n in constant_inputs(case.model) if isinstance(inputs.get(n), np.ndarray)}
            found.append((case.name, bind(case.model, constants).SerializeToString()))
    return found


DOORS, BYTES = 10**9, 2 * 10**9
"""From the first number on, mutants of models that use what was opened last; from the second on, their bytes are changed."""
PLANTED = 3 * 10**9
"""A good model that the worker spoils when it is loaded: who watches must see it."""


def mutant(number: int) -> tuple[str, bytes]:
    """(name of the seed, bytes of a hostile model): the same for a number, always."""
    rng = np.random.default_rng(number)
    if number == PLANTED:
        return "planted", dict(doors())["unsorted"]
    name, data = pick(rng, doors() if number >= DOORS else seeds())
    if number >= BYTES or rng.random() < 0.1:
        return name, _damaged(data, rng)
    changes = (*CHANGES, *door_changes()) if number >= DOORS else CHANGES
    model = ModelProto.FromString(data)
    for _ in range(int(rng.integers(1, 4))):
        change: Change = pick(rng, changes)
        try:
            change(model, pick(rng, _graphs(model.graph)), rng)
        except (ValueError, TypeError, OverflowError, LookupError, RuntimeError, onnx.defs.SchemaError):
            continue  # protobuf refused the value, or there is nothing to change
    return name, model.SerializeToString()


def binding_of(number: int, data: bytes) -> dict[str, Any]:
    """What is bound when the mutant is loaded: mostly nothing."""
    rng = np.random.default_rng(number + (1 << 40))
    if number < DOORS or number == PLANTED or rng.random() < 0.7:
        return {}
    name = pick(rng, ("x", "c", "n", "s", "q", "y", "no such name"))
    value: Any = pick(rng, (0, 1, True, -1, 2.5, "red", [1.0] * 4, ["red", "?"], [[1, 2], [3]], 1 << 63, [], None))
    bound = pick(rng, (1, 2, 7, 5000, 1 << 40, 10**30))
    return {"values": {name: value}} if rng.random() < 0.5 else {"bounds": {name: bound}}


def pick(rng: Rng, items: Sequence[Any]) -> Any:
    """One of them; ValueError if there is none."""
    return items[int(rng.integers(len(items)))]


def _graphs(graph: GraphProto) -> list[GraphProto]:
    inner = [a.g for n in graph.node for a in n.attribute if a.type == AttributeProto.GRAPH]
    return [graph, *(g for sub in inner for g in _graphs(sub))]


def _damaged(data: bytes, rng: Rng) -> bytes:
    """Cut short, or with bytes changed."""
    content = bytearray(data)
    if rng.random() < 0.3:
        return bytes(content[: int(rng.integers(len(content)))])
    for _ in range(int(rng.integers(1, 8))):
        content[int(rng.integers(len(content)))] = int(rng.integers(256))
    return bytes(content)


def _integer(rng: Rng) -> int:
    return pick(rng, INTEGERS) if rng.random() < 0.7 else int(rng.integers(-10, 20))


def attribute_value(_: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """Another value of the same kind."""
    attribute = pick(rng, pick(rng, graph.node).attribute)
    if attribute.type == AttributeProto.INT:
        attribute.i = _integer(rng)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = pick(rng, FLOATS)
    elif attribute.type == AttributeProto.STRING:
        attribute.s = pick(rng, (b"", b"nonsense", b"\xff\xfe", b"SAME_UPPER", b"reflect", b"x" * 1000))
    elif attribute.type == AttributeProto.INTS:
        _change_list(attribute.ints, rng, lambda: _integer(rng))
    elif attribute.type == AttributeProto.FLOATS:
        _change_list(attribute.floats, rng, lambda: pick(rng, FLOATS))
    elif attribute.type == AttributeProto.STRINGS:
        _change_list(attribute.strings, rng, lambda: pick(rng, (b"", b"nonsense", b"BRANCH_LEQ", b"LEAF")))
    elif attribute.type == AttributeProto.TENSOR:
        _change_tensor(attribute.t, rng)


def _change_list(values: Any, rng: Rng, new: Callable[[], Any]) -> None:
    kind = int(rng.integers(5))
    if kind == 0 and len(values):
        del values[int(rng.integers(len(values))) :]
    elif kind == 1:
        values.extend(new() for _ in range(pick(rng, (1, 2, 10, 5000))))
    elif kind == 2 and len(values):
        values[:] = [new()] * len(values)
    elif len(values):
        values[int(rng.integers(len(values)))] = new()


def attribute_kind(_: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """An attribute of the wrong kind."""
    node = pick(rng, graph.node)
    attribute = pick(rng, node.attribute)
    wrong = (1, 1.5, "text", [1, 2], [0.5], ["a"], np.zeros((2, 3), np.float32))
    value = pick(rng, wrong)
    new = onnx.helper.make_attribute(
        attribute.name, numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
    )
    attribute.CopyFrom(new)


def attribute_gone(_: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """One attribute less."""
    node = pick(rng, graph.node)
    del node.attribute[int(rng.integers(len(node.attribute)))]


def attribute_new(_: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """An attribute that the operator has, with any value of its kind."""
    node = pick(rng, graph.node)
    known = onnx.defs.get_schema(node.op_type, domain=node.domain).attributes
    name = pick(rng, sorted(known))
    kind = known[name].type
    value: Any = {
        onnx.defs.OpSchema.AttrType.INT: lambda: _integer(rng),
        onnx.defs.OpSchema.AttrType.FLOAT: lambda: pick(rng, FLOATS),
        onnx.defs.OpSchema.AttrType.INTS: lambda: [_integer(rng) for _ in range(int(rng.integers(1, 7)))],
        onnx.defs.OpSchema.AttrType.FLOATS: lambda: [pick(rng, FLOATS) for _ in range(int(rng.integers(1, 7)))],
    }.get(kind, lambda: "nonsense")()
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])


def operands(_: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """Inputs or outputs gone, doubled, swapped, renamed; loops among nodes come of it."""
    node: NodeProto = pick(rng, graph.node)
    names = pick(rng, (node.input, node.input, node.output))
    everything = [n for other in graph.node for n in (*other.input, *other.output)] + list(NAMES)
    kind = int(rng.integers(5))
    if kind == 0:
        del names[int(rng.integers(len(names)))]
    elif kind == 1:
        names.append(pick(rng, everything))
    elif kind == 2:
        names.extend([pick(rng, everything)] * pick(rng, (2, 10, 3000)))
    elif kind == 3:
        names[:] = list(names)[::-1]
    else:
        names[int(rng.integers(len(names)))] = pick(rng, everything)


def operator(_: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """Another operator on the same operands."""
    node = pick(rng, graph.node)
    node.domain, node.op_type = pick(rng, sorted(d for d in operators() if d[0] != "rt_engine"))


def node_order(_: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """A node twice, gone, or somewhere else."""
    at = int(rng.integers(len(graph.node)))
    copy = NodeProto.FromString(graph.node[at].SerializeToString())
    kind = int(rng.integers(3))
    if kind != 0:
        del graph.node[at]
    if kind != 1:
        graph.node.insert(int(rng.integers(len(graph.node) + 1)), copy)


def initializer(_: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """Other data, type or shape of a constant."""
    _change_tensor(pick(rng, graph.initializer), rng)


def _change_tensor(tensor: TensorProto, rng: Rng) -> None:
    kind = int(rng.integers(7))
    if kind == 0:
        tensor.raw_data = tensor.raw_data[: int(rng.integers(len(tensor.raw_data) + 1))]
    elif kind == 1:
        _change_list(tensor.dims, rng, lambda: _integer(rng))
    elif kind == 2:
        tensor.data_type = int(rng.integers(0, 26))
    elif kind == 3 and tensor.dims:
        array = numpy_helper.to_array(tensor)
        tensor.CopyFrom(
            numpy_helper.from_array(np.resize(array, [int(rng.integers(0, 9)) for _ in array.shape]), tensor.name)
        )
    else:
        _change_values(tensor, rng, kind)


def _change_values(tensor: TensorProto, rng: Rng, kind: int) -> None:
    array = numpy_helper.to_array(tensor).copy()
    flat = array.reshape(-1)
    at = slice(None) if kind == 4 else int(rng.integers(max(flat.size, 1)))
    if array.dtype.kind in "iu":
        flat[at] = np.array(_integer(rng), np.int64).astype(array.dtype)
    elif array.dtype.kind == "f":
        flat[at] = pick(rng, FLOATS)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def signature(_: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """Other shapes and types of inputs, outputs and values between."""
    value = pick(rng, (*graph.input, *graph.input, *graph.output, *graph.value_info))
    kind = value.type.tensor_type
    what = int(rng.integers(5))
    if what == 0:
        kind.elem_type = int(rng.integers(0, 26))
    elif what == 1:
        kind.shape.dim.add().dim_value = _integer(rng)
    elif what == 2:
        del kind.shape.dim[int(rng.integers(len(kind.shape.dim))) :]
    elif what == 3:
        pick(rng, kind.shape.dim).dim_param = pick(rng, ("n", "batch", ""))
    else:
        pick(rng, kind.shape.dim).dim_value = _integer(rng)


def header(model: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """Other versions, or an output or input listed twice."""
    kind = int(rng.integers(4))
    if kind == 0:
        pick(rng, model.opset_import).version = pick(rng, (0, 1, 5, 6, 7, 9, 11, 13, 18, 21, 24, 99, -1))
    elif kind == 1:
        model.ir_version = pick(rng, (0, 1, 3, 8, 12, 99, -1))
    elif kind == 2:
        graph.output.add().CopyFrom(pick(rng, (*graph.output, *graph.input)))
    else:
        graph.input.add().CopyFrom(pick(rng, (*graph.output, *graph.input)))


def constant_operand(_: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """An input becomes a constant with hostile data: indices, shapes, counts."""
    at = int(rng.integers(len(graph.input)))
    value = graph.input[at]
    shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
    if min(shape, default=0) < 0 or np.prod(shape, dtype=np.float64) > 1 << 16:
        return
    array = np.ones(shape, onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    graph.initializer.append(numpy_helper.from_array(array, value.name))
    del graph.input[at]
    _change_values(graph.initializer[-1], rng, pick(rng, (4, 5)))


CHANGES: tuple[Change, ...] = (
    attribute_value,
    attribute_value,
    attribute_value,
    attribute_kind,
    attribute_gone,
    attribute_new,
    attribute_new,
    operands,
    operands,
    operator,
    node_order,
    initializer,
    initializer,
    signature,
    signature,
    header,
    constant_operand,
)
