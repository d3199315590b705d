"""The record of `kernels.cumulate`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

CUMULATE = Fields("cumulate", operands="x out", sizes="outer n inner type product exclusive reverse")
"""x and out are [outer, n, inner] of a `dtypes.DType`; the last three are 0 or 1."""
