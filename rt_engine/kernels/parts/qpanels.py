"""Panels of packed integer weights, and the tiles that work through them."""

from rt_engine.kernels.parts.registers import TILES
from rt_native.lang import inline
from rt_native.vector import LANES

_ROWS, _COLUMNS = (6, 1) if LANES == 8 else TILES.product
"""On 8 lanes bytes are widened before they are multiplied: weights of one vector in two registers, a factor in two."""


def shapes(splits: int) -> list[tuple[int, int, int]]:
    """Every shape of a tile that `widest` and `tallest` ask for; one row is split into up to so many times 4 chains."""
    wide = [v for v in (4, 2, 1) if v <= _COLUMNS]
    tall = [(rows, v, 1) for rows in (6, 3, 2) if rows <= _ROWS for v in wide]
    return tall + [(1, v, splits * 4 // v if splits > 1 else 1) for v in wide]


@inline
def widest(left):
    """Vectors of the widest tile that fits."""
    if _COLUMNS == 4 and left >= 4:
        return 4
    return 2 if left >= 2 and _COLUMNS >= 2 else 1


@inline
def tallest(left):
    """Rows of the tallest tile that fits."""
    return _ROWS if left >= _ROWS else (3 if left >= 3 else left)
