"""Records of `kernels.gemm`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

GEMM = Fields(
    "gemm",
    operands="a b bias out",
    sizes="rows depth columns a_row splits out_row batch a_batch b_batch out_batch",
    params="low high block?",
)
"""out[rows, columns] = clip(bias[columns] + a[rows, depth] @ b[depth, columns], low, high), `batch` times.

`b` is packed, the bias goes up to whole vectors. The sum over the depth is `splits` chains (`ops.linear.splits`).
`block` is as `interface.blocking` says.
"""

PACK = Fields("pack", operands="b packed", sizes="depth columns b_row b_column batch b_batch packed_batch")
"""b[depth, columns], of any two strides, becomes panels, `batch` times."""
