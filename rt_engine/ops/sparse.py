"""Products by constant weights most of whose blocks are zero (`kernels.sparse`)."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.panels import VECTOR
from rt_engine.kernels.interface.sparse import SPARSE
from rt_engine.ops.builder import Builder
from rt_engine.program.calls import Buffer

BLOCK = VECTOR // 4
"""Columns of a block, of float32: a vector, on every machine."""
FEWEST = 64
"""Rows and columns of weights from which blocks are looked for: the check of the inputs costs as much as one column."""
DENSEST = 0.5
"""The share of blocks up to which the product is taken.

Measured on AVX2: the dense product takes 1.9 times as long at a share of 0.7, 2.5 times at 0.5, for one row and for 32. With registers
for the dense product's widest tile (AVX-512) a block costs at most 1.4 times what it costs there: less than half of all still pay.
"""


def blocks(w: NDArray[Any]) -> NDArray[np.bool_]:
    """[k, panels] of weights [k, n]: which blocks hold a number that is not zero."""
    k, n = w.shape
    padded = np.zeros((k, -(-n // BLOCK) * BLOCK), bool)
    padded[:, :n] = w != 0
    there: NDArray[np.bool_] = np.any(padded.reshape(k, -1, BLOCK), axis=2)
    return there


def is_taken(w: NDArray[Any]) -> bool:
    """Is the product by `w` taken? Depends on the weights alone."""
    return bool(w.dtype == np.float32 and min(w.shape) >= FEWEST and blocks(w).mean() <= DENSEST)


def pack_blocks(w: NDArray[Any], splits: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Weights [k, n] as the blocks that are not zero, and their places (`interface.sparse`)."""
    k, n = w.shape
    there = blocks(w)
    padded = np.zeros((k, there.shape[1] * BLOCK), np.float32)
    padded[:, :n] = w
    rows = [np.flatnonzero(there[:, p]) for p in range(there.shape[1])]
    chains = [(p, of[of % splits == s]) for p, of in enumerate(rows) for s in range(splits)]
    values = [padded[of, p * BLOCK : (p + 1) * BLOCK].ravel() for p, of in chains]
    starts = np.cumsum([0, *(of.size for _, of in chains)])
    places = np.concatenate([starts, *(4 * of for _, of in chains)]).astype(np.int32)
    packed = np.concatenate(values)
    return (packed if packed.size else np.zeros(BLOCK, np.float32)), places


def unpack_blocks(packed: NDArray[Any], places: NDArray[np.int32], shape: tuple[int, int], splits: int) -> NDArray[Any]:
    """The weights [k, n] of `pack_blocks`."""
    k, n = shape
    panels = -(-n // BLOCK)
    starts, rows = places[: panels * splits + 1], places[panels * splits + 1 :] // 4
    w = np.zeros((k, panels, BLOCK), np.float32)
    panel = np.repeat(np.arange(panels * splits) // splits, np.diff(starts))
    w[rows, panel] = packed.reshape(-1, BLOCK)[: rows.size]
    return w.reshape(k, -1)[:, :n]


def sparse_product(
    build: Builder, a: Buffer, w: NDArray[Any], bias: Buffer, out: Buffer, splits: int, limits: tuple[float, float]
) -> None:
    """out[..., n] = clip(bias + a[..., k] @ w, limits); the bias goes up to whole vectors."""
    (k, n), rows = w.shape, prod(a.shape[:-1])
    packed, places = pack_blocks(w, splits)
    record = SPARSE(
        a=a, b=build.constant(packed), bias=bias, places=build.constant(places),
        checks=build.temporary(a.dtype, (rows,)), out=out,
        rows=rows, depth=k, columns=n, splits=splits, low=limits[0], high=limits[1],
    )  # fmt: skip
    build.call("sparse_f32", record, macs=rows * packed.size)
