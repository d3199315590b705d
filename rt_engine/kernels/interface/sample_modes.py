"""Codes in records of `kernels.sample` and `kernels.regions`. Read at load time; imports no Numba."""

NEAREST, LINEAR, CUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2
CENTRES, CORNERS, ELEMENTS = 0, 1, 2
AVERAGE, LARGEST = 0, 1
