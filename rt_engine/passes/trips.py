"""How often a loop runs whose condition depends on no data: its condition is computed now, on our own kernels.

    Loop(most, true, i = 0, h, ...)                Loop(most, true, i = 0, count = 0)
        i2 = i + 1                                     i2 = i + 1
        h2 = cell(h, x[i])             -->             more = i2 < 20                    -->   count = 20
        more = i2 < 20                                 count2 = count + 1
        all[i] = h2

Exporters write so what runs a fixed number of times (tf2onnx: GRU and SimpleRNN of Keras).
"""

from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rt_engine.errors import EngineError
from rt_engine.ops.control import bodies
from rt_engine.ops.graph import constant
from rt_engine.passes.compilation import Compilation

_OPSETS = ("", "ai.onnx.ml", "com.microsoft")


@dataclass(frozen=True, slots=True)
class _Slice:
    """What computes the condition: nodes in order, constants that they read, the numbers of what they carry."""

    nodes: list[ir.Node]
    constants: dict[str, ir.Value]
    carried: list[int]


def most_trips(compilation: Compilation, node: ir.Node, captured: int, most: int) -> int | None:
    """How often it runs at most: what one of the conditions says that all have to hold; None where data decide."""
    conditions, found = [node.attributes["body"].as_graph().outputs[0]], list[int]()
    while conditions:
        condition = conditions.pop()
        maker = condition.producer()
        if maker is not None and maker.op_type == "And" and not maker.domain:
            conditions += [value for value in maker.inputs if value is not None]
        elif (count := static_trips(compilation, node, captured, most, condition)) is not None and count < most:
            found.append(count)
    return min(found, default=None)


def static_trips(
    compilation: Compilation, node: ir.Node, captured: int, most: int, condition: ir.Value | None = None
) -> int | None:
    """How often a closed Loop runs, at most `most` times, whose condition holds at its start; None where data decide."""
    body = node.attributes["body"].as_graph()
    condition = condition or body.outputs[0]
    found = _slice(node, body, len(body.inputs) - 2 - captured, condition)
    if found is None:
        return None
    try:
        (count,) = compilation.evaluate(_counting(compilation, node, body, found, most, condition), {})
    except EngineError:
        return None
    return int(count)


def _slice(node: ir.Node, body: ir.Graph, carried: int, condition: ir.Value) -> _Slice | None:
    """None where it reads anything that is not known at load."""
    numbers = {value: i for i, value in enumerate(list(body.inputs)[2 : 2 + carried])}
    free = set(list(body.inputs)[:2])
    constants: dict[str, ir.Value] = {}
    needed: set[ir.Node] = set()
    wanted: list[int] = []
    waiting, seen = [condition], set[ir.Value]()
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        maker = value.producer()
        if maker is not None:
            if bodies(maker) or maker.op_type.startswith("Random"):
                return None
            needed.add(maker)
            waiting += [v for v in maker.inputs if v is not None]
        elif constant(value) is not None:
            constants[str(value.name)] = value
        elif value in numbers and constant(node.inputs[2 + numbers[value]]) is not None:
            wanted.append(numbers[value])
            waiting.append(body.outputs[1 + numbers[value]])
        elif value not in free:
            return None
    return _Slice([n for n in body if n in needed], constants, wanted)


def _counting(
    compilation: Compilation, node: ir.Node, body: ir.Graph, part: _Slice, most: int, condition: ir.Value
) -> onnx.ModelProto:
    """A model whose output is how often the loop runs."""
    initial = [constant(node.inputs[2 + k]) for k in part.carried]
    starts = [
        numpy_helper.from_array(a, f"start.{k}") for a, k in zip(initial, part.carried, strict=True) if a is not None
    ]
    types = [helper.make_tensor_type_proto(TensorProto.INT64, []), helper.make_tensor_type_proto(TensorProto.BOOL, [])]
    types += [helper.make_tensor_type_proto(t.data_type, list(t.dims)) for t in starts]
    read = [*list(body.inputs)[:2], *(body.inputs[2 + k] for k in part.carried)]
    inputs = [helper.make_value_info(str(v.name), t) for v, t in zip(read, types, strict=True)]
    made = [condition, *(body.outputs[1 + k] for k in part.carried)]
    nodes = [ir.serde.serialize_node(n) for n in part.nodes]
    nodes += [helper.make_node("Identity", [str(v.name)], [f"result.{i}"]) for i, v in enumerate(made)]
    nodes.append(helper.make_node("Add", ["count.in", "count.one"], ["count.out"]))
    whole, count = types[0], helper.make_value_info("count.in", types[0])
    results = [helper.make_value_info(f"result.{i}", t) for i, t in enumerate(types[1:])]
    known = [numpy_helper.from_array(_array(v), name) for name, v in part.constants.items()]
    one = helper.make_tensor("count.one", TensorProto.INT64, [], [1])
    inner = helper.make_graph(
        nodes, "condition", [*inputs, count], [*results, helper.make_value_info("count.out", whole)], [*known, one]
    )
    ends = [f"end.{k}" for k in part.carried]
    loop = helper.make_node("Loop", ["most", "start", *(t.name for t in starts), "none"], [*ends, "count"], body=inner)
    constants = [
        helper.make_tensor("most", TensorProto.INT64, [], [most]), helper.make_tensor("start", TensorProto.BOOL, [], [True]),
        helper.make_tensor("none", TensorProto.INT64, [], [0]), *starts,
    ]  # fmt: skip
    graph = helper.make_graph([loop], "trips", [], [helper.make_value_info("count", whole)], constants)
    opsets = [helper.make_opsetid(d, v) for d, v in compilation.opsets.items() if d in _OPSETS]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def _array(value: ir.Value) -> NDArray[Any]:
    array = constant(value)
    assert array is not None
    return array
