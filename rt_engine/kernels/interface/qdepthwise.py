"""Records of `kernels.qdepthwise`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

QDEPTHWISE = Fields(
    "qdepthwise",
    operands="x w bias out scale table",
    sizes="pixels quads channels zero images x_image sums? count? x_step? out_step?",
    params="low high offsets? out_line? fresh? chunk?",
    writes="out",
)
"""`pixels` are lines of `count` outputs (0: one), `quads` are four taps each, `x_image` is the bytes of an image of x. From output
to output of a line x moves by `x_step` bytes, out by `out_step` elements, from line to line by `out_line` elements (0: one output's).
`fresh`: quads of the next window that are not of this one, where a window has three; 0: all are looked up. With `chunk`
a block of 64 is made of every other piece of x of so many bytes (8, 16 or 32). With `sums` 0 out
is quantised; else it has four bytes for each sum: with 1 the sums themselves, with 2 mode REAL of `parts.requantise`.
`offsets`: bytes from the table to the offsets of its taps; 0: behind its lines.
"""
