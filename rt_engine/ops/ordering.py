"""TopK, CumSum, CumProd, Det: https://onnx.ai/onnx/operators/"""

from math import prod

import numpy as np

from rt_engine.kernels.interface.cumulate import CUMULATE
from rt_engine.kernels.interface.determinant import DETERMINANT
from rt_engine.kernels.interface.dtypes import CODE
from rt_engine.kernels.interface.topk import TOPK
from rt_engine.ops.base import FLOATS, NUMBERS, Node, operator
from rt_engine.ops.builder import Builder


@operator("TopK", since=10)
def top_k(node: Node, build: Builder) -> None:
    """The k largest or smallest along an axis, the best first, whatever `sorted` says; of equals, the lower index first."""
    _top_k(node, build, int(node.constant(1, "k").item()))


@operator("TopK", since=1)
def top_k_of_attribute(node: Node, build: Builder) -> None:
    """Before opset 10, k is an attribute."""
    _top_k(node, build, int(node.attr("k")))


def _top_k(node: Node, build: Builder, k: int) -> None:
    x, axis, rank = node.x, node.attr("axis", -1), len(node.x.shape)
    node.require_type(x, NUMBERS)
    node.require(-rank <= axis < rank, f"axis {axis} of a tensor with {rank} dimensions", "correct the axis")
    axis %= rank
    n = x.shape[axis]
    node.require(0 <= k <= n, f"the best {k} of {n} are asked for", "correct k")
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    if not prod(shape):
        return
    outputs = [*node.outputs, None][:2]
    values = build.temporary(x.dtype, shape) if outputs[0] is None else outputs[0]
    indices = build.temporary(np.int64, shape) if outputs[1] is None else outputs[1]
    keys, places = build.temporary(np.int64, (n,)), build.temporary(np.int64, (n,))
    record = TOPK(
        x=x, values=values, indices=indices, keys=keys, places=places, outer=prod(x.shape[:axis]), n=n,
        inner=prod(x.shape[axis + 1 :]), k=k, type=CODE[x.dtype], largest=node.attr("largest", 1),
    )  # fmt: skip
    build.call("topk", record)


@operator("CumSum", since=11)
@operator("CumProd", since=26)
def cumulate(node: Node, build: Builder) -> None:
    """Sums or products so far along a constant axis."""
    x, rank = node.x, len(node.x.shape)
    node.require_type(x, NUMBERS)
    axis = int(node.constant(1, "axis").item())
    node.require(-rank <= axis < rank, f"axis {axis} of a tensor with {rank} dimensions", "correct the axis")
    axis %= rank
    outer, n, inner = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
    if x.size:
        record = CUMULATE(
            x=x, out=node.y, outer=outer, n=n, inner=inner, type=CODE[x.dtype], product=node.op_type == "CumProd",
            exclusive=node.attr("exclusive", 0), reverse=node.attr("reverse", 0),
        )  # fmt: skip
        build.call("cumulate", record, inplace=("x",))


@operator("Det", since=11)
def det(node: Node, build: Builder) -> None:
    """Determinants of square matrices."""
    x = node.x
    node.require_type(x, FLOATS)
    node.require(len(x.shape) >= 2 and x.shape[-1] == x.shape[-2], "the matrices are not square")
    n = x.shape[-1]
    if node.y.size:
        work = build.temporary(np.float64, (n, n))
        build.call("determinant", DETERMINANT(x=x, out=node.y, work=work, batch=node.y.size, n=n, type=CODE[x.dtype]))
