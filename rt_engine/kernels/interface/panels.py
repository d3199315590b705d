"""Packed weights: how wide a panel is, on every machine. Imports no Numba."""

VECTOR = 64
"""Bytes of a vector of packed weights, whatever the machine's own are."""
HALF = 32
"""Bytes of half a vector."""
MATRIX_PANEL = 4
"""Vectors in a full panel of a matrix's weights (`parts.tile`)."""
WINDOW_PANEL = 8
"""Half vectors in a full panel of a convolution's weights (`parts.window_tile`)."""
