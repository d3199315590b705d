"""Records of `kernels.trees`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

TREES = Fields(
    "trees",
    operands="x groups nodes leaves out keys",
    sizes="rows features count targets fold copies inside",
    params="divisor",
    writes="out keys",
)
"""`count` groups of eight trees; `keys` is memory to work in. See `ops.packing.trees`."""

FLAT_DEPTHS = range(1, 7)
"""Depths of the groups of `trees_flat`."""
