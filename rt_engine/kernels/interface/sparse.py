"""Records of `kernels.sparse`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

SPARSE = Fields(
    "sparse",
    operands="a b bias places checks out",
    sizes="rows depth columns splits",
    params="low high",
    writes="out checks",
)
"""out[rows, columns] = clip(bias[columns] + a[rows, depth] @ w, low, high), of whose w[depth, columns] only some blocks are there.

A block is a vector: one row of w, the columns of one panel. `b` has the blocks that are not zero, `places` (int32) where they are:

    panels * splits + 1 starts     the blocks of chain s of panel p are those from starts[p * splits + s] to before the next one
    the blocks' rows               as byte offsets into a row of a; in each chain they rise

The bias goes up to whole vectors; `checks` is room for one number a row. `splits` is 1 or 2, and as in `interface.gemm`.
"""
