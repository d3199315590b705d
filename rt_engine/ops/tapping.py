"""Sums of weighted taps along an axis, as tables: what resampling, pooling and overlapping sums share. No operator of its own."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import SUFFIX
from rt_engine.kernels.interface.taps import TAPS
from rt_engine.ops.base import Refusal
from rt_engine.ops.builder import Builder
from rt_engine.ops.linear import lanes
from rt_engine.program.calls import Buffer

MOST_TABLE = 1 << 24
"""Elements of a table beyond which a node is refused: a few bytes of a file can ask for any amount."""


def taps(
    build: Builder,
    x: Buffer,
    axis: int,
    index: NDArray[Any],
    weight: NDArray[Any],
    out: Buffer | None = None,
    outside: float = 0.0,
) -> Buffer:
    """out[.., j, ..] = sum over t of weight[t, j] * x[.., index[t, j], ..] along `axis`, in the order of t.

    Args:
        build: where the call goes.
        x: float32 or float64.
        axis: not negative.
        index: [taps, m]; a negative one reads `outside`. So does one whose weight is 0, which keeps inf * 0 out.
        weight: [taps, m].
        out: where it goes; a temporary by default.
        outside: see `index`.

    Raises:
        ValueError: an index is too large.
    """
    index, weight = compact(index, weight)
    n, m = x.shape[axis], index.shape[1]
    if index.size and int(index.max()) >= n:
        raise ValueError(f"element {int(index.max())} of an axis with {n} is asked for")
    shape = (*x.shape[:axis], m, *x.shape[axis + 1 :])
    out = out or build.temporary(x.dtype, shape)
    if prod(shape) == 0:
        return out
    padded = -(-m // lanes(x.dtype)) * lanes(x.dtype)
    check_table(index.shape[0] * padded)
    indices = np.full((index.shape[0], padded), -1, np.int32 if x.dtype == np.float32 else np.int64)
    weights = np.zeros(indices.shape, x.dtype)
    indices[:, :m], weights[:, :m] = np.where(weight != 0, index, -1), weight
    outer, inner = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    record = TAPS(
        x=x, index=build.constant(indices), weight=build.constant(weights), out=out, outer=outer, n=n, inner=inner, m=m,
        taps=index.shape[0], padded=padded, outside=outside,
    )  # fmt: skip
    build.call(f"taps_{SUFFIX[x.dtype]}", record, macs=outer * inner * m * index.shape[0])
    return out


def check_table(elements: int) -> None:
    """Refuse a table that is larger than anything real needs."""
    if elements > MOST_TABLE:
        raise Refusal(f"it needs a table of {elements:,} elements; the most is {MOST_TABLE:,}", "check its sizes")


def compact(index: NDArray[Any], weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The taps that count (their weight is not 0), moved to the front of each column in their order; empty rows go."""
    order = np.argsort(weight == 0, axis=0, kind="stable")
    index, weight = (np.take_along_axis(table, order, axis=0) for table in (index, weight))
    used = max(int((weight != 0).any(axis=1).sum()), 1)
    return index[:used], weight[:used]
