"""Functions of one quantised tensor, however many nodes an exporter made of them, become tables of 256 results.

q --DQ--> x --Sigmoid--> --Q--DQ--> s      x, s --Mul--> --Q--> p        SiLU, as quantisers write it
q --Lookup--> p                                                          s was a function of q, and so is p
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops import elements_of
from rt_engine.ops.base import RT_DOMAIN, Elements
from rt_engine.ops.graph import add_constant, constant
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.quantity import quantity

MOST_NODES = 64
"""Nodes of one function; a longer one begins anew at a quantised tensor on the way."""


@dataclass(slots=True)
class _Functions:
    """What is a function of which quantised tensor, element by element."""

    origin: dict[ir.Value, ir.Value] = field(default_factory=dict)
    """A value -> the tensor of bytes that it is a function of."""
    nodes: dict[ir.Value, int] = field(default_factory=dict)
    """A value -> how many nodes of float32 lie between."""

    def take(self, node: ir.Node, of: ir.Value, more: int) -> None:
        """The output of `node` is a function of what `of` is one of; of `of` itself, where that is none or a long one."""
        out, whole = node.outputs[0], node.op_type == "DequantizeLinear" and self.nodes.get(of, 0) > MOST_NODES
        self.nodes[out] = more + (0 if whole else self.nodes.get(of, 0))
        self.origin[out] = of if whole else self.origin.get(of, of)

    def begins(self, read: ir.Node) -> bool:
        """Is what a DequantizeLinear reads the origin of what it makes?"""
        return self.origin[read.outputs[0]] is read.inputs[0]


def fuse_tables(compilation: Compilation) -> bool:
    """Put a Lookup in the place of whatever lies between two tensors of bytes with one scale each.

    1. Operators of one element (Sigmoid, Tanh, Clip, ...) behind a DequantizeLinear, QuantizeLinear behind them.
    2. Several of them, and operators of several elements (Mul, Add, Div, ...) whose operands are functions of the same tensor, or one
       number: x * Sigmoid(x), x * HardSigmoid(x), x * Clip(x + 3, 0, 6) / 6.
    3. Tensors that are quantised on the way: also where they are read by others.
    4. DequantizeLinear, QuantizeLinear with another scale or zero point.

    The bits are those of the nodes as they stand, on our own kernels.

    Requires: shapes and types; DequantizeLinear of constants not folded. Ensures: nothing that later passes need.
    """
    graph, found = compilation.graph, _functions(compilation)
    wanted: list[ir.Node] = []
    for node in reversed(list(graph)):
        if node.op_type != "QuantizeLinear" or node.outputs[0] not in found.origin:
            continue
        if node.outputs[0].is_graph_output() or _read(node.outputs[0], wanted, found):
            wanted.append(node)
    if not wanted:
        return False
    tables = _Tables(compilation, found).of(reversed(wanted))
    for node in wanted:
        was = node.outputs[0]
        table = add_constant(graph, f"{node.name}.table", tables[was])
        new = ir.node("Lookup", [found.origin[was], table], domain=RT_DOMAIN, name=node.name)
        now = new.outputs[0]
        now.name, now.shape, now.type = f"{was.name}.fused", was.shape, was.type
        graph.insert_before(node, new)
        ir.convenience.replace_all_uses_with(was, now, replace_graph_outputs=True)
        graph.remove(node, safe=True)
    _remove_unread(graph, found)
    return True


def _read(value: ir.Value, wanted: list[ir.Node], found: _Functions) -> bool:
    """Does anybody read `value` but functions that become tables of their own?"""
    seen, left = set(wanted), [usage.node for usage in value.uses()]
    while left:
        node = left.pop()
        if node in seen:
            continue
        out = node.outputs[0]
        begins = node.op_type == "DequantizeLinear" and out in found.origin and found.begins(node)
        if out not in found.origin or out.is_graph_output() or begins:
            return True
        left += [usage.node for usage in out.uses()]
    return False


def _functions(compilation: Compilation) -> _Functions:
    found, opsets = _Functions(), compilation.opsets
    for node in compilation.graph:
        if node.domain or len(node.outputs) != 1 or not node.inputs or node.inputs[0] is None:
            continue
        source, out = node.inputs[0], node.outputs[0]
        if node.op_type == "DequantizeLinear":
            read = quantity(node, "DequantizeLinear")
            if read is not None and read.per_tensor and constant(read.value) is None and out.dtype == ir.DataType.FLOAT:
                found.take(node, source, 0)
        elif node.op_type == "QuantizeLinear":
            made = quantity(node, "QuantizeLinear")
            if made is not None and made.per_tensor and source in found.origin:
                found.take(node, source, 1)
        elif (of := _one_operand(node, elements_of(node, opsets), found)) is not None:
            found.take(node, of, 1)
    return found


def _one_operand(node: ir.Node, elements: Elements | None, found: _Functions) -> ir.Value | None:
    """An operand of a function of float32 numbers all of whose operands are functions of one tensor, or numbers."""
    out = node.outputs[0]
    if elements is None or out.dtype != ir.DataType.FLOAT:
        return None
    operands = [v for v in node.inputs if v is not None and constant(v) is None]
    others = [constant(v) for v in node.inputs if v is not None and constant(v) is not None]
    if elements is Elements.ONE:
        if operands != [node.inputs[0]]:
            return None
    elif any(a is not None and a.size != 1 for a in others):
        return None
    if not operands or any(v not in found.origin or v.dtype != ir.DataType.FLOAT for v in operands):
        return None
    origins = {found.origin[v] for v in operands}
    if len(origins) != 1 or origins.pop().shape != out.shape:
        return None
    return max(operands, key=lambda v: found.nodes[v])


def _remove_unread(graph: ir.Graph, found: _Functions) -> None:
    """What only the functions needed goes with them."""
    for node in reversed(list(graph)):
        out = node.outputs[0] if node.outputs else None
        if out in found.origin and not out.uses() and not out.is_graph_output():
            graph.remove(node, safe=True)


def _line(value: ir.Value) -> list[int]:
    """256 elements in as many dimensions as `value` has."""
    return [*[1] * (len(value.shape or ()) - 1), 256]


class _Tables:
    """Computes functions for all 256 bytes, as many as can be in one model."""

    def __init__(self, compilation: Compilation, found: _Functions) -> None:
        self.compilation, self.found = compilation, found
        self.known: dict[ir.Value, NDArray[Any]] = {}
        self.names: dict[ir.Value, str] = {}

    def of(self, nodes: Iterable[ir.Node]) -> dict[ir.Value, NDArray[Any]]:
        """QuantizeLinear's output -> its 256 results, for each of `nodes`."""
        wanted = list(nodes)
        left: dict[ir.Node, None] = {}
        for node in wanted:
            self._needed(node, left)
        while left:
            ready = [node for node in left if all(self._bytes(v) is not None for v in self._inside(node)[1])]
            assert ready, "a function of quantised tensors that waits for itself"
            for node, values in zip(ready, self._evaluated(ready), strict=True):
                self.known[node.outputs[0]] = values.reshape(256)
                del left[node]
        return {node.outputs[0]: self.known[node.outputs[0]] for node in wanted}

    def _needed(self, node: ir.Node, left: dict[ir.Node, None]) -> None:
        """`node`, and every QuantizeLinear before it on the way from its origin."""
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if one in left:
                continue
            left[one] = None
            for read in self._inside(one)[1]:
                source = read.inputs[0]
                producer = None if source is None else source.producer()
                if producer is not None and not self.found.begins(read):
                    waiting.append(producer)

    def _inside(self, node: ir.Node) -> tuple[list[ir.Node], list[ir.Node]]:
        """(nodes of float32 in front of a QuantizeLinear, last first; DequantizeLinear that they read)."""
        inside: dict[ir.Node, None] = {}
        reads: dict[ir.Node, None] = {}
        waiting = [node.inputs[0]]
        while waiting:
            value = waiting.pop()
            producer = None if value is None or value not in self.found.origin else value.producer()
            if producer is None:
                continue
            if producer.op_type == "DequantizeLinear":
                reads[producer] = None
                continue
            inside.pop(producer, None)
            inside[producer] = None
            waiting += producer.inputs
        return list(inside), list(reads)

    def _bytes(self, read: ir.Node) -> NDArray[Any] | None:
        """What the tensor that a DequantizeLinear reads is, for all bytes of its origin; None as long as that is not known."""
        source = read.inputs[0]
        assert source is not None and source.dtype is not None
        if self.found.begins(read):
            return np.arange(256, dtype=np.uint8).view(source.dtype.numpy())
        return self.known.get(source)

    def _evaluated(self, ready: list[ir.Node]) -> list[NDArray[Any]]:
        """The results of these QuantizeLinear, of one model."""
        protos: dict[ir.Node, onnx.NodeProto] = {}
        feeds: dict[str, NDArray[Any]] = {}
        stored: dict[str, onnx.TensorProto] = {}
        for node in ready:
            inside, reads = self._inside(node)
            for read in reads:
                feeds[self._name(read.outputs[0])] = self._real(read)
            for one in [*reversed(inside), node]:
                protos.setdefault(one, self._proto(one, stored))
        outputs = [self._name(node.outputs[0]) for node in ready]
        kinds = [int(node.outputs[0].dtype or 0) for node in ready]
        shapes = [_line(node.outputs[0]) for node in ready]
        ins = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, x.shape) for n, x in feeds.items()]
        outs = [onnx.helper.make_tensor_value_info(*end) for end in zip(outputs, kinds, shapes, strict=True)]
        graph = onnx.helper.make_graph(list(protos.values()), "tables", ins, outs, list(stored.values()))
        opset = onnx.helper.make_opsetid("", self.compilation.opsets.get("", 18))
        model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
        return self.compilation.evaluate(model, feeds)

    def _real(self, read: ir.Node) -> NDArray[np.float32]:
        """(bytes - zero point) * scale, in as many dimensions as the tensor has."""
        values, of, source = self._bytes(read), quantity(read, "DequantizeLinear"), read.inputs[0]
        assert values is not None and of is not None and source is not None
        real = (values.astype(np.float32) - np.float32(of.shift)) * of.step
        return np.asarray(real.reshape(_line(source)), np.float32)

    def _proto(self, node: ir.Node, stored: dict[str, onnx.TensorProto]) -> onnx.NodeProto:
        proto = ir.serde.serialize_node(node)
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            proto.input[index] = self._name(value)
            array = constant(value)
            if array is not None:
                stored[self._name(value)] = onnx.numpy_helper.from_array(array, self._name(value))
        proto.output[0] = self._name(node.outputs[0])
        return proto

    def _name(self, value: ir.Value) -> str:
        return self.names.setdefault(value, f"v{len(self.names)}")
