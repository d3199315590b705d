"""Quantised tensors in a graph: what a DequantizeLinear reads, what a QuantizeLinear makes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.ops.base import RT_DOMAIN
from rt_engine.ops.graph import constant

BYTES = (np.dtype(np.int8), np.dtype(np.uint8))


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a DequantizeLinear reads or a QuantizeLinear makes: real = scale * (value - zero)."""

    value: ir.Value
    scale: NDArray[Any]
    zero: NDArray[Any]
    axis: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the quantised elements."""
        return self.zero.dtype

    @property
    def per_tensor(self) -> bool:
        """One scale for all, of bytes."""
        return self.scale.size == 1 and self.zero.size == 1 and self.dtype in BYTES

    @property
    def step(self) -> np.float32:
        """The one scale."""
        return np.float32(self.scale.reshape(-1)[0])

    @property
    def shift(self) -> int:
        """The one zero point."""
        return int(self.zero.reshape(-1)[0])

    def same(self, other: "Quantity") -> bool:
        """The same numbers stand for the same values."""
        if not (self.per_tensor and other.per_tensor):
            return False
        return (self.step, self.shift, self.dtype) == (other.step, other.shift, other.dtype)


def quantity(node: ir.Node | None, op_type: str) -> Quantity | None:
    """The scale and zero point of a Q or DQ node with constant ones, not blocked."""
    if node is None or node.op_type != op_type or node.domain or node.attributes.get_int("block_size", 0) != 0:
        return None
    value = node.inputs[0] if op_type == "DequantizeLinear" else node.outputs[0]
    scale, zero = constant(node.inputs[1]), constant(node.inputs[2] if len(node.inputs) > 2 else None)
    if value is None or scale is None or scale.dtype != np.float32 or value.dtype is None:
        return None
    if len(node.inputs) > 2 and node.inputs[2] is not None and zero is None:
        return None
    dtype = np.dtype(value.dtype.numpy())
    if zero is None:
        zero = np.zeros(scale.shape, dtype)
    if zero.size not in (1, scale.size) or not np.isfinite(scale).all() or (scale <= 0).any():
        return None
    return Quantity(value, scale, zero, node.attributes.get_int("axis", 1))


def dequantised(value: ir.Value | None) -> Quantity | None:
    """What `value` was dequantised from."""
    return None if value is None else quantity(value.producer(), "DequantizeLinear")


def flipped(graph: ir.Graph, value: ir.Value, before: ir.Node) -> ir.Value:
    """int8 as uint8, 128 more, by a FlipSign in front of `before`."""
    node = ir.node("FlipSign", [value], domain=RT_DOMAIN, name=f"{value.name}.unsigned")
    out = node.outputs[0]
    out.name, out.shape, out.dtype = f"{value.name}.unsigned", value.shape, ir.DataType.UINT8
    graph.insert_before(before, node)
    return out
