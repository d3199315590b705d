"""3x3 convolutions with stride 1 by Winograd's F(2x2, 3x3), where it pays; no operator of its own.

    x --winograd_in--> v [tiles, 16, C] --16 products, as groups of a 1x1 convolution--> m [tiles, 16, M] --winograd_out--> y

Tiles are worked on in blocks that stay in the cache, so v and m are small. The choice depends on the shapes alone, so a program
is the same on every machine. Rounding errors are a few times those of the direct sum, as for any order of summation.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.lower import Buffer, Builder
from rt_engine.ops.window import Window

_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
TRANSFORM = 45
"""Cycles to transform 16 channels of a tile in one direction, against one cycle per 16 multiply-accumulates."""
GAIN = 0.85
"""Least gain: work by tiles over work by pixels, below which it is done."""
MOST_WEIGHTS = 1 << 17
"""Input times output channels beyond which the larger weights cost more than the products save."""
BLOCK_BYTES, LEAST_BLOCK = 1 << 16, 24
"""Bytes of v and m together, and least tiles, of a block."""


def tiles_of(window: Window) -> Window:
    """The 4x4 patches of which each gives 2x2 output pixels."""
    out = tuple(-(-size // 2) for size in window.out)
    return replace(window, kernel=(4, 4), strides=(2, 2), out=out)


def pays(window: Window, channels: int, outputs: int, dtype: np.dtype[Any]) -> bool:
    """Is F(2x2, 3x3) possible here, and faster?"""
    if window.kernel != (3, 3) or window.strides != (1, 1) or window.dilations != (1, 1) or dtype != np.float32:
        return False
    if channels % 8 or outputs % 8 or channels < 16 or channels * outputs > MOST_WEIGHTS:
        return False
    tiles, vectors = tiles_of(window).outputs, -(-outputs // 8) / 2
    direct = window.outputs * 9 * channels * vectors
    return tiles * (16 * channels * vectors + TRANSFORM * (-(-channels // 16) + -(-outputs // 16))) < GAIN * direct


def transformed(w: NDArray[Any]) -> NDArray[Any]:
    """Weights [3, 3, C, M] -> [16, C, M], in float64, rounded once."""
    u: NDArray[Any] = np.einsum("ai,bj,ijcm->abcm", _G, _G, w.astype(np.float64))
    return u.reshape(16, *w.shape[2:]).astype(w.dtype)


def winograd(
    build: Builder,
    x: Buffer,
    w: NDArray[Any],
    bias: NDArray[Any],
    addend: Buffer | None,
    y: Buffer,
    window: Window,
    limits: tuple[float, float],
) -> None:
    """The convolution; x, y and the addend hold one image each."""
    from rt_engine.ops.convolve import grouped_product

    channels, outputs = x.shape[-1], y.shape[-1]
    tiles = tiles_of(window)
    patches = tiles.table()
    patches = np.where(patches < 0, -1, patches * (4 * channels)).astype(np.int32)
    places = np.where((at := _places(window, tiles)) < 0, -1, at * (4 * outputs)).astype(np.int32)
    u = transformed(w)
    wide = np.zeros(-(-outputs // 16) * 16, w.dtype)
    wide[:outputs] = bias
    row = build.constant(wide)
    count = tiles.outputs
    most = max(BLOCK_BYTES // (64 * (channels + outputs)), LEAST_BLOCK)
    step = -(-count // -(-count // most))
    product = None
    for first in range(0, count, step):
        some = min(step, count - first)
        part = slice(first, first + some)
        v, m = (build.temporary(x.dtype, (1, some, 16 * n)) for n in (channels, outputs))
        build.call("winograd_in", (x, v, build.constant(patches[part])), (some, channels), writes=(1,))
        product = product or grouped_product(build, u)
        product(v, m)
        operands = (m, row, y, build.constant(places[part]), addend)
        build.call("winograd_out", operands, (some, outputs), limits, writes=(2,), inplace=(4,))


def _places(window: Window, tiles: Window) -> NDArray[np.int64]:
    """[tiles, 4]: the output pixel that each of a tile's four results is, -1 for none."""
    return Window(window.out, (2, 2), (2, 2), (1, 1), (0, 0), tiles.out).table()
