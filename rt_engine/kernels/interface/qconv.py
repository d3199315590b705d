"""Records of `kernels.qconv`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

QCONV = Fields(
    "qconv",
    operands="x w bias out scale table",
    sizes="pixels depth columns channels mode zero x_first out_first images x_image",
    params="low high offsets?",
    writes="out",
)
"""`pixels` and `channels` are the output's, `depth` counts bytes. `x_first` is the first byte of x, `out_first` the first
column of out, `x_image` the bytes of an image of x. `offsets`: bytes from the table to the offsets of its quads; 0: behind its pixels.
"""
