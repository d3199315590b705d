"""What a model's training data held, from its contract, as what the cycle compares inputs with (`scheduler.monitor_block.ENVELOPE`).

The value is 1 at the edge of those data. Of one element the edge is the least and the greatest value that training saw, or the
quantiles that are wanted, and 2 is as far beyond it as it is wide on that side of its middle. Of all elements of a tensor
together, where their covariance is known, it is the Mahalanobis distance that one in 10,000 samples of a normal distribution exceeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import ContractError
from rt_engine.kernels.interface.dtypes import CODE
from rt_native.memory import Block
from scheduler.errors import TaskError
from scheduler.monitor_block import DISTANCE, ENVELOPE, ENVELOPE_HEAD, NOTHING
from scheduler.task_block import TYPES

if TYPE_CHECKING:
    from rt_engine import Model
    from rt_engine.contract.terms import Statistics

LANES: Final = 8
BEYOND: Final = 1e-4
"""The share of normal samples whose distance is beyond the edge."""
RIDGE: Final = 1e-6
"""Added to the variance of each element, relative to it: elements that depend on each other have an inverse then."""
NARROW: Final = 1e-6, 1e-30
"""Half a range is at least this share of its middle, and at least this: an element that never changed may not, but for rounding."""

HOW_TO_GET_THEM: Final = (
    "write them into the file with rt_engine.contract (statistics_of an array of training samples, attach), "
    "or name a slot with a model as the monitor"
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The monitor that needs no model: how far the inputs are from the training data that the model's contract describes.

    Args:
        quantile: the edge is where this share of the training data ends on each side (0.999: between the quantiles 0.001 and
            0.999 of the contract); None: their least and greatest values.
    """

    quantile: float | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is compared with one tensor, in numbers: `low`, `high`, `mean` of each element; `factor` lower triangular, or None."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    factor: NDArray[np.float64] | None
    edge: float

    @property
    def middle(self) -> NDArray[np.float64]:
        """The middle of each range."""
        return np.asarray((self.low + self.high) / 2)

    @property
    def half(self) -> NDArray[np.float64]:
        """Half of the width of each range; never 0."""
        return np.maximum((self.high - self.low) / 2, _least(self.middle))


def _least(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is narrower than this about such values is rounding."""
    return np.maximum(NARROW[0] * np.abs(values), NARROW[1])


def bounds_of(statistics: Statistics, quantile: float | None, what: str) -> Bounds:
    """What the statistics of a contract say of one tensor; `what` begins a complaint.

    Raises:
        TaskError: the quantiles are not there, or the covariance is none.
    """
    low, high = np.asarray(statistics.least, np.float64), np.asarray(statistics.greatest, np.float64)
    if quantile is not None:
        low = _quantile(statistics.quantiles, 1.0 - quantile, what)
        high = _quantile(statistics.quantiles, quantile, what)
    mean, deviation = (np.asarray(v, np.float64) for v in (statistics.mean, statistics.deviation))
    if statistics.covariance is None:
        return Bounds(low, high, mean, None, 1.0)
    changing = deviation > _least(mean)
    factor = _factor(np.asarray(statistics.covariance, np.float64), deviation, changing, what)
    return Bounds(low, high, mean, factor, edge_of(int(changing.sum())))


def edge_of(count: int) -> float:
    """The distance that `BEYOND` of all normal samples of `count` elements exceed (Wilson and Hilferty, PNAS 1931)."""
    if count == 0:
        return 1.0
    part = 2.0 / (9.0 * count)
    return float(math.sqrt(count * (1.0 - part + NormalDist().inv_cdf(1.0 - BEYOND) * math.sqrt(part)) ** 3))


def _quantile(quantiles: Mapping[float, Sequence[float]], wanted: float, what: str) -> NDArray[np.float64]:
    for p, values in quantiles.items():
        if math.isclose(float(p), wanted, rel_tol=0.0, abs_tol=1e-9):
            return np.asarray(values, np.float64)
    there = ", ".join(f"{float(p):g}" for p in sorted(quantiles, key=float)) or "none"
    raise TaskError(f"{what}: its contract has no quantile {wanted:g}; it has {there}")


def _factor(
    covariance: NDArray[np.float64], deviation: NDArray[np.float64], changing: NDArray[np.bool_], what: str
) -> NDArray[np.float64]:
    """The inverse of the lower triangular factor; zeros for elements that never changed: their range says it."""
    count = len(deviation)
    kept = np.flatnonzero(changing)
    scale = 1.0 / deviation[kept]
    relative = covariance[np.ix_(kept, kept)] * np.outer(scale, scale)
    try:
        lower = np.linalg.cholesky((relative + relative.T) / 2 + RIDGE * np.eye(len(kept)))
    except np.linalg.LinAlgError as error:
        raise TaskError(
            f"{what}: its covariance is none: some sum of the elements varies less than not at all"
        ) from error
    factor = np.zeros((count, count))
    factor[np.ix_(kept, kept)] = np.linalg.inv(lower) * scale
    return factor


class EnvelopeMemory:
    """The native memory of one model's envelope: `block` is what BLOCK.envelope is the address of.

    Args:
        model, envelope: of which, and where its edge is.
        what: begins a complaint.

    Raises:
        TaskError: the model has no contract with statistics of its tensors, or they do not fit the model.
    """

    def __init__(self, model: Model, envelope: Envelope, what: str) -> None:
        try:
            found = _statistics(model)
        except ContractError as error:
            raise TaskError(f"{what}: {error}") from error
        if not found:
            raise TaskError(f"{what}: the model carries no statistics of its training data; {HOW_TO_GET_THEM}")
        self._names = [_names(model, statistics) for statistics in found]
        rows = [_row(model, statistics, envelope, what) for statistics in found]
        arrays_at = -(-(ENVELOPE_HEAD + ENVELOPE.itemsize * len(rows)) // 64) * 64
        self.block = Block(arrays_at + sum(array.nbytes for _, arrays in rows for array in arrays.values()))
        self.block.view(np.int64)[0] = len(rows)
        self.rows = self.block.view(ENVELOPE, ENVELOPE_HEAD, len(rows))
        at = arrays_at
        for row, (fields, arrays) in zip(self.rows, rows, strict=True):
            for name, array in arrays.items():
                self.block.view(np.float64, at, array.size)[:] = array.reshape(-1)
                row[name] = self.block.address + at
                at += array.nbytes
            for name, value in fields.items():
                row[name] = value

    @property
    def worst(self) -> str:
        """What is furthest out in the newest look, if anything is beyond its edge: an element, or all of a tensor together."""
        number = int(np.argmax(self.rows["value"]))
        element, names = int(self.rows["worst"][number]), self._names[number]
        if element == NOTHING:
            return ""
        return names[element] if element != DISTANCE else f"all of {names[-1]} together"


def _names(model: Model, statistics: Statistics) -> list[str]:
    """What the elements of a tensor are called, and then the tensor."""
    contract, tensor = model.contract, statistics.tensor
    described = (
        [e for t in (*contract.inputs, *contract.outputs) if t.name == tensor for e in t.elements] if contract else []
    )
    known = [element.name for element in described]
    return [*(known[i] if i < len(known) else f"{tensor}[{i}]" for i in range(len(statistics.mean))), tensor]


def _statistics(model: Model) -> list[Statistics]:
    """Those of a contract that are of tensors of the model."""
    contract = model.contract
    return [s for s in contract.statistics if _position(model, s.tensor) is not None] if contract is not None else []


def _position(model: Model, tensor: str) -> int | None:
    """Where a tensor stands in the table of a context's tensors."""
    names = [spec.name for spec in (*model.inputs, *model.outputs)]
    return names.index(tensor) if tensor in names else None


def _row(
    model: Model, statistics: Statistics, envelope: Envelope, what: str
) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    """The fields of an ENVELOPE, and the arrays that its addresses are of."""
    position = _position(model, statistics.tensor)
    assert position is not None
    spec = (*model.inputs, *model.outputs)[position]
    what = f"{what}, statistics of {spec.name!r}"
    size, count, dtype = math.prod(spec.shape), len(statistics.mean), CODE.get(np.dtype(spec.dtype))
    if dtype not in TYPES:
        raise TaskError(f"{what}: it is {spec.dtype}; only {', '.join(t.numpy for t in TYPES)} are looked at")
    if count == 0 or size % count != 0:
        raise TaskError(f"{what}: {count} elements of one sample do not fill {spec} with whole samples")
    bounds = bounds_of(statistics, envelope.quantile, what)
    padded = -(-count // LANES) * LANES
    fields: dict[str, float] = {
        "tensor": 8 * position, "dtype": int(dtype), "first": size - count, "count": count, "padded": padded,
        "edge": bounds.edge, "worst": NOTHING,
    }  # fmt: skip
    arrays = {
        "middle": _padded(bounds.middle, padded),
        "per_half": _padded(1.0 / bounds.half, padded),
        "mean": _padded(bounds.mean, padded),
        "sample": np.zeros(2 * padded),
    }
    if bounds.factor is not None:
        arrays["factor"] = _by_eights(bounds.factor, padded)
    return fields, arrays


def _padded(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    return np.concatenate([values, np.zeros(length - len(values))])


def _by_eights(factor: NDArray[np.float64], padded: int) -> NDArray[np.float64]:
    """As it lies in memory: eight rows at a time, column by column (drawn in `scheduler.monitor_block`)."""
    square = np.zeros((padded, padded))
    square[: len(factor), : len(factor)] = factor
    blocks: Iterable[NDArray[np.float64]] = (
        square[first : first + LANES, : first + LANES].T.reshape(-1) for first in range(0, padded, LANES)
    )
    return np.concatenate(list(blocks))
