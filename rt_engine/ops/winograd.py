"""Convolutions with stride 1 by Winograd's algorithms, where it pays: 3x3 by 2x2 or 4x4 outputs, lines of 3 or 5
taps; no operator of its own.

    x --in--> v [tiles, P, C] --P products, as groups of a 1x1 convolution--> m [tiles, P, M] --out--> y

Tiles are worked on in blocks that stay in the cache, so v and m are small. The choice depends on the shapes alone, so a program
is the same on every machine. Rounding errors are a few times those of the direct sum, about 15 times with 4x4 outputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.winograd import WINOGRAD_IN, WINOGRAD_OUT
from rt_engine.ops.builder import Builder
from rt_engine.ops.convolve_parts import parts_of
from rt_engine.ops.window import Window, pixels_at
from rt_engine.program.calls import Buffer, Call

GroupedProduct = Callable[[Builder, NDArray[Any]], Callable[[Buffer, Buffer], None]]
"""(builder, weights [groups, k, n]) -> what calls y[row, g] = x[row, g] @ w[g]: `rt_engine.ops.convolve.grouped_product`."""

_SQUARE = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_FOUR = np.array([[15, 0, 0], [5, 5, 5], [-5, 5, -5], [-16, -8, -4], [1, -2, 4], [0, 0, 15]]) / 15
_POINTS = ((0, 1 / 4), (1, -1 / 6), (-1, -1 / 6), (2, 1 / 24), (-2, 1 / 24))
"""Points of a line and the factors of their rows; the sixth point is infinity."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One of the algorithms, for the axes of a window."""

    kernel: str
    patch: tuple[int, ...]
    """Input pixels of a tile."""
    step: tuple[int, ...]
    """Output pixels of a tile."""
    transform: int
    """Cycles to transform 16 channels of a tile in one direction, against one cycle per 16 multiply-accumulates."""

    def starts(self, window: Window) -> list[NDArray[np.int64]]:
        """The first output of each tile, axis by axis: its outputs are as far apart as the taps, so each phase has tiles of its own.

        dilation 2, tiles of 4      0 . 0 . 0 . 0 . 2 . 2 .        tiles 0 and 2 of phase 0
                                    . 1 . 1 . 1 . 1 . 3 . 3        tiles 1 and 3 of phase 1
        """
        axes = zip(window.out, self.step, window.dilations, strict=True)
        return [np.concatenate([np.arange(p, out, step * d) for p in range(min(d, out))]) for out, step, d in axes]

    def tiles(self, window: Window) -> int:
        """How many give all outputs."""
        return prod(len(start) for start in self.starts(window))

    def patches(self, window: Window) -> NDArray[np.int64]:
        """[tiles, positions]: the input pixels of each, -1 for padding."""
        begins = [start - begin for start, begin in zip(self.starts(window), window.begin, strict=True)]
        return pixels_at(_spread(begins, self.patch, window.dilations), window.size)

    def places(self, window: Window) -> NDArray[np.int64]:
        """[tiles, outputs]: the output pixel that each of a tile's results is, -1 for none."""
        return pixels_at(_spread(self.starts(window), self.step, window.dilations), window.out)

    @property
    def positions(self) -> int:
        """Products per tile."""
        return prod(self.patch)


def _spread(
    starts: Sequence[NDArray[np.int64]], counts: Sequence[int], steps: Sequence[int]
) -> list[NDArray[np.int64]]:
    """[start, count] of each axis: so many from each start on, a step apart."""
    axes = zip(starts, counts, steps, strict=True)
    return [start[:, None] + step * np.arange(count) for start, count, step in axes]


SQUARES = (Scheme("winograd", (4, 4), (2, 2), 45), Scheme("winograd_four", (6, 6), (4, 4), 200))


def schemes_of(window: Window) -> tuple[Scheme, ...]:
    """The algorithms for a window, that with the smallest rounding errors first."""
    if any(s != 1 for s in window.strides):
        return ()
    if window.kernel == (3, 3):
        return SQUARES
    if window.taps in (3, 5) and window.taps in window.kernel:
        step = 7 - window.taps
        patch, steps = (tuple(n if k > 1 else 1 for k in window.kernel) for n in (6, step))
        return (Scheme("winograd_line", patch, steps, 17),)
    return ()


GAIN = 0.78
"""Least gain: work by tiles over work by pixels, below which it is done."""
MOST_WEIGHTS = 1 << 18
"""Input times output channels beyond which the larger weights would fill the memory of a small computer."""
LEAST_ROWS, LEAST_FAR_ROWS = 4, 8
"""Tiles that a product takes no less time for: where the weights are in the second-level cache, and where they come from further."""
FAR = 1 << 20
"""Bytes of weights that do."""
MOST_BYTES = 10 << 20
"""Of the weights of 4x4 outputs, four times those of the sum itself."""
BLOCK_BYTES, LEAST_BLOCK = 1 << 16, 24
"""Bytes of v and m together, and least tiles, of a block."""
MOST_BLOCKS = 1024
"""Of one convolution: beyond it, blocks grow with the picture, not the program."""


def cycles(scheme: Scheme, window: Window, channels: int, outputs: int) -> float:
    """What a convolution takes by that algorithm, roughly."""
    tiles, vectors = scheme.tiles(window), -(-outputs // 8) / 2
    transforms = scheme.transform * (-(-channels // 16) + -(-outputs // 16))
    least = LEAST_FAR_ROWS if weight_bytes(scheme, channels, outputs) > FAR else LEAST_ROWS
    return tiles * transforms + max(tiles, least) * scheme.positions * channels * vectors


def weight_bytes(scheme: Scheme, channels: int, outputs: int) -> int:
    """Of the transformed weights."""
    return 4 * scheme.positions * channels * outputs


@lru_cache(maxsize=1024)  # a network has few shapes, and asks several times for each layer
def scheme_for(window: Window, channels: int, outputs: int, dtype: np.dtype[Any]) -> Scheme | None:
    """The fastest algorithm for this window, if one is faster than the sum itself."""
    if dtype != np.float32 or channels < 16 or channels * outputs > MOST_WEIGHTS:
        return None
    taps = sum(part.window.outputs * part.window.taps for part in parts_of(window))
    best, least = None, GAIN * taps * channels * (-(-outputs // 8) / 2)
    for scheme in schemes_of(window):
        if scheme.positions > 16 and weight_bytes(scheme, channels, outputs) > MOST_BYTES:
            continue
        most = least if best is None else GAIN * least
        found = cycles(scheme, window, channels, outputs)
        if found < most:
            best, least = scheme, found
    return best


def transformed(w: NDArray[Any], scheme: Scheme) -> NDArray[Any]:
    """Weights [taps..., C, M] -> [positions, C, M], in float64, rounded once."""
    if w.shape[:-2] == (3, 3):
        square = _SQUARE if scheme == SQUARES[0] else _FOUR
        factors = np.einsum("ai,bj->abij", square, square).reshape(scheme.positions, 9)
    else:
        taps = prod(w.shape[:-2])
        line = [[factor * point**i for i in range(taps)] for point, factor in _POINTS]
        factors = np.array([*line, [0.0] * (taps - 1) + [1.0]])
    planes = w.reshape(-1, *w.shape[-2:]).astype(np.float64)
    u = np.empty((scheme.positions, *planes.shape[1:]), w.dtype)
    for row, position in zip(factors, u, strict=True):  # tap by tap: a product of matrices adds in an order of its own
        position[...] = sum(factor * plane for factor, plane in zip(row, planes, strict=True) if factor)
    return u


def winograd(
    build: Builder,
    scheme: Scheme,
    x: Buffer,
    w: NDArray[Any],
    bias: NDArray[Any],
    addend: Buffer | None,
    y: Buffer,
    window: Window,
    limits: tuple[float, float],
    grouped_product: GroupedProduct,
) -> None:
    """The convolution; x, y and the addend hold one image each."""
    channels, outputs, count = x.shape[-1], y.shape[-1], scheme.tiles(window)
    patches = _offsets(scheme.patches(window), channels, scheme.positions)
    places = _offsets(scheme.places(window), outputs, max(prod(scheme.step), 4))
    u = transformed(w, scheme)
    wide = np.zeros(-(-outputs // 16) * 16, w.dtype)
    wide[:outputs] = bias
    row, per_tile = build.constant(wide), prod(scheme.step)
    most = max(BLOCK_BYTES // (4 * scheme.positions * (channels + outputs)), LEAST_BLOCK, -(-count // MOST_BLOCKS))
    step = -(-count // -(-count // most))
    product = grouped_product(build, u)
    wholes = [build.temporary(x.dtype, (step * scheme.positions * n,)) for n in (channels, outputs)]
    known: dict[int, list[Call]] = {}
    for first in range(0, count, step):
        some = min(step, count - first)
        table, to = (build.constant(part[first : first + some]) for part in (patches, places))
        if some in known:  # all blocks but the last are alike, and lie in the same memory
            before, *between, behind = known[some]
            build.again(before, table=table)
            for call in between:
                build.again(call)
            build.again(behind, places=to)
            continue
        v, m = (Buffer("", x.dtype, (1, some, whole.size // step), whole.storage) for whole in wholes)
        begin = len(build.calls)
        reads = WINOGRAD_IN(x=x, v=v, table=table, tiles=some, channels=channels)
        build.call(f"{scheme.kernel}_in", reads, elements=2 * v.size)
        product(v, m)
        record = WINOGRAD_OUT(
            m=m, bias=row, out=y, places=to, addend=addend, tiles=some, channels=outputs,
            outputs=per_tile, low=limits[0], high=limits[1],
        )  # fmt: skip
        build.call(f"{scheme.kernel}_out", record, inplace=("addend",), elements=3 * m.size)
        known[some] = build.calls[begin:]


def _offsets(table: NDArray[np.int64], channels: int, columns: int) -> NDArray[np.int32]:
    """Byte offsets of pixels, -1 for none, with as many columns as the kernel reads."""
    wide = np.full((table.shape[0], columns), -1, np.int32)
    wide[:, : table.shape[1]] = np.where(table < 0, -1, table * (4 * channels))
    return wide
