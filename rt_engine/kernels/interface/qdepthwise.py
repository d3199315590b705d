"""Records of `kernels.qdepthwise`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

QDEPTHWISE = Fields(
    "qdepthwise",
    operands="x w bias out scale table",
    sizes="pixels quads channels zero images x_image sums?",
    params="low high offsets?",
    writes="out",
)
"""`pixels` are the output's, `quads` are four taps each, `x_image` is the bytes of an image of x. With `sums` 0 out
is quantised; else it has four bytes for each sum: with 1 the sums themselves, with 2 mode REAL of `parts.requantise`.
`offsets`: bytes from the table to the offsets of its taps; 0: behind its pixels.
"""
