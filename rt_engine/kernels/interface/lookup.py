"""The record of `kernels.lookup`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

LOOKUP = Fields("lookup", operands="x keys values out", sizes="n keys_count value_bytes floats strict")
"""out[i] = values[where x[i] stands among keys]; x and keys are int64, or float64 with `floats` = 1."""
