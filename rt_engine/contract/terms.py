"""What a model says about itself beyond its tensors: values that check themselves when they are made.

Units and directions are those of a station file: of an input `element = value * scale + offset`, of an output
`value = element * scale + offset`; `low`, `high` and `max_rate` are in `unit`, so they speak of the value.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import ContractError

Values = tuple[float, ...]
Scaling = Literal["inside", "outside"]
SCALINGS = ("inside", "outside")
MOST_WINDOW, MOST_STRIDE = 1 << 20, 1 << 16
"""As of a station file."""
MOST_PARTS = 1000
"""Parts of all tensors, and statistics, of one contract."""
OWN = "rt_engine.contract"
"""`Contract.origin` of one that was written for us; and the key of its first part in a file's `metadata_props`."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a tensor: what a number means.

    Args:
        name: as a tag is called; no two elements of a tensor have the same.
        unit: engineering unit of the value: "rad", "m/s", "degC"; empty: none is known.
        scale: input: element = value * scale + offset; output: value = element * scale + offset.
        offset: see scale.
        low: least value that it was trained for (input) or may give (output), in `unit`.
        high: greatest value.
        clip: values beyond were clipped to low..high in training, so whoever runs the model does it too.
        max_rate: greatest change of the value, in `unit` per second.
    """

    name: str
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    clip: bool = False
    max_rate: float = math.inf

    def __post_init__(self) -> None:
        if not self.name:
            raise ContractError("an element has no name; tags are found by it")
        what = f"element '{self.name}'"
        if not math.isfinite(self.scale) or self.scale == 0 or not math.isfinite(self.offset):
            raise ContractError(
                f"{what} has the scale {self.scale} and the offset {self.offset}; both are finite, and no scale is 0"
            )
        if not self.low <= self.high:
            raise ContractError(f"{what} has low = {self.low} and high = {self.high}; low is at most high")
        if not self.max_rate > 0:
            raise ContractError(
                f"{what} has max_rate = {self.max_rate}; it is above 0, or left out where there is none"
            )
        if self.clip and self.low == -math.inf and self.high == math.inf:
            raise ContractError(f"{what} is clipped, but to nothing: give it low, high or both")


@dataclass(frozen=True, slots=True)
class TensorContract:
    """An input or output, or one part of it: what its elements mean.

    From its flat index `start` on it holds `window` samples one after the other, oldest first, each with `elements` in their order; a
    sample enters it every `stride` steps of the rate that the model was trained for. So element `j` of the oldest sample is at
    `start + j`, that of the next at `start + len(elements) + j`. Of an output with a window the first sample is for now.

    Where terms have a history each (`[a0 a1 a2 | b0 b1 b2]`), each is a part: of the same name, `start` where the one before ends.
    """

    name: str
    elements: tuple[Element, ...]
    window: int = 1
    stride: int = 1
    start: int = 0

    def __post_init__(self) -> None:
        if not self.name:
            raise ContractError("a tensor has no name; it is that of an input or output of the model")
        if not self.elements:
            raise ContractError(f"tensor '{self.name}' has no elements; name them all, or leave the tensor out")
        if not (1 <= self.window <= MOST_WINDOW and 1 <= self.stride <= MOST_STRIDE):
            raise ContractError(
                f"tensor '{self.name}' has window = {self.window} and stride = {self.stride}; they are whole numbers from 1 to "
                f"{MOST_WINDOW:,} and {MOST_STRIDE:,}"
            )

    @property
    def size(self) -> int:
        """Elements of this part of the tensor, over all its samples."""
        return len(self.elements) * self.window

    def at(self, index: int) -> Element | None:
        """The element at a flat index of the tensor, in whichever sample; None: it lies in another part."""
        inside = 0 <= index - self.start < self.size
        return self.elements[(index - self.start) % len(self.elements)] if inside else None


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the training data of a tensor looked like: one number for each element of one sample, as the model sees it (scaled).

    Args:
        tensor: its name, of an input or output.
        count: samples that were looked at.
        mean, deviation: the latter is the population's, never negative.
        least, greatest: of all samples.
        quantiles: p in 0..1 -> the value below which that part of the samples lies.
        covariance: a row for each element, symmetric; None: not known.
    """

    tensor: str
    count: int
    mean: Values
    deviation: Values
    least: Values
    greatest: Values
    quantiles: Mapping[float, Values] = field(default_factory=dict)
    covariance: tuple[Values, ...] | None = None

    def __post_init__(self) -> None:
        what, size = f"the statistics of '{self.tensor}'", len(self.mean)
        if self.count < 1 or not size:
            raise ContractError(f"{what} are of {self.count} samples with {size} elements; both are 1 or more")
        rows = {"mean": self.mean, "deviation": self.deviation, "least": self.least, "greatest": self.greatest}
        rows |= {f"quantile {p:g}": values for p, values in self.quantiles.items()}
        rows |= {f"row {i} of the covariance": values for i, values in enumerate(self.covariance or ())}
        for name, values in rows.items():
            _check_row(what, name, values, size)
        if self.covariance is not None and len(self.covariance) != size:
            raise ContractError(f"{what} have a covariance of {len(self.covariance)} rows for {size} elements")
        _check_order(self, what)


def _check_row(what: str, name: str, values: Values, size: int) -> None:
    if len(values) != size:
        raise ContractError(f"{what}: {name} has {len(values)} numbers, mean has {size}; all have one for each element")
    if bad := [i for i, value in enumerate(values) if not math.isfinite(value)]:
        raise ContractError(f"{what}: {name} is {values[bad[0]]} at element {bad[0]}; remove such samples first")


def _check_order(found: Statistics, what: str) -> None:
    """Raise unless least <= quantiles, in order, and mean <= greatest, within rounding; deviations and variances are not negative."""
    if wrong := [p for p in found.quantiles if not 0 <= p <= 1]:
        raise ContractError(f"{what} have a quantile {wrong[0]}; p is from 0 to 1")
    least, greatest = np.array(found.least), np.array(found.greatest)
    slack = 1e-5 * np.maximum(np.abs(least), np.abs(greatest)) + 1e-30
    rows = [least, *(np.array(found.quantiles[p]) for p in sorted(found.quantiles)), greatest]
    for low, high in (
        *pairwise(rows),
        (least, np.array(found.mean)),
        (np.array(found.mean), greatest),
    ):
        if (beyond := np.flatnonzero(low > high + slack)).size:
            at = int(beyond[0])
            raise ContractError(
                f"{what} contradict themselves at element {at}: {low[at]:g} is to be at most {high[at]:g}"
            )
    if min(found.deviation) < 0:
        raise ContractError(f"{what} have a negative deviation")
    if found.covariance is not None:
        matrix = np.array(found.covariance)
        largest = float(np.abs(matrix).max())
        if (matrix.diagonal() < 0).any() or np.abs(matrix - matrix.T).max() > 1e-6 * largest:
            raise ContractError(f"{what} have a covariance that is not symmetric, or has a negative variance")


@dataclass(frozen=True, slots=True, eq=False)
class TestVector:
    """What the model has to give for these inputs: |output - expected| <= atol + rtol * |expected|.

    Those of a model with state run in their order from a fresh state; its states are no inputs here.

    Args:
        inputs: name -> array of the input's shape; all inputs are given.
        outputs: name -> array of the output's shape; one or more.
        atol, rtol: absolute and relative tolerance.
    """

    __test__ = False  # pytest: this is no test

    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    atol: float = 1e-5
    rtol: float = 1e-4

    def __post_init__(self) -> None:
        if not self.inputs or not self.outputs:
            raise ContractError("a test vector needs inputs and outputs")
        if not all(math.isfinite(t) and t >= 0 for t in (self.atol, self.rtol)):
            raise ContractError(f"a test vector has the tolerances {self.atol} and {self.rtol}; they are 0 or more")
        for name, array in (*self.inputs.items(), *self.outputs.items()):
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
                raise ContractError(f"a test vector has no array of numbers for '{name}'; give a NumPy array")
            if not np.isfinite(array).all():
                raise ContractError(f"a test vector has NaN or infinity in '{name}'; nothing can be compared with it")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TestVector):
            return NotImplemented
        pairs = ((self.inputs, other.inputs), (self.outputs, other.outputs))
        return (self.atol, self.rtol) == (other.atol, other.rtol) and all(
            mine.keys() == its.keys() and all(_same(mine[name], its[name]) for name in mine) for mine, its in pairs
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have none


def _same(mine: NDArray[Any], its: NDArray[Any]) -> bool:
    return mine.dtype == its.dtype and mine.shape == its.shape and bool((mine == its).all())


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model comes from, in its author's words; `created` as 2026-11-28 or 2026-11-28T20:15:00Z."""

    name: str = ""
    version: str = ""
    data: str = ""
    """Which data it was trained with."""
    commit: str = ""
    author: str = ""
    created: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """What a model says about itself; `rt_engine.contract.attach` writes it into the model's file.

    Args:
        inputs, outputs: the tensors that it describes, each wholly, in one part or in several that follow each other; those of states
            among them or not; others are not described.
        rate_hz: how often the model ran in training; None: not known.
        scaling: "inside": the model takes and gives values in their units, no element has a scale or an offset; "outside": whoever
            runs it applies those of its elements.
        state: output -> the input that it is in the next run.
        statistics: of the training data.
        vectors: what it has to give.
        provenance: where it comes from.
        origin: whose keys it was read from: "rt_engine.contract", "mjlab", "koios".
        gaps: what the keys of others leave open, in sentences; empty for one of ours.
    """

    inputs: tuple[TensorContract, ...] = ()
    outputs: tuple[TensorContract, ...] = ()
    rate_hz: float | None = None
    scaling: Scaling = "inside"
    state: Mapping[str, str] = field(default_factory=dict)
    statistics: tuple[Statistics, ...] = ()
    vectors: tuple[TestVector, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    origin: str = OWN
    gaps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rate_hz is not None and not (math.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise ContractError(f"rate_hz is {self.rate_hz}; it is above 0, or left out where it is not known")
        if self.scaling not in SCALINGS:
            raise ContractError(f"scaling is {self.scaling!r}; it is one of {', '.join(SCALINGS)}")
        for what, count in (
            ("parts of tensors", len(self.inputs) + len(self.outputs)),
            ("statistics", len(self.statistics)),
        ):
            if count > MOST_PARTS:
                raise ContractError(f"a contract has {count:,} {what}; the most is {MOST_PARTS:,}")
        for side in (self.inputs, self.outputs):
            _check_parts(side)
        self._check_statistics()
        _check_once([found.tensor for found in self.statistics], "statistics of")
        _check_once(list(self.state.values()), "states for the input")
        self._check_scaling()

    def _check_scaling(self) -> None:
        for tensor in (*self.inputs, *self.outputs):
            for element in tensor.elements:
                if self.scaling == "inside" and (element.scale, element.offset) != (1.0, 0.0):
                    raise ContractError(
                        f"element '{element.name}' of '{tensor.name}' has a scale or offset, but scaling is \"inside\" the model; "
                        f'write scaling = "outside" if whoever runs the model has to apply it, else leave it out'
                    )

    def _check_statistics(self) -> None:
        """Where a sample's elements do not lie in a row, nobody could find them."""
        for found in self.statistics:
            parts = self.parts(found.tensor)
            if len(parts) > 1 and any(part.window > 1 for part in parts):
                raise ContractError(
                    f"there are statistics of '{found.tensor}', whose parts have a history each: its samples do not lie in a row, "
                    f"which is not understood; leave them out"
                )

    def parts(self, name: str) -> tuple[TensorContract, ...]:
        """What is said of the input or output of this name, in the order of its memory; empty: nothing."""
        return tuple(part for part in (*self.inputs, *self.outputs) if part.name == name)

    def elements(self, name: str) -> tuple[Element, ...]:
        """The elements of one sample of the input or output of this name, in the order of its memory; as statistics have them."""
        return tuple(element for part in self.parts(name) for element in part.elements)

    def statistics_of(self, name: str) -> Statistics | None:
        """Those of the input or output of this name."""
        return next((found for found in self.statistics if found.tensor == name), None)


def _check_parts(side: tuple[TensorContract, ...]) -> None:
    """Raise unless the parts of each tensor follow each other, and no element's name is there twice in it."""
    ends: dict[str, int] = {}
    for part in side:
        if part.start != (end := ends.get(part.name, 0)):
            raise ContractError(
                f"tensor '{part.name}' has a part that starts at {part.start}, where {end} elements lie before it; parts follow each "
                f"other without a gap, the first at 0"
            )
        ends[part.name] = end + part.size
    for name in ends:
        _check_once(
            [e.name for part in side if part.name == name for e in part.elements], f"elements of '{name}' called"
        )


def _check_once(names: list[str], what: str) -> None:
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ContractError(f"a contract has two {what} '{twice}'; there is one of each name")
