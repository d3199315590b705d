"""Fields of the table that `kernels.attention` reads. Read at load time; imports no Numba."""

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
