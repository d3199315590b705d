"""Attention as ONNX Runtime's optimisers write it: one operator for the projections, the heads, the masks, past and present.

Written as exporters write it, so that `rt_engine.passes.attention` finds it again. Shapes: B rows of a batch, S queries, T keys,
P of them from the past, N heads of H elements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import onnx_ir as ir

from rt_engine.passes.microsoft.writer import Rewriting, Values, Writer, dtype_of, shape_of


@dataclass(frozen=True, slots=True)
class _Sizes:
    batch: int
    queries: int
    keys: int
    past: int
    heads: int

    @property
    def total(self) -> int:
        return self.past + self.keys


def _attention(w: Writer) -> Values:
    """input [B, S, D], weights [D, q + k + v], bias, mask, past, addend of the scores."""
    x, weights, bias = w.input(0), w.input(1), w.optional(2)
    whole = w.op("MatMul", x, weights)
    whole = whole if bias is None else w.op("Add", whole, bias)
    return _projected(w, whole, shape_of(weights)[1], 3, 4, 5)


def _attention_quantised(w: Writer) -> Values:
    """input, weights as bytes, bias, their scales, mask, their zero points, past."""
    product = w.op("Cast", w.op("MatMulInteger", w.input(0), w.input(1), w.optional(6), w.optional(7)), to=1)
    whole = w.op("Add", w.op("Mul", product, w.op("Mul", w.input(3), w.input(4))), w.input(2))
    return _projected(w, whole, shape_of(w.input(1))[1], 5, 8, None)


def _projected(w: Writer, whole: ir.Value, width: int, mask: int, past: int, addend: int | None) -> Values:
    """q, k and v lie beside each other in `whole`; the other numbers are those of inputs."""
    w.require(not w.integer("do_rotary"), "rotary embeddings within it (do_rotary)")
    batch, queries, _ = shape_of(w.input(0))
    widths = w.node.attributes.get_ints("qkv_hidden_sizes", None) or [width // 3] * 3
    heads, at, parts = w.integer("num_heads"), 0, []
    for size in widths:
        part = w.slice(whole, 2, at, at + size)
        parts.append(w.transpose(w.reshape(part, batch, queries, heads, size // heads), 0, 2, 1, 3))
        at += size
    q, k, v = parts
    before, given = 0, w.optional(past)
    if given is not None:
        before = shape_of(given)[3]
        k, v = (
            w.op("Concat", w.op("Gather", given, w.constant(i, np.int64), axis=0), new, axis=2)
            for i, new in enumerate((k, v))
        )
    present: ir.Value | None = None
    sizes = _Sizes(batch, queries, queries, before, heads)
    if w.wants(1):
        both = [w.reshape(x, 1, batch, heads, sizes.total, widths[1] // heads) for x in (k, v)]
        present = w.op("Concat", *both, axis=0)
    masks = _masks(w, sizes, w.optional(mask), None if addend is None else w.optional(addend))
    return [_attended(w, q, k, v, masks, sizes, widths[0] // heads, widths[2]), present]


def _attended(
    w: Writer, q: ir.Value, k: ir.Value, v: ir.Value, masks: Sequence[ir.Value], sizes: _Sizes, head: int, width: int
) -> ir.Value:
    """Softmax(scale * q @ k' + masks) @ v of [B, N, ., H], as [B, S, width]."""
    scale = w.number("scale") or 1.0 / sqrt(head)
    scores = w.op("Mul", w.op("MatMul", q, w.transpose(k, 0, 1, 3, 2)), w.constant(scale, np.float32))
    for mask in masks:
        scores = w.op("Add", scores, mask)
    y = w.op("MatMul", w.op("Softmax", scores, axis=_last(w)), v)
    return w.reshape(w.transpose(y, 0, 2, 1, 3), sizes.batch, sizes.queries, width)


def _last(w: Writer) -> int:
    """The last of four axes, as every opset writes it."""
    return -1 if w.opset >= 11 else 3


def _masks(w: Writer, sizes: _Sizes, keys: ir.Value | None, addend: ir.Value | None) -> list[ir.Value]:
    """What is added to the scores, each of a shape that broadcasts to [B, N, S, T]."""
    w.require(
        dtype_of(w.input(0)) in (np.float32, np.uint8, np.int8), f"type {dtype_of(w.input(0))}", "save it in float32"
    )
    found = [] if keys is None else [_key_mask(w, sizes, keys)]
    if w.integer("unidirectional"):
        later = np.arange(sizes.total)[None] > np.arange(sizes.queries)[:, None] + sizes.past
        found.append(w.constant(np.where(later, np.finfo(np.float32).min, np.float32(0)), np.float32))
    return found if addend is None else [*found, addend]


def _key_mask(w: Writer, sizes: _Sizes, mask: ir.Value) -> ir.Value:
    """Keys that count: by 0 or 1 for each, or by the number of them in each row (and where they begin)."""
    shape, total, batch = shape_of(mask), sizes.total, sizes.batch
    column = w.constant(np.arange(total)[None], dtype_of(mask))
    if shape in ((batch,), (2 * batch,)) and len(shape) == 1:
        ends = w.reshape(w.slice(mask, 0, 0, batch), batch, 1)
        counts = w.op("Less", column, ends)
        if shape[0] != batch:
            begins = w.reshape(w.slice(mask, 0, batch, 2 * batch), batch, 1)
            counts = w.op("And", counts, w.op("Not", w.op("Less", column, begins)))
    elif shape in ((batch, total), (batch, sizes.queries, total)):
        counts = w.op("Greater", mask, w.constant(0, dtype_of(mask)))
    else:
        w.require(False, f"a mask of shape {list(shape)} for {batch} rows of {total} keys")
    rows = sizes.queries if len(shape) == 3 else 1
    none, filtered = (w.constant(n, np.float32) for n in (0.0, w.number("mask_filter_value", -10000.0)))
    return w.op("Where", w.reshape(counts, batch, 1, rows, total), none, filtered)


def _multi_head(w: Writer) -> Values:
    """query, key, value, bias, mask of the keys, addend of the scores, past key, past value."""
    heads = w.integer("num_heads")
    parts = _biased(w, _packed(w, heads), w.optional(3), heads)
    batch, _, queries, head = parts[0][1]
    old = w.optional(6), w.optional(7)
    past = 0 if old[0] is None else shape_of(old[0])[2]
    (q, _), (k, k_shape), (v, v_shape) = parts
    if old[0] is not None and old[1] is not None:
        k, v = (w.op("Concat", before, new, axis=2) for before, new in zip(old, (k, v), strict=True))
    sizes = _Sizes(batch, queries, k_shape[2], past, heads)
    masks = _masks(w, sizes, w.optional(4), w.optional(5))
    return [_attended(w, q, k, v, masks, sizes, head, heads * v_shape[3]), k, v]


_Part = tuple[ir.Value, tuple[int, ...]]
"""A tensor [B, N, ., H] and its shape."""


def _packed(w: Writer, heads: int) -> list[_Part]:
    """q, k and v as heads: given one by one, or two or three of them in one tensor [B, ., N, 2 or 3, H]."""
    query, key, value = w.inputs(3)
    assert query is not None
    tensors = [query, key, value]
    of = shape_of(query)
    if len(of) == 5:
        return [_of_packed(w, query, of, i) for i in range(3)]
    if key is not None and len(shape_of(key)) == 5:
        return [_heads(w, query, heads), *(_of_packed(w, key, shape_of(key), i) for i in range(2))]
    w.require(None not in tensors, "its key or value is missing")
    return [_heads(w, x, heads) for x in tensors if x is not None]


def _of_packed(w: Writer, x: ir.Value, shape: tuple[int, ...], index: int) -> _Part:
    batch, length, heads, _, head = shape
    part = w.reshape(w.slice(x, 3, index, index + 1), batch, length, heads, head)
    return w.transpose(part, 0, 2, 1, 3), (batch, heads, length, head)


def _heads(w: Writer, x: ir.Value, heads: int) -> _Part:
    shape = shape_of(x)
    if len(shape) == 4:
        return x, shape
    batch, length, width = shape
    split = w.transpose(w.reshape(x, batch, length, heads, width // heads), 0, 2, 1, 3)
    return split, (batch, heads, length, width // heads)


def _biased(w: Writer, parts: list[_Part], bias: ir.Value | None, heads: int) -> list[_Part]:
    """One row for q, k and v, added to each; what came as heads already has had its own."""
    if bias is None:
        return parts
    found, at = [], 0
    for i, (x, shape) in enumerate(parts):
        width, given = heads * shape[3], w.optional(i)
        row = w.reshape(w.slice(bias, 0, at, at + width), 1, heads, 1, shape[3])
        done = given is not None and len(shape_of(given)) == 4
        found.append((x if done else w.op("Add", x, row), shape))
        at += width
    return found


def _rotary(w: Writer) -> Values:
    """x turned by the angles of its positions, in pairs: halves of the first elements of a head, or neighbours."""
    w.require(not w.integer("is_packed_batching"), "a packed batch")
    w.require(w.number("scale", 1.0) == 1.0, f"a scale of {w.number('scale', 1.0)}")
    x, positions, cos, sin = (w.input(i) for i in range(4))
    shape, half = shape_of(x), shape_of(cos)[1]
    if len(shape) == 4:
        y, (batch, heads, length, head) = w.transpose(x, 0, 2, 1, 3), shape
    else:
        batch, length, width = shape
        heads = w.integer("num_heads") if w.integer("rotary_embedding_dim") else width // (2 * half)
        head = width // heads
        y = w.reshape(x, batch, length, heads, head)
    if shape_of(positions) == (1,) and (batch, length) != (1, 1):
        positions = w.reshape(w.op("Add", positions, w.constant(np.arange(length), np.int64)), 1, length)
    c, s = (w.reshape(w.op("Gather", t, positions), -1, length, 1, half) for t in (cos, sin))
    step = 2 if w.integer("interleaved") else 1
    ends = ((0, 2 * half), (1, 2 * half)) if step == 2 else ((0, half), (half, 2 * half))
    first, second = (w.slice(y, 3, begin, end, step) for begin, end in ends)
    turned = [
        w.op("Sub", w.op("Mul", first, c), w.op("Mul", second, s)),
        w.op("Add", w.op("Mul", second, c), w.op("Mul", first, s)),
    ]
    if step == 2:
        pairs = [w.reshape(t, batch, length, heads, half, 1) for t in turned]
        turned = [w.reshape(w.op("Concat", *pairs, axis=4), batch, length, heads, 2 * half)]
    rest = [w.slice(y, 3, 2 * half, head)] if head > 2 * half else []
    joined = [*turned, *rest]
    y = joined[0] if len(joined) == 1 else w.op("Concat", *joined, axis=3)
    return [w.transpose(y, 0, 2, 1, 3) if len(shape) == 4 else w.reshape(y, *shape)]


TABLE: dict[str, Rewriting] = {
    "Attention": _attention,
    "MultiHeadAttention": _multi_head,
    "QAttention": _attention_quantised,
    "RotaryEmbedding": _rotary,
}
