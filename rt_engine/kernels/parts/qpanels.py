"""Panels of packed integer weights, and the tiles that work through them."""

from rt_engine.kernels.parts.registers import TILES
from rt_native.lang import inline
from rt_native.vector import LANES

ROWS, COLUMNS = (6, 1) if LANES == 8 else TILES.product
"""On 8 lanes bytes are widened before they are multiplied: weights of one vector in two registers, a factor in two."""
NARROW_ROWS = 8 if LANES == 16 else ROWS
"""Rows of a tile of one vector. On 16 lanes that is one register, so more fit, and four of them become bytes at once."""


def shapes(splits: int) -> list[tuple[int, int, int]]:
    """Every shape of a tile that `widest` and `tallest` ask for; one row is split into up to so many times 4 chains."""
    wide = [v for v in (4, 2, 1) if v <= COLUMNS]
    tall = [(rows, v, 1) for rows in (6, 3, 2) if rows <= ROWS for v in wide]
    tall += [(NARROW_ROWS, 1, 1)] if NARROW_ROWS > ROWS else []
    return tall + [(1, v, splits * 4 // v if splits > 1 else 1) for v in wide]


@inline
def widest(left):
    """Vectors of the widest tile that fits."""
    if COLUMNS == 4 and left >= 4:
        return 4
    return 2 if left >= 2 and COLUMNS >= 2 else 1


@inline
def tallest(left, vectors):
    """Rows of the tallest tile of so many vectors that fits."""
    if vectors == 1 and left >= NARROW_ROWS:
        return NARROW_ROWS
    return ROWS if left >= ROWS else (3 if left >= 3 else left)
