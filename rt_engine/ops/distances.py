"""CDist of com.microsoft, which exporters write for nearest neighbours: distances between the rows of two matrices."""

from typing import Any

import onnx_ir as ir

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.reduce import REDUCE
from rt_engine.ops.base import FLOATS, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.moves import reshaped
from rt_engine.ops.unary import unary
from rt_engine.program.calls import Buffer


def _types(node: ir.Node, inputs: list[Buffer]) -> list[tuple[Any, tuple[int, ...]]]:
    return [(inputs[0].dtype, (inputs[0].shape[0], inputs[1].shape[0]))]


@operator("CDist", domain="com.microsoft", since=1, infer=_types)
def cdist(node: Node, build: Builder) -> None:
    """Euclidean distances, squared or not, summed from differences: equal rows have distance zero."""
    a, b, metric = node.x, node.input(1), str(node.attr("metric", "sqeuclidean"))
    node.require_type(a, FLOATS)
    node.require(metric in ("euclidean", "sqeuclidean"), f"metric {metric} is not supported", "use euclidean")
    (m, k), n, suffix = a.shape, b.shape[0], SUFFIX[a.dtype]
    node.require(
        b.shape == (n, k) and a.dtype == b.dtype, f"{list(a.shape)} and {list(b.shape)} do not fit together", ""
    )
    difference = build.temporary(a.dtype, (m, n, k))
    broadcast(build, f"sub_{suffix}", (reshaped(build, a, (m, 1, k)), reshaped(build, b, (1, n, k))), difference)
    squared = node.y if metric == "sqeuclidean" else build.temporary(a.dtype, (m, n))
    build.call(
        f"reduce_sum_square_{suffix}", REDUCE(x=difference, out=squared, outer=m * n, count=k, inner=1), macs=m * n * k
    )
    if squared is not node.y:
        unary(build, "sqrt", squared, node.y)
