"""Records of `kernels.recurrent` and `kernels.recurrent_general`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

CELL = Fields(
    "cell",
    operands="gates weights h c? out? lengths?",
    sizes="steps batch hidden directions direction reverse layout flags activations? wanted",
    writes="gates h c out",
)
"""`gates` holds the input gates, and behind them memory to work in. `h` and `c` are states: read where a flag says so, else the
start is zero, and written at the end. `out` is Y, `lengths` int32. `flags` and `activations` are of `cells`; `wanted` is how many
steps are done, from the first one of the direction on: what they do not reach stays unwritten.
"""
