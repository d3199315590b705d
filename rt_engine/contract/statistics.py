"""Statistics of training data, of an array or of chunks that do not fit into memory together; test vectors of pairs of arrays.

chunks --add()--> count, mean, sums of squares (Chan's update), least, greatest exactly; rows drawn for quantiles --> Statistics
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rt_engine.contract.terms import Statistics, TestVector
from rt_engine.errors import ContractError

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MOST_ROWS, ROW_NUMBERS, LEAST_ROWS = 1 << 16, 1 << 24, 1 << 10
"""Rows that quantiles are computed from: at most so many, with together so many numbers, but not fewer than the last."""
COVARIANCE_UP_TO = 128
"""Elements of a sample up to which a covariance is kept by itself."""
STEP = 1 << 16
"""Rows that are looked at at once."""


class Gathering:
    """Statistics that grow with each chunk, in memory that does not.

    Args:
        tensor: name of the input or output that the data is of.
        quantiles: which; exact up to 65,536 samples (fewer of wide ones), beyond from as many drawn at random, always the same.
        covariance: with it; None: of up to 128 elements.
    """

    def __init__(self, tensor: str, quantiles: Iterable[float] = QUANTILES, covariance: bool | None = None) -> None:
        self._tensor, self._quantiles, self._covariance = tensor, tuple(float(p) for p in quantiles), covariance
        self._count = 0
        self._random = np.random.default_rng(0)

    def add(self, samples: ArrayLike) -> None:
        """Take in samples [samples, *shape of one sample], as the model sees them (scaled).

        Raises:
            ContractError: no samples, of another shape than those before, or a value that is not finite.
        """
        array = np.asarray(samples)
        if array.ndim == 0 or array.dtype.kind not in "biuf" or not array.size:
            raise ContractError(
                f"the data of '{self._tensor}' is {array.dtype}{list(array.shape)}, no array of numbers [samples, elements]"
            )
        rows = array.reshape(len(array), -1)
        if self._count == 0:
            self._begin(rows.shape[1])
        if rows.shape[1] != len(self._mean):
            raise ContractError(
                f"the data of '{self._tensor}' has samples of {rows.shape[1]} and of {len(self._mean)} elements"
            )
        for first in range(0, len(rows), STEP):
            self._take(rows[first : first + STEP].astype(np.float64))

    def statistics(self) -> Statistics:
        """Those of all that was taken in.

        Raises:
            ContractError: nothing was.
        """
        if self._count == 0:
            raise ContractError(f"there is no data of '{self._tensor}'")
        rows = self._rows[: min(self._count, len(self._rows))]
        found: Any = np.quantile(rows, self._quantiles, axis=0) if self._quantiles else []
        variance = (self._squares if self._squares.ndim == 1 else self._squares.diagonal()) / self._count
        full = None
        if self._squares.ndim == 2:
            full = tuple(_floats(row) for row in self._squares / self._count)
        return Statistics(
            self._tensor,
            self._count,
            _floats(self._mean),
            _floats(np.sqrt(variance)),
            _floats(self._least),
            _floats(self._greatest),
            {p: _floats(values) for p, values in zip(self._quantiles, found, strict=True)},
            full,
        )

    def _begin(self, size: int) -> None:
        self._mean = np.zeros(size)
        self._least, self._greatest = np.full(size, np.inf), np.full(size, -np.inf)
        full = size <= COVARIANCE_UP_TO if self._covariance is None else self._covariance
        self._squares = np.zeros((size, size) if full else size)
        self._rows = np.empty((max(LEAST_ROWS, min(MOST_ROWS, ROW_NUMBERS // size)), size))

    def _take(self, rows: NDArray[np.float64]) -> None:
        if (bad := np.argwhere(~np.isfinite(rows))).size:
            at, element = bad[0]
            raise ContractError(
                f"the data of '{self._tensor}' has {rows[at, element]} in sample {self._count + at}, element {element}: leave it out"
            )
        count, mean = len(rows), rows.mean(axis=0)
        apart, centred = mean - self._mean, rows - mean
        weight = self._count * count / (self._count + count)
        if self._squares.ndim == 2:
            self._squares += centred.T @ centred + weight * np.outer(apart, apart)
        else:
            self._squares += (centred**2).sum(axis=0) + weight * apart**2
        self._mean += apart * (count / (self._count + count))
        np.minimum(self._least, rows.min(axis=0), out=self._least)
        np.maximum(self._greatest, rows.max(axis=0), out=self._greatest)
        self._draw(rows)
        self._count += count

    def _draw(self, rows: NDArray[np.float64]) -> None:
        """Keep each row with the same chance (Vitter's algorithm R): the first ones all, a later one in the place of another."""
        room = max(0, len(self._rows) - self._count)
        self._rows[self._count : self._count + len(rows[:room])] = rows[:room]
        if len(later := rows[room:]):
            places = self._random.integers(0, self._count + room + 1 + np.arange(len(later)))
            kept = places < len(self._rows)
            self._rows[places[kept]] = later[kept]


def statistics_of(
    samples: ArrayLike | Iterable[ArrayLike],
    tensor: str = "x",
    *,
    quantiles: Iterable[float] = QUANTILES,
    covariance: bool | None = None,
) -> Statistics:
    """The statistics of training data, for a contract.

    Args:
        samples: [samples, *shape of one sample], as the model sees them; or an iterator of such arrays (a generator over files, a
            data loader), of which one is in memory at a time.
        tensor: name of the input or output that it is of.
        quantiles, covariance: as of `Gathering`.

    Raises:
        ContractError: as `Gathering.add`.
    """
    gathering = Gathering(tensor, quantiles, covariance)
    chunks: Any = samples
    if hasattr(samples, "__array__") or isinstance(samples, Sequence) or not isinstance(samples, Iterable):
        chunks = (samples,)
    for chunk in chunks:
        gathering.add(chunk)
    return gathering.statistics()


def vectors_of(
    inputs: Mapping[str, ArrayLike], outputs: Mapping[str, ArrayLike], *, atol: float = 1e-5, rtol: float = 1e-4
) -> tuple[TestVector, ...]:
    """Test vectors, one for each row: what the model that was trained gave for these inputs.

    Args:
        inputs, outputs: name -> array [vectors, *rest], for a model whose shapes begin with a batch of one; for another make
            `TestVector`s of whole arrays.
        atol, rtol: |output - expected| <= atol + rtol * |expected|.

    Raises:
        ContractError: the arrays have different numbers of rows.
    """
    arrays = [{name: np.asarray(array) for name, array in side.items()} for side in (inputs, outputs)]
    counts = {name: len(array) if array.ndim else 0 for side in arrays for name, array in side.items()}
    if len(set(counts.values())) != 1:
        raise ContractError(f"test vectors need as many rows of each array, got {counts}")
    count = next(iter(counts.values()))
    rows = [[{name: array[i : i + 1] for name, array in side.items()} for side in arrays] for i in range(count)]
    return tuple(TestVector(given, expected, atol, rtol) for given, expected in rows)


def _floats(values: NDArray[Any]) -> tuple[float, ...]:
    return tuple(values.tolist())
