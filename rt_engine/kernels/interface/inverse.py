"""The record of `kernels.inverse`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

CIRCULAR = Fields("circular", operands="x out", sizes="n function")
"""`function` is a `modes.Circular`."""
