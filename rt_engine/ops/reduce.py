"""Reductions along axes, ArgMax, ArgMin: https://onnx.ai/onnx/operators/ (ReduceMean, ReduceSum, ..., ArgMax, ArgMin)."""

from collections.abc import Sequence
from math import prod

from rt_engine.kernels.interface.dtypes import CODE, SUFFIX
from rt_engine.kernels.interface.reduce import ARG, REDUCE
from rt_engine.ops.base import BOOL, FLOATS, NUMBERS, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import reshaped, transposed
from rt_engine.program.calls import Buffer

_KERNEL = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceSumSquare": "sum_square",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
}


@operator(*_KERNEL, since=1)
def reduce(node: Node, build: Builder) -> None:
    """Reduce over some axes, all by default; axes are an attribute in older opsets and a constant input in newer ones."""
    x, y = node.x, node.y
    axes = node.attr("axes")
    if axes is None and node.optional(1) is not None:
        axes = [int(a) for a in node.constant(1, "axes")]
    if not axes and node.attr("noop_with_empty_axes", 0):
        build.alias(y, reshaped(build, x, y.shape))
        return
    rank = len(x.shape)
    gone = sorted({a % rank for a in axes}) if axes else list(range(rank))
    x, outer, length, inner = grouped(build, x, gone)
    node.require(
        outer * inner == y.size, f"its axes {axes} do not fit a tensor with {rank} dimensions", "correct the axes"
    )
    node.require_type(x, (*NUMBERS, BOOL))
    node.require(
        x.dtype in FLOATS or not _KERNEL[node.op_type].startswith("log"),
        f"a logarithm is not defined for {x.dtype}",
        "cast to float32",
    )
    reduced(build, _KERNEL[node.op_type], x, y, (outer, length, inner))


def reduced(build: Builder, name: str, x: Buffer, out: Buffer, sizes: tuple[int, int, int]) -> None:
    """Call a reduction of `x`, seen as [outer, n, inner], over n."""
    outer, n, inner = sizes
    record = REDUCE(x=x, out=out, outer=outer, count=n, inner=inner, type=None if x.dtype in FLOATS else CODE[x.dtype])
    build.call(f"reduce_{name}_{SUFFIX.get(x.dtype, 'int')}", record)


def grouped(build: Builder, x: Buffer, axes: Sequence[int]) -> tuple[Buffer, int, int, int]:
    """(x, outer, R, inner): the tensor seen with all these axes as one; transposed where they are no neighbours."""
    moving = [a for a in axes if x.shape[a] != 1]
    if moving and [a for a in range(moving[0], moving[-1]) if x.shape[a] != 1 and a not in moving]:
        kept = [a for a in range(len(x.shape)) if a not in axes]
        x = transposed(build, x, [*kept, *axes])
        return x, prod(x.shape[: len(kept)]), prod(x.shape[len(kept) :]), 1
    if not moving:
        return x, x.size, 1, 1
    first, last = moving[0], moving[-1]
    return x, prod(x.shape[:first]), prod(x.shape[first : last + 1]), prod(x.shape[last + 1 :])


@operator("ArgMax", "ArgMin", since=1)
def arg(node: Node, build: Builder) -> None:
    """Index of the largest or smallest along one axis."""
    x, y = node.x, node.y
    axis = node.attr("axis", 0) % max(len(x.shape), 1)
    node.require(bool(x.shape) and x.shape[axis] > 0, "there is no largest or smallest of nothing", "correct the axis")
    outer, length, inner = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
    node.require(outer * inner == y.size, f"axis {axis} does not give {list(y.shape)}", "correct the axis")
    name, last = node.op_type.lower(), int(node.attr("select_last_index", 0))
    node.require_type(x, NUMBERS)
    code = None if x.dtype in FLOATS else CODE[x.dtype]
    record = ARG(x=x, out=y, outer=outer, count=length, inner=inner, last=last, type=code)
    build.call(f"{name}_{SUFFIX.get(x.dtype, 'int')}", record)
