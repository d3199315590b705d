"""ConvTranspose: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html

Every input element paints a block of the output, and blocks that overlap are added:

    columns [out channels * block, places] = weights' [out channels * block, channels] @ x [channels, places]
    out = overlapping sum of the columns (tables made at load; see `kernels.taps`) + bias

With constant weights and few outputs it is the plain convolution of `ops.planes`.
"""

from math import prod

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.ops.base import FLOATS, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.elementwise import broadcast
from rt_engine.ops.linear import run_time_product
from rt_engine.ops.moves import copied_into, reshaped, transposed
from rt_engine.ops.phases import Geometry, phase_axis
from rt_engine.ops.planes import planes, planes_pay
from rt_engine.ops.tapping import taps
from rt_engine.ops.windowed import overlap_tables
from rt_engine.program.calls import Buffer


def geometry(node: Node) -> Geometry:
    """Check the attributes; `before` from pads, or from auto_pad or output_shape with the output's shape."""
    x, w, y = node.x, node.input(1), node.y
    rank = len(x.shape) - 2
    block = list(w.shape[2:])
    node.require(rank > 0 and len(block) == rank, f"x {list(x.shape)} and W {list(w.shape)} do not fit", "correct them")
    node.require(list(node.attr("kernel_shape", block)) == block, "kernel_shape is not that of W", "correct it")
    strides, dilations = node.attr("strides", [1] * rank), node.attr("dilations", [1] * rank)
    group = node.attr("group", 1)
    node.require(min(*strides, *dilations, group) > 0, "a stride, dilation or group is not positive", "correct it")
    node.require(
        x.shape[1] == w.shape[0] and w.shape[0] % group == 0 and y.shape[1] == w.shape[1] * group,
        f"channels of x {list(x.shape)}, W {list(w.shape)} and {group} groups do not fit",
        "correct them",
    )
    auto, added = node.attr("auto_pad", "NOTSET"), node.attr("output_padding", [0] * rank)
    if node.attr("output_shape") is None and auto not in ("SAME_UPPER", "SAME_LOWER"):
        pads = [0] * rank if auto == "VALID" else node.attr("pads", [0] * 2 * rank)[:rank]
        return Geometry(block, strides, dilations, pads)
    before = []
    for axis in range(rank):
        full = strides[axis] * (x.shape[2 + axis] - 1) + added[axis] + (block[axis] - 1) * dilations[axis] + 1
        total = max(full - y.shape[2 + axis], 0)
        before.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
    return Geometry(block, strides, dilations, before)


@operator("ConvTranspose", since=1)
def conv_transpose(node: Node, build: Builder) -> None:
    """In any number of dimensions, with groups, strides and dilations."""
    x, w, y, bias = node.x, node.input(1), node.y, node.optional(2)
    node.require_type(x, FLOATS)
    at = geometry(node)
    if not y.size:
        return
    group, batch = node.attr("group", 1), x.shape[0]
    each, painted, places = w.shape[0] // group, w.shape[1] * prod(at.block), prod(x.shape[2:])
    if not x.size:
        node.require(False, "its input has no elements", "correct the shape")
    if w.value is not None and (bias is None or bias.value is not None):
        axes = [phase_axis(at, axis, size) for axis, size in enumerate(y.shape[2:])]
        if planes_pay(x.shape, w.value, at, axes, group):
            planes(build, x, w.value, None if bias is None else bias.value, y, at, axes)
            return
    turned = transposed(build, reshaped(build, w, (group, each, painted)), (0, 2, 1))
    columns = _columns(build, turned, reshaped(build, x, (batch, group, each, places)), (painted, each, places))
    index, weight = overlap_tables(y.shape[2:], at.block, x.shape[2:], at.strides, at.dilations, at.before)
    flat = (batch * y.shape[1], prod(y.shape[2:]))
    seen = reshaped(build, columns, (flat[0], prod(at.block) * places))
    if bias is None:
        taps(build, seen, 1, index, weight, reshaped(build, y, flat))
        return
    node.require(bias.shape == (y.shape[1],), f"its bias has the shape {list(bias.shape)}", "correct it")
    painted_sum = reshaped(build, taps(build, seen, 1, index, weight), y.shape)
    shift = reshaped(build, bias, (y.shape[1], *(1,) * (len(y.shape) - 2)))
    broadcast(build, f"add_{SUFFIX[y.dtype]}", (painted_sum, shift), y)


def _columns(build: Builder, w: Buffer, x: Buffer, mkn: tuple[int, int, int]) -> Buffer:
    """[batch, group, painted, places] = w [group, painted, each] @ x [batch, group, each, places]."""
    (batch, group, each, places), painted = x.shape, mkn[0]
    columns = build.temporary(x.dtype, (batch, group, painted, places))
    if group == 1:
        run_time_product(build, w, x, columns, mkn, (batch, 0, each * places), (places, 1))
    elif batch == 1:
        run_time_product(build, w, x, columns, mkn, (group, painted * each, each * places), (places, 1))
    else:
        every = build.temporary(w.dtype, (batch, *w.shape))
        for item in range(batch):
            copied_into(build, w, every, item * w.nbytes)
        run_time_product(build, every, x, columns, mkn, (batch * group, painted * each, each * places), (places, 1))
    return columns
