"""Scaled dot-product attention, as `passes.attention` finds it in a graph."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from rt_engine.kernels.interface.attention import ATTENTION, ROWS, TABLE
from rt_engine.kernels.interface.strides import contiguous
from rt_engine.ops.base import RT_DOMAIN, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.linear import packed_columns
from rt_engine.ops.moves import check_reach, strided_copy
from rt_engine.program.calls import Buffer

F32 = np.dtype(np.float32)


def _types(node: ir.Node, inputs: list[Any]) -> list[tuple[Any, tuple[int, ...]]]:
    return [(inputs[0].dtype, tuple(node.attributes["shape"].as_ints()))]


@operator("Attention", domain=RT_DOMAIN, since=1, infer=_types)
def attention(node: Node, build: Builder) -> None:
    """softmax(q @ k' * scale + mask) @ v, of tensors that are read where they lie.

    Inputs: the tensors that hold q, k and v, and a mask (or none). Attributes: `sizes` (batch, heads, queries, keys, depth,
    width); `q`, `k`, `v`: first element and strides of (batch, head, row, element); `mask`, `out`: those strides; `shape` of the
    result; `scale`.
    """
    q, k, v, mask, out = node.x, node.input(1), node.input(2), node.optional(3), node.y
    node.require_type(q, (F32,))
    sizes = [int(s) for s in node.attr("sizes")]
    batch, heads, queries, keys, depth, width = sizes
    node.require(min(sizes) > 0, "there is nothing to attend to")
    views = {name: [int(s) for s in node.attr(name)] for name in ("q", "k", "v")}
    mask_strides = [int(s) for s in node.attr("mask", [0] * 4)]
    out_strides = [int(s) for s in node.attr("out")]
    lead = (batch, heads)
    check_reach(q, (*lead, queries, depth), views["q"][1:], views["q"][0])
    check_reach(out, (*lead, queries, width), out_strides)
    if mask is not None:
        check_reach(mask, (*lead, queries, keys), mask_strides)
    neighbours = (views["q"][4], out_strides[3], mask_strides[3] if mask is not None else 1)
    node.require(neighbours == (1, 1, 1) and min(out_strides) >= 0, "elements of a row are no neighbours")

    work = _transposed_keys(build, k, views["k"], (*lead, keys, depth))
    v, values = _values(build, v, views["v"], (*lead, keys, width))
    fields = [*sizes, *views["q"][:4], *values[:4], *mask_strides[:3], *out_strides[:3]]
    assert len(fields) == len(TABLE)
    table = build.constant(np.array([*fields, *[0] * 32], np.int64))
    macs = batch * heads * queries * keys * (depth + width)
    record = ATTENTION(
        q=q, work=work, v=v, mask=mask, out=out, table=table, count=batch * heads,
        each=queries * keys * (depth + width), scale=float(node.attr("scale", 1.0)),
    )  # fmt: skip
    build.call("attention_f32", record, macs=macs)


def _transposed_keys(build: Builder, k: Buffer, view: Sequence[int], shape: tuple[int, ...]) -> Buffer:
    """k as [batch, heads, depth, keys], rows of whole vectors; behind it, room for each head's scores of a few rows."""
    batch, heads, keys, depth = shape
    line = packed_columns(keys, F32)
    work = build.temporary(F32, (batch * heads * (depth + ROWS) * line,))
    strides = [view[1], view[2], view[4], view[3]]
    out_strides = [heads * depth * line, depth * line, line, 1]
    strided_copy(build, k, work, (batch, heads, depth, keys), strides, out_strides, in_first=view[0])
    return work


def _values(build: Builder, v: Buffer, view: Sequence[int], shape: tuple[int, ...]) -> tuple[Buffer, list[int]]:
    """v, and its view; copied where its rows are not whole vectors of neighbours."""
    width = shape[3]
    line = packed_columns(width, F32)
    if view[4] == 1 and line == width:
        check_reach(v, shape, view[1:], view[0])
        return v, list(view)
    padded = build.temporary(F32, (*shape[:3], line))
    strides = contiguous(padded.shape)
    strided_copy(build, v, padded, shape, view[1:], strides, in_first=view[0])
    return padded, [0, *strides]
