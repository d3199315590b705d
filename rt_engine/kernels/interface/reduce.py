"""Records of `kernels.reduce` and `kernels.reduce_integer`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

REDUCE = Fields("reduce", operands="x out", sizes="outer count inner type?")
"""[outer, count, inner] becomes [outer, inner]. `type`, for integers, is a `dtypes.DType`."""

ARG = Fields("arg", operands="x out", sizes="outer count inner last type?")
"""The index of the best of `count`, int64: of equals the first, or with `last` the last one."""

MATMUL = Fields("matmul", operands="a b out", sizes="batch rows depth columns a_batch b_batch out_batch")
"""out[rows, columns] = a[rows, depth] @ b[depth, columns], `batch` times."""
