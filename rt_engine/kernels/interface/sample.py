"""Records of `kernels.sample`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

SAMPLE = Fields(
    "sample",
    operands="x positions out",
    sizes="images channels rank d0 d1 d2 points mode padding coordinates",
)
"""x is [images, channels, d0, d1, d2]: the first of these are 1 where the rank is less. The last three are of
`sample_modes`."""
