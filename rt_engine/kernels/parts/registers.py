"""How much is worked on at once: what the registers of a machine hold. The table to extend for a new lane width.

Every output of a tile is a chain of its own, so none of these numbers moves a bit of a result.
"""

from dataclasses import dataclass

from rt_native.lang import inline
from rt_native.vector import LANES


@dataclass(frozen=True, slots=True)
class Tiles:
    """The largest tiles."""

    product: tuple[int, int]
    """Rows and vectors of a product of integers (`qtile`), and vectors of one row (`tile`): sums, weights and a factor are in
    registers."""
    matrix: int
    """Vectors of a product of matrices of several rows: tiles have 6."""
    cell: int
    """Vectors of a recurrent cell's product, which has two chains for each."""
    window_rows: tuple[int, int]
    """Rows of a convolution (`window_tile`) over few columns, and over many."""
    few: int
    """Half vectors up to which columns are few."""
    window_halves: tuple[int, ...]
    """Widths of a convolution, in half vectors."""
    line: int
    """Outputs of a line of a depthwise convolution; weights of a row of the window are in registers too."""
    line_halves: tuple[int, ...]
    """Widths of a depthwise convolution, in half vectors."""
    line_few: int
    """Outputs up to which it is twice as wide as the first of these."""


_BY_LANES = {
    # 32 registers of 64 bytes
    16: Tiles(
        product=(6, 4),
        matrix=4,
        cell=4,
        window_rows=(8, 6),
        few=4,
        window_halves=(8, 6, 4, 3, 2, 1),
        line=8,
        line_halves=(2, 1),
        line_few=6,
    ),
    # 16 registers of 32 bytes: two are a vector
    8: Tiles(
        product=(3, 2),
        matrix=1,
        cell=3,
        window_rows=(6, 6),
        few=2,
        window_halves=(2, 1),
        line=8,
        line_halves=(1,),
        line_few=4,
    ),
    # 32 registers of 16 bytes: four are a vector
    4: Tiles(
        product=(3, 2),
        matrix=1,
        cell=3,
        window_rows=(4, 4),
        few=2,
        window_halves=(2, 1),
        line=4,
        line_halves=(1,),
        line_few=2,
    ),
}
TILES = _BY_LANES[LANES]


@inline
def of_six(left):
    """Rows of the next tile where tiles have 1 to 6: the last ones are made alike.

    Behind a tile of 6 the multipliers would wait for one or two rows as long as for four.
    """
    if left >= 10 or left == 6:
        return 6
    if left == 9:
        return 5
    return 4 if left >= 7 else left
