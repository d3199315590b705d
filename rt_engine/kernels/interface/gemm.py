"""Records of `kernels.gemm`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

GEMM = Fields(
    "gemm",
    operands="a b bias out",
    sizes="rows depth columns a_row splits out_row batch a_batch b_batch out_batch",
    params="low high block? panel?",
)
"""out[rows, columns] = clip(bias[columns] + a[rows, depth] @ b[depth, columns], low, high), `batch` times.

`b` is packed, the bias goes up to whole vectors. The sum over the depth is `splits` chains (`ops.linear.splits`).
`block` is as `interface.blocking` says; `panel` are the vectors of a full panel of `b`, 1 or 4, and 0 is 4.
"""

NARROW_PANEL = 1
"""Vectors of a panel that lies as it is read, from the first byte to the last: what processors fetch ahead by themselves."""

PACK = Fields("pack", operands="b packed", sizes="depth columns b_row b_column batch b_batch packed_batch")
"""b[depth, columns], of any two strides, becomes panels, `batch` times."""
