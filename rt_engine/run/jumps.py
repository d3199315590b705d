"""Where a program's records jump to. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.control import JUMP, LOOP


def borders(kernels: Sequence[str], records: NDArray[Any]) -> set[int]:
    """Records at which a piece has to begin: where jumps go, and behind them."""
    found = set[int]()
    for i, fields in jumps(kernels, records):
        found |= {i + 1, int(records["size"][i, fields.places["target"].index])}
    return found


def jumps(kernels: Sequence[str], records: NDArray[Any]) -> Iterator[tuple[int, Any]]:
    """The records that jump, each with its fields."""
    known = {name.name: name for name in (JUMP, LOOP)}
    for number, kernel in enumerate(kernels):
        if kernel in known:
            yield from ((int(i), known[kernel]) for i in np.flatnonzero(records["kernel"] == number))
