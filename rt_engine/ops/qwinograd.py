"""Integer 3x3 convolutions with stride 1 by Winograd's tiles of 4x4 outputs, exactly, where it pays; no operator of its own.

    x uint8 --36 pixels of each tile--> v --products with u = G w G'--> m --> 16 outputs, the same bits as the sum itself

What is computed in between wraps around; only the sum, without the bias, has to be below 2^25, which the weights tell. The choice
depends on shapes and weights alone, so that a program is the same on every machine. See `kernels.parts.qpatch`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.panels import MATRIX_PANEL
from rt_engine.kernels.interface.qwinograd import PATCH, QWINOGRAD, room_bytes
from rt_engine.ops.builder import Builder
from rt_engine.ops.packing.quantised import LANES
from rt_engine.ops.window import Window
from rt_engine.ops.winograd import SQUARES
from rt_engine.program.calls import Buffer

_FOUR = SQUARES[1]
_FACTORS = np.array([[6, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [1, -2, 4], [0, 0, 6]])
MOST_SUM = 1 << 25
"""Sums of weights times bytes that come out exactly are below it."""
LEAST_BLOCK, BLOCK_BYTES = 8, 1 << 16
"""Tiles at once: those whose pixels and sums take so many bytes, for the caches, but not fewer than a few."""
MOST_WEIGHTS = 1 << 20
"""Bytes of weights, eight times those of the sum itself, beyond which reading them takes as long as its products."""
MOST_OUTPUTS = 1.35
"""Outputs of all tiles over those that are wanted."""


def is_tiled(window: Window, w: NDArray[Any]) -> bool:
    """Does it pay for these windows and weights [3, 3, channels, columns], and is it exact?"""
    if window.kernel != (3, 3) or set(window.strides) != {1} or w.ndim != 4:
        return False
    channels, columns = w.shape[2:]
    if channels % LANES or columns % LANES or 2 * PATCH * channels * columns > MOST_WEIGHTS:
        return False
    if _FOUR.tiles(window) * 16 > MOST_OUTPUTS * window.outputs:
        return False
    flat = w.reshape(-1, columns).astype(np.int64)
    return bool(255 * max(np.maximum(flat, 0).sum(0).max(), np.maximum(-flat, 0).sum(0).max()) < MOST_SUM)


def transformed(w: NDArray[Any]) -> NDArray[np.int16]:
    """Weights [3, 3, C, M] -> [36, C, M]."""
    u = np.einsum("ai,bj,ijcm->abcm", _FACTORS, _FACTORS, w.astype(np.int32))
    return np.asarray(u.reshape(PATCH, *w.shape[2:]), np.int16)


def packed(u: NDArray[np.int16]) -> NDArray[np.int16]:
    """[36, C, M] -> panels of up to 4 vectors of 16 columns: [36][pairs of C][columns][2]."""
    step = MATRIX_PANEL * LANES
    by_pair = u.reshape(PATCH, u.shape[1] // 2, 2, u.shape[2]).transpose(0, 1, 3, 2)
    return np.concatenate([by_pair[:, :, p : p + step].ravel() for p in range(0, u.shape[2], step)])


def convolve_tiles(
    build: Builder, x: Buffer, w: NDArray[Any], numbers: tuple[NDArray[np.int32], NDArray[np.float32]], y: Buffer, window: Window,
    zeros: tuple[int, int], limits: tuple[float, float],
) -> None:  # fmt: skip
    """y [N, out..., columns] of x [N, ..., channels]; `numbers` are the bias, less zero points, and the scale of each column, `zeros`
    the zero points of x and y."""
    (channels, columns), images = w.shape[2:], y.shape[0]
    patches, places = tables(window, channels, columns)
    tiles = images * len(patches)
    block = block_of(tiles, channels, columns)
    room = build.temporary(np.dtype(np.uint8), (room_bytes(block, channels, columns),))
    steps = (x.size // images, y.size // images) if images > 1 else (0, 0)
    record = QWINOGRAD(
        x=x, w=build.constant(packed(transformed(w))), numbers=build.constant(np.concatenate([n.view(np.int32) for n in numbers])),
        out=y, table=build.constant(np.concatenate([patches.ravel(), places.ravel()])), room=room, tiles=tiles,
        channels=channels, columns=columns, block=block, zero_x=zeros[0], zero=zeros[1], offsets=4 * patches.size,
        x_image=steps[0], out_image=steps[1], low=limits[0], high=limits[1],
    )  # fmt: skip
    build.call("qwinograd", record, macs=2 * PATCH * tiles * channels * columns)  # of 16 bits: as long as two of bytes


def block_of(tiles: int, channels: int, columns: int) -> int:
    """Tiles that are worked on at once: all blocks are alike, but for the last."""
    most = max(BLOCK_BYTES // room_bytes(1, channels, columns), LEAST_BLOCK)
    return -(-tiles // -(-tiles // most))


def tables(window: Window, channels: int, columns: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Byte offsets of the pixels [tiles, 36] and of the outputs [tiles, 16] of each tile of an image, -1 for none."""
    return _table(_FOUR.patches(window), channels), _table(_FOUR.places(window), columns)


def _table(pixels: NDArray[np.int64], row: int) -> NDArray[np.int32]:
    """Byte offsets of pixels of `row` bytes, -1 for none."""
    return np.where(pixels < 0, -1, pixels * row).astype(np.int32)
