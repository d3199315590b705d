"""The record of `kernels.ngrams`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

NGRAMS = Fields("ngrams", operands="x grams pool weights out", sizes="rows n columns grams_count most_skips type all")
"""x is [rows, n] of INT32 or INT64 (`dtypes.DType`), out float32 [rows, columns].

grams   int64 [grams_count, 3]: (length, first element in `pool`, column); `pool` is int64
all     whether every occurrence counts, or only that there is one
"""
