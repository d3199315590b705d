"""Records of `kernels.topk`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

TOPK = Fields(
    "topk",
    operands="x values indices keys places",
    sizes="outer n inner k type largest",
    writes="values indices keys places",
)
"""[outer, n, inner] becomes [outer, k, inner]; keys and places are int64 [n] to work in."""
