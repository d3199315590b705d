"""What an element of a tensor is called by people, and in which unit it speaks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from rt_engine.contract.terms import Contract
from rt_engine.program.program import TensorSpec


@dataclass(frozen=True, slots=True)
class Label:
    """One element. Units and directions are those of a station file and of a contract.

    Args:
        name: of the tag.
        unit: engineering unit; empty: none is known.
        scale, offset: of an input `element = value * scale + offset`, of an output `value = element * scale + offset`.
        age: of an input with a window: how many samples before the newest; of an output: samples ahead.
    """

    name: str
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0
    age: int = 0

    def __str__(self) -> str:
        return self.name if not self.age else f"{self.name} at t{-self.age:+d}"


Labels = Mapping[str, Mapping[int, Label]]
"""Tensor -> flat index -> what it is; elements that are not there are called by their tensor and index."""


def labels_of(contract: Contract | None) -> dict[str, dict[int, Label]]:
    """What a contract says of the elements of a model's tensors."""
    found: dict[str, dict[int, Label]] = {}
    if contract is None:
        return found
    for side, ahead in ((contract.inputs, False), (contract.outputs, True)):
        for part in side:
            many = len(part.elements)
            for at in range(part.size):
                sample, element = at // many, part.elements[at % many]
                age = (-sample if ahead else part.window - 1 - sample) * part.stride
                found.setdefault(part.name, {})[part.start + at] = Label(
                    element.name, element.unit, element.scale, element.offset, age
                )
    return found


def label_at(labels: Labels, spec: TensorSpec, index: int) -> Label:
    """The label of an element; where there is none, its tensor and its place there: `x[0, 3]`."""
    known = labels.get(spec.name, {}).get(index)
    if known is not None:
        return known
    if prod(spec.shape) == 1:
        return Label(spec.name)
    return Label(f"{spec.name}[{', '.join(map(str, places(spec.shape, index)))}]")


def places(shape: Sequence[int], index: int) -> list[int]:
    """The place of a flat index in an array of this shape, without the axes that have one place only."""
    found = []
    for size in reversed(shape):
        index, at = divmod(index, size)
        if size > 1:
            found.append(at)
    return found[::-1]
