"""Records of `kernels.taps`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

TAPS = Fields("taps", operands="x index weight out", sizes="outer n inner m taps padded", params="outside")
"""[outer, n, inner] becomes [outer, m, inner]; index and weight are [taps, padded]."""
