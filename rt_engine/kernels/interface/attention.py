"""The record of `kernels.attention`, and the table in it. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

ATTENTION = Fields(
    "attention", operands="q work v mask? out table", sizes="count? first? each?", params="scale", writes="out work"
)
"""out = softmax(q @ k' * scale + mask) @ v.

work    k transposed and padded: [batch, heads, depth, keys up to whole vectors]; behind it, scores of a few rows, for
        each head
mask    is added to the scores
table   int64: `TABLE`, then 32 zeros
count   so many heads of all batches, from `first` on; 0: all of them, and there is room for the scores of one alone
each    multiply-accumulates of one head
"""

TABLE = (
    *("batch", "heads", "queries", "keys", "depth", "width"),
    *("q first", "q batch", "q head", "q row"),
    *("v first", "v batch", "v head", "v row"),
    *("mask batch", "mask head", "mask row"),
    *("out batch", "out head", "out row"),
)
"""Sizes and strides, in elements; `depth` is that of q and k, `width` that of v and out."""

ROWS = 6
"""The most rows whose scores are worked on at once, on any machine."""
