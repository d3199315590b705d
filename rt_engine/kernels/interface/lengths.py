"""Records of `kernels.lengths` and `kernels.suppress`. Imports no Numba.

A tensor whose length along one axis is only known at run time has a bound, its static shape, and a count: an int64 scalar in a
buffer of its own. What lies behind the count is the *rest*.
"""

from rt_engine.kernels.interface.fields import Fields

SUPPRESS = Fields(
    "suppress",
    operands="boxes scores limits out count work",
    sizes="batch classes n bound centres filtered",
    writes="out count work",
)
"""boxes [batch, n, 4], scores [batch, classes, n] of float32; out int64 [bound, 3].

limits  24 bytes: int64 most boxes of a class, float32 largest overlap, float32 lowest score (only read where `filtered`), int64 how
        many boxes there are
centres 1: a box is (x centre, y centre, width, height), else two corners
work    int64 [n] and five times float32 [n + 64]
"""

NON_ZERO = Fields("non_zero", operands="x dims out count", sizes="n rank bound nbytes real", writes="out count")
"""out int64 [rank, bound]; `dims` int64 [rank]; `real` where -0 is a zero."""

COMPRESS = Fields("compress", operands="x keep out count", sizes="outer n kept nbytes bound", writes="out count")
"""[outer, n] blocks of `nbytes` become [outer, bound]: those whose byte in `keep` [kept] is not 0."""

UNIQUE = Fields(
    "unique", operands="x values found count places work", sizes="n width type sorted bound",
    writes="values found count places work",
)  # fmt: skip
"""Rows [n, width]: values [bound, width]; found int64 [3, n]: first places, inverse, counts. places, work int64 [n]."""

CLEAR_REST = Fields("clear_rest", operands="x count out", sizes="outer n nbytes element pattern factor least?")
"""[outer, n] blocks of `nbytes`: those from count * factor on become the first `element` bytes of `pattern`, repeated.
A length below `least` is a status: so many are asked for."""

SETTLE = Fields(
    "settle", operands="index dims count? length? out", sizes="outer n inner components type factor dynamic scale"
)
"""Indices [outer, n, inner], the last `components` of inner one tuple; out int64, each 0 <= i < its dimension in `dims`.

The rest of n, from count * factor on, becomes 0. Dimension number `dynamic` ends at length * scale.
"""

APPEND = Fields("append", operands="x count? out at? end", sizes="outer n nbytes bound factor last", writes="out end")
"""Put count * factor (or n) blocks of `nbytes` of x [outer, n] at `at` (or 0) in out [outer, bound]; `end` is behind them. With
`last`, the rest of out becomes 0."""

LENGTH = Fields("length", operands="count limit? out", sizes="factor shift low high strict")
"""out = count * factor + shift, within low and high, and the limit. Bit 0 of `strict`: what is larger is a status; bit 1: what is
smaller."""
