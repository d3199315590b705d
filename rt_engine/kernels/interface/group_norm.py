"""The record of `kernels.group_norm`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

GROUP_NORM = Fields("group_norm", operands="x scale bias out", sizes="n groups channels elements", params="epsilon")
"""x and out are [n, channels, elements]: `n` groups in all, `groups` of one item; scale and bias have `groups * channels`."""
