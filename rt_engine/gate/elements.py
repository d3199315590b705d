"""What a contract says of the elements of a tensor, as the model sees them: names, and how far each may go."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_engine.contract.terms import Contract, Element, Statistics, TensorContract
from rt_engine.program.program import TensorSpec

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Meaning:
    """A tensor with what is known of it.

    Args:
        spec: name, shape, type.
        is_input: else an output.
        parts: what its elements mean; empty: nothing is said of it.
        statistics: of the data that it was trained with, one row for a sample; None: not known.
    """

    spec: TensorSpec
    is_input: bool
    parts: tuple[TensorContract, ...] = ()
    statistics: Statistics | None = None

    @property
    def size(self) -> int:
        """Elements of the whole tensor."""
        return int(np.prod(self.spec.shape, dtype=np.int64))

    @property
    def elements(self) -> tuple[Element, ...]:
        """Those of one sample."""
        return tuple(element for part in self.parts for element in part.elements)

    def rows(self) -> NDArray[np.int64]:
        """For each element of the tensor, in flat order, which one of a sample it is; of a tensor without parts, itself."""
        if not self.parts:
            return np.arange(self.size)
        first = np.cumsum([0, *(len(part.elements) for part in self.parts)])
        rows = [
            np.tile(np.arange(len(part.elements)), part.window) + at
            for part, at in zip(self.parts, first, strict=False)
        ]
        return np.concatenate(rows)

    def limits(self) -> tuple[Floats, Floats]:
        """(least, greatest) of each element of a sample as the model sees it; infinite where nothing is said."""
        if not self.parts:
            return np.full(self.size, -np.inf), np.full(self.size, np.inf)
        ends = np.array([_ends(element, self.is_input) for element in self.elements])
        return ends.min(axis=1), ends.max(axis=1)

    def element(self, flat: int) -> Element | None:
        """What is said of an element of the whole tensor, counted in flat order."""
        return next((known for part in self.parts if (known := part.at(flat)) is not None), None)

    def place(self, flat: int) -> str:
        """An element in words: `x[0, 2] 'axis.angle'`."""
        index = ", ".join(str(int(i)) for i in np.unravel_index(flat, self.spec.shape)) if self.spec.shape else ""
        known = self.element(flat)
        return f"{self.spec.name}[{index}]" + (f" '{known.name}'" if known is not None else "")

    def shown(self, flat: int, value: float) -> str:
        """An element with its value, in the unit of the contract."""
        known = self.element(flat)
        if known is None:
            return f"{self.place(flat)} = {value:.6g}"
        told = (value - known.offset) / known.scale if self.is_input else value * known.scale + known.offset
        return f"{self.place(flat)} = {told:.6g}" + (f" {known.unit}" if known.unit else "")


def meanings(specs: tuple[TensorSpec, ...], is_input: bool, contract: Contract | None) -> list[Meaning]:
    """All inputs, or all outputs, with what is known of them."""
    if contract is None:
        return [Meaning(spec, is_input) for spec in specs]
    side = contract.inputs if is_input else contract.outputs
    return [
        Meaning(spec, is_input, tuple(p for p in side if p.name == spec.name), contract.statistics_of(spec.name))
        for spec in specs
    ]


def _ends(element: Element, is_input: bool) -> tuple[float, float]:
    """The element at both ends of its range."""
    if is_input:
        return element.low * element.scale + element.offset, element.high * element.scale + element.offset
    if element.clip:  # whoever runs the model clips it
        return -np.inf, np.inf
    return (element.low - element.offset) / element.scale, (element.high - element.offset) / element.scale
