"""The record of `kernels.labels`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

LABEL = Fields(
    "label", operands="scores classes label pair?", sizes="rows columns how", params="threshold", writes="label pair"
)
"""scores [rows, columns] -> label [rows]; `classes` and `label` are int64.

how     what one score becomes in `pair` [rows, 2]: 0 nothing, 1 (1 - s, s), 2 (-s, s), 3 (0, s)
"""
