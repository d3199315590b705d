"""Records of `kernels.cast`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

CAST = Fields("cast", operands="x out", sizes="n x_type out_type")
"""The types are `dtypes.DType`."""
