"""Records of `kernels.qshift`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

QSHIFT = Fields(
    "qshift", operands="total each shift scale out", sizes="rows columns mode zero", params="low high", writes="out"
)
"""out[rows, columns] = requantised(total[rows, columns] + each[rows] * shift[columns]), see `parts.requantise`; total, each and
shift are int32, scale is float32. Shift and scale have zeros up to whole vectors of 16."""
