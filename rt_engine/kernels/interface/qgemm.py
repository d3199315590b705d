"""Records of `kernels.qgemm`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

QGEMM = Fields(
    "qgemm",
    operands="a b bias out scale",
    sizes="rows depth columns a_row out_row mode zero",
    params="low high",
    writes="out",
)
"""out[rows, columns] = requantised(bias[columns] + a[rows, depth] @ b[depth, columns]), see `parts.requantise`; `zero` is the
zero point of out."""
