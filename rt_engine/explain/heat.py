"""A tensor as a sheet of cells that can be looked at, and a sheet as a small picture.

[N, C, H, W]: one tile of H x W for each channel, side by side; [T, F]: T rows; [n]: rows of as many as fit. A sheet that is too
large is made smaller: a cell is then the element of greatest size of those that it stands for, so that an outlier is seen.
"""

import base64
import struct
import zlib
from dataclasses import dataclass
from math import ceil, isqrt, prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOST_ROWS: Final = 48
MOST_COLUMNS: Final = 96

_LOW: Final = (33, 102, 172)
_ZERO: Final = (247, 247, 247)
_HIGH: Final = (178, 24, 43)
_BAD: Final = (255, 0, 255)
"""Colours: least, 0, greatest; and of what is not finite."""
STEPS: Final = 126
"""Colours from 0 to either end."""


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Cells row by row, float64; `share` elements in each, across and down."""

    cells: NDArray[np.float64]
    share: tuple[int, int]
    elements: int

    @property
    def is_whole(self) -> bool:
        """Is there one cell for each element?"""
        return self.share == (1, 1)

    def to_json(self) -> dict[str, Any]:
        """Cells with six digits; None where one is not finite."""
        rows = [[float(f"{v:.6g}") if np.isfinite(v) else None for v in row] for row in self.cells.tolist()]
        return {"rows": rows, "share": list(self.share), "elements": self.elements}


def sheet(values: NDArray[Any]) -> Sheet:
    """Lay out a tensor of any shape."""
    array = np.asarray(values).astype(np.float64)
    flat = _flat(array)
    rows, columns = flat.shape
    share = ceil(rows / MOST_ROWS), ceil(columns / MOST_COLUMNS)
    return Sheet(_reduced(flat, *share) if share != (1, 1) else flat, share, array.size)


def _flat(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The tensor as a matrix. What is missing in the last row, or the last tile, is NaN where tensors have no element."""
    shape = [n for n in array.shape if n > 1]
    if len(shape) <= 1:
        array = array.reshape(-1)
        columns = min(max(array.size, 1), 32 if array.size <= 32 * MOST_ROWS else MOST_COLUMNS * 4)
        rows = ceil(max(array.size, 1) / columns)
        padded = np.full(rows * columns, np.nan)
        padded[: array.size] = array
        return padded.reshape(rows, columns)
    array = array.reshape(shape)
    if len(shape) == 2:
        return array
    tiles = array.reshape(prod(shape[:-2]), *shape[-2:])
    across = isqrt(len(tiles) - 1) + 1
    down = ceil(len(tiles) / across)
    all_tiles = np.full((down * across, *shape[-2:]), np.nan)
    all_tiles[: len(tiles)] = tiles
    laid = all_tiles.reshape(down, across, *shape[-2:]).transpose(0, 2, 1, 3)
    return laid.reshape(down * shape[-2], across * shape[-1])


def _reduced(flat: NDArray[np.float64], down: int, across: int) -> NDArray[np.float64]:
    rows, columns = ceil(flat.shape[0] / down), ceil(flat.shape[1] / across)
    padded = np.full((rows * down, columns * across), np.nan)
    padded[: flat.shape[0], : flat.shape[1]] = flat
    groups = padded.reshape(rows, down, columns, across).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    size = np.where(np.isnan(groups), -1.0, np.abs(groups))
    chosen = np.take_along_axis(groups, size.argmax(axis=2)[..., None], axis=2)
    return np.asarray(chosen[..., 0])


def png(cells: NDArray[np.float64]) -> bytes:
    """A picture, one pixel for each cell: blue below 0, white at 0, red above; NaN is nothing, infinity magenta."""
    finite = cells[np.isfinite(cells)]
    scale = float(np.abs(finite).max(initial=0.0)) or 1.0
    with np.errstate(invalid="ignore"):
        index = np.rint(np.clip(np.nan_to_num(cells / scale, posinf=0, neginf=0), -1, 1) * STEPS) + STEPS
    index[np.isinf(cells)] = 2 * STEPS + 1
    index[np.isnan(cells)] = 255
    pixels = np.zeros((cells.shape[0], cells.shape[1] + 1), np.uint8)  # each row begins with its filter: none
    pixels[:, 1:] = index
    head = struct.pack(">IIBBBBB", cells.shape[1], cells.shape[0], 8, 3, 0, 0, 0)
    parts = {b"IHDR": head, b"PLTE": _palette(), b"tRNS": bytes([255] * 255 + [0])}
    parts |= {b"IDAT": zlib.compress(pixels.tobytes(), 9), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts.items())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _palette() -> bytes:
    found = np.zeros((256, 3))
    towards = np.linspace(0, 1, STEPS + 1)[:, None]
    found[STEPS : 2 * STEPS + 1] = np.array(_ZERO) + towards * (np.array(_HIGH) - np.array(_ZERO))
    found[STEPS::-1] = np.array(_ZERO) + towards * (np.array(_LOW) - np.array(_ZERO))
    found[2 * STEPS + 1] = _BAD
    return found.astype(np.uint8).tobytes()


def data_uri(cells: NDArray[np.float64]) -> str:
    """The picture as an address that needs no network."""
    return "data:image/png;base64," + base64.b64encode(png(cells)).decode()
