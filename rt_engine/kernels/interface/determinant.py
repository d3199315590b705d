"""The record of `kernels.determinant`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

DETERMINANT = Fields("determinant", operands="x out work", sizes="batch n type", writes="out work")
"""x is [batch, n, n] of FLOAT or DOUBLE (`dtypes.DType`), out [batch]; work is float64 [n, n]."""
