"""Products of dynamically quantised models: MatMulInteger and ConvInteger with constant weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface.modes import Mode
from rt_engine.ops.base import RT_DOMAIN
from rt_engine.ops.graph import add_constant, constant, only_user, replace
from rt_engine.ops.packing.quantised import signed_weights
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.quantity import flipped


def fuse_integer_products(compilation: Compilation) -> bool:
    """Put products of bytes, whose zero point of x is computed at run time, in the place of general ones.

        x --DynamicQuantizeLinear--> q, scale, zero      q --ConvInteger--> sums --Cast--> --Mul(scale * w_scale)--> y
        q, zero, scale * w_scale --QConv--> y

    1. ConvInteger, MatMulInteger with constant weights and zero points of them, one or one per output channel, and one zero point
       of x or none -> QConv, QLinear that give sums.
    2. Cast to float32 and Mul by one number, or one per output channel, behind it: these give float32. The same bits: both
       round the sum, then the product.

    Requires: shapes and types. Ensures: nothing that later passes need.
    """
    graph, changed = compilation.graph, False
    for node in list(graph):
        if node.graph is graph and not node.domain and node.op_type in ("ConvInteger", "MatMulInteger"):
            changed = _product(graph, node) or changed
    return changed


@dataclass(slots=True)
class _Tail:
    """The nodes from the product to the last that is taken in, and the scale, None for sums as they are."""

    nodes: list[ir.Node]
    scale: ir.Value | None = None


def _product(graph: ir.Graph, node: ir.Node) -> bool:
    conv = node.op_type == "ConvInteger"
    given: list[ir.Value | None] = [*node.inputs, None, None][:4]
    x, zero, w = given[0], given[2], constant(given[1])
    if x is None or w is None or x.shape is None or x.dtype not in (ir.DataType.UINT8, ir.DataType.INT8):
        return False
    if w.ndim != len(x.shape) if conv else w.ndim != 2:
        return False
    if (conv and w.ndim < 3) or not w.size or len(x.shape) == 0 or node.outputs[0].shape is None:
        return False
    if zero is not None and (zero.shape is None or np.prod([int(d) for d in zero.shape]) != 1):  # type: ignore[arg-type]
        return False
    less = _less_zero(w, given[3], 0 if conv else 1)
    if less is None:
        return False
    name, out = node.name or node.op_type, node.outputs[0]
    columns = less.shape[0 if conv else 1]
    tail = _tail(graph, node, columns, 1 if conv else len(out.shape or ()) - 1)
    if tail.scale is not None and conv and 1 < node.attributes.get_int("group", 1) == columns and _size(tail.scale) > 1:
        tail = _Tail([node])  # the depthwise kernel takes one
    attributes: dict[str, Any] = {"mode": int(Mode.RAW if tail.scale is None else Mode.REAL)}
    if conv:
        spatial = [int(d) for d in out.shape or ()][2:]  # type: ignore[arg-type]  # static by now
        attributes |= {**node.attributes, "layout": "first", "out": spatial}
        less = np.transpose(less, [*range(2, less.ndim), 1, 0])
    source, shift = _unsigned(graph, x, zero, node)
    scale = tail.scale or add_constant(graph, f"{name}.scale", np.ones(1, np.float32))
    weights, none = add_constant(graph, f"{name}.weight", less), np.zeros(columns, np.int32)
    inputs = [source, weights, add_constant(graph, f"{name}.bias", none), scale, shift]
    new = ir.node("QConv" if conv else "QLinear", inputs, attributes, domain=RT_DOMAIN, name=node.name)
    replace(graph, tail.nodes, new)
    return True


def _less_zero(w: NDArray[Any], given: ir.Value | None, axis: int) -> NDArray[Any] | None:
    """Weights less their zero points, int8 where they fit, else int16; None where those are not known, or of another shape."""
    zero = np.zeros(1, w.dtype) if given is None else constant(given)
    if zero is None or zero.size not in (1, w.shape[axis]):
        return None
    shape = [-1 if a == axis else 1 for a in range(w.ndim)] if zero.size > 1 else [1] * w.ndim
    return signed_weights(w, zero.reshape(shape))


def _size(value: ir.Value) -> int:
    return int(np.prod([int(d) for d in value.shape or ()]))  # type: ignore[arg-type]  # static by now


def _tail(graph: ir.Graph, node: ir.Node, columns: int, axis: int) -> _Tail:
    """Cast and Mul behind the product, where the other factor is one number or one per output channel."""
    cast = only_user(node.outputs[0], graph)
    if cast is None or cast.domain or cast.op_type != "Cast" or cast.outputs[0].dtype != ir.DataType.FLOAT:
        return _Tail([node])
    mul = only_user(cast.outputs[0], graph)
    if mul is None or mul.domain or mul.op_type != "Mul" or mul.inputs[0] is mul.inputs[1]:
        return _Tail([node])
    scale = mul.inputs[1] if mul.inputs[0] is cast.outputs[0] else mul.inputs[0]
    whole = mul.outputs[0].shape
    if scale is None or scale.shape is None or whole is None or whole != node.outputs[0].shape:
        return _Tail([node])
    sizes = [1] * (len(whole) - len(scale.shape)) + [int(d) for d in scale.shape]  # type: ignore[arg-type]
    if all(size == 1 or (a == axis and size == columns) for a, size in enumerate(sizes)):
        return _Tail([node, cast, mul], scale)
    return _Tail([node])


def _unsigned(graph: ir.Graph, x: ir.Value, zero: ir.Value | None, before: ir.Node) -> tuple[ir.Value, ir.Value]:
    """(x, zero point) as uint8."""
    if x.dtype == ir.DataType.UINT8:
        return x, zero if zero is not None else add_constant(graph, f"{x.name}.zero", np.zeros((), np.uint8))
    known = np.zeros((), np.int8) if zero is None else constant(zero)
    if known is not None:
        shift = add_constant(graph, f"{x.name}.zero", (known.astype(np.int16) + 128).astype(np.uint8))
    else:
        assert zero is not None
        shift = flipped(graph, zero, before)
    return flipped(graph, x, before), shift
