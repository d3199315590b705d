"""Records of `kernels.encode`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

LOOKUP_BYTES = Fields("lookup_bytes", operands="x table out", sizes="n")
"""out[i] = table[x[i]]: bytes, a table of 256."""

ENCODE = Fields("encode", operands="x edges codes out", sizes="n levels")
"""float32 to one byte; `edges` are 2^levels sorted int32, `codes` one byte more than edges."""
