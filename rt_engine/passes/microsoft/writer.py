"""What a rewriting of one node is written with."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import ArrayLike, NDArray

from rt_engine.ops.base import RT_DOMAIN, Refusal
from rt_engine.ops.graph import add_constant, constant

Values = list[ir.Value | None]


class Writer:
    """Writes the nodes that stand in the place of `node`: its inputs have types and static shapes."""

    def __init__(self, graph: ir.Graph, node: ir.Node, opset: int) -> None:
        self.graph, self.node, self.opset = graph, node, opset
        self.nodes: list[ir.Node] = []
        self.name = node.name or node.outputs[0].name or node.op_type

    # --- what the node says

    def inputs(self, count: int) -> Values:
        """The first inputs, None where one is absent."""
        return [self.optional(i) for i in range(count)]

    def optional(self, index: int) -> ir.Value | None:
        """An input that may be absent."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def input(self, index: int) -> ir.Value:
        """An input.

        Raises:
            Refusal: it is absent.
        """
        value = self.optional(index)
        if value is None:
            raise Refusal(f"its input {index} is missing", "export the model again")
        return value

    def known(self, index: int, what: str) -> NDArray[Any]:
        """The value of an input.

        Raises:
            Refusal: it is computed at run time.
        """
        array = constant(self.input(index))
        if array is None:
            raise Refusal(f"{what} (input {index}) is computed at run time", "save the model with constant weights")
        return array

    def integer(self, name: str, default: int = 0) -> int:
        """An attribute."""
        return int(self.node.attributes.get_int(name, default))

    def number(self, name: str, default: float = 0.0) -> float:
        """An attribute."""
        return float(self.node.attributes.get_float(name, default))

    def kept(self, *without: str) -> dict[str, ir.Attr]:
        """All attributes but those."""
        return {name: value for name, value in self.node.attributes.items() if name not in without}

    def wants(self, index: int) -> bool:
        """Does anybody read this output?"""
        if index >= len(self.node.outputs) or not self.node.outputs[index].name:
            return False
        value = self.node.outputs[index]
        return bool(value.uses()) or value.is_graph_output()

    def require(self, condition: bool, why: str, help: str = "") -> None:
        """Refuse the node unless `condition` holds."""
        if not condition:
            raise Refusal(why, help or "save the model without this optimisation: level 'basic'")

    # --- what stands in its place

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """A standard operator; gives its first output."""
        return self.node_of(op_type, inputs, attributes).outputs[0]

    def own(self, op_type: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: Any) -> Sequence[ir.Value]:
        """An operator of this engine; gives all outputs."""
        return self.node_of(op_type, inputs, attributes, RT_DOMAIN, outputs).outputs

    def node_of(
        self, op_type: str, inputs: Sequence[ir.Value | None], attributes: dict[str, Any], domain: str = "",
        outputs: int = 1,
    ) -> ir.Node:  # fmt: skip
        """A node behind those that are written so far."""
        number = len(self.nodes)
        name = f"{self.name}/{op_type}_{number}"
        made = ir.node(op_type, list(inputs), attributes, domain=domain, num_outputs=outputs, name=name)
        for i, value in enumerate(made.outputs):
            value.name = f"{name}.{i}"
        self.nodes.append(made)
        return made

    def constant(self, value: ArrayLike, dtype: Any = None) -> ir.Value:
        """A constant."""
        return add_constant(self.graph, f"{self.name}/constant", np.asarray(value, dtype))

    def reshape(self, x: ir.Value, *shape: int) -> ir.Value:
        """The same elements in another shape; 0 keeps an axis, -1 takes the rest."""
        return self.op("Reshape", x, self.constant(shape, np.int64))

    def transpose(self, x: ir.Value, *perm: int) -> ir.Value:
        """Axes in another order."""
        return self.op("Transpose", x, perm=list(perm))

    def slice(self, x: ir.Value, axis: int, begin: int, end: int, step: int = 1) -> ir.Value:
        """A part of one axis."""
        return self.op("Slice", x, *(self.constant([n], np.int64) for n in (begin, end, axis, step)))

    def real(
        self, values: ir.Value, scale: ir.Value, zero: ir.Value | None = None, axis: int | None = None
    ) -> ir.Value:
        """DequantizeLinear."""
        return self.op("DequantizeLinear", values, scale, zero, **({} if axis is None else {"axis": axis}))

    def reduced(self, op_type: str, x: ir.Value, axes: Sequence[int], keepdims: int, since: int) -> ir.Value:
        """A reduction; from opset `since` on its axes are an input."""
        if self.opset >= since:
            return self.op(op_type, x, self.constant(axes, np.int64), keepdims=keepdims)
        return self.op(op_type, x, axes=list(axes), keepdims=keepdims)


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """The static shape of an input."""
    if value.shape is None:
        raise Refusal(f"the shape of '{value.name}' is not known", "export with static shapes")
    return tuple(int(d) for d in value.shape)  # type: ignore[arg-type]  # static where specialise has been


def dtype_of(value: ir.Value) -> np.dtype[Any]:
    """The NumPy type of an input."""
    assert value.dtype is not None, value
    return np.dtype(value.dtype.numpy())


Rewriting = Callable[[Writer], Sequence[ir.Value | None]]
"""Writes what stands in a node's place; gives a value for each output, None for one that is not made."""
