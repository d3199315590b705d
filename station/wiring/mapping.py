"""Which element of which tensor belongs to which tag: `inputs` and `outputs` laid over a model's signature. Pure.

Tags fill the tensors in the order of the file, each from the first free element on, unless the entry names a place:

    inputs = ["a", "b", { tag = "c", window = 3 }]      model input x: float32[1, 5]

    element   0   1   2     3     4
    x         a   b   c-2   c-1   c        c-2 is the sample two cycles ago
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rt_engine import TensorSpec
from station.terms.findings import Finding, Step, unknown
from station.terms.tasks import InputTable, OutputTable

Counts = Mapping[str, int]
"""Tag -> how many values it has."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry lies: `tensor`, first element `index`, and between two samples of a window `spacing` elements."""

    entry: int
    tensor: str
    index: int
    spacing: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """The places of all entries without a fault, and the faults."""

    places: tuple[Place, ...]
    findings: tuple[Finding, ...]


def size(spec: TensorSpec) -> int:
    """Number of elements."""
    return math.prod(spec.shape)


def map_inputs(task: str, entries: Sequence[InputTable], counts: Counts, specs: Sequence[TensorSpec]) -> Mapped:
    """Places of a task's inputs. Every element of every input tensor must be filled, by one tag."""
    path: tuple[Step, ...] = ("tasks", task, "inputs")
    filling = _Filling("input", specs)
    for number, entry in enumerate(entries):
        count = counts.get(entry.tag)
        if count is not None and not entry.step_only:
            count = entry.values(count)
            filling.place((*path, number), entry, entry.window, count, entry.spacing or count)
            filling.findings += _rows((*path, number), entry, count, filling, specs)
    if all(entry.tag in counts for entry in entries) and not any(f.severity == "error" for f in filling.findings):
        filling.findings += [Finding(path, message) for message in filling.gaps()]
    return Mapped(tuple(filling.places), tuple(filling.findings))


def _rows(
    path: tuple[Step, ...], entry: InputTable, count: int, filling: _Filling, specs: Sequence[TensorSpec]
) -> Iterator[Finding]:
    """A window that lies in a row, where the tensor has a row for each sample: the samples of others belong between."""
    place = filling.places[-1] if filling.places and filling.places[-1].entry == path[-1] else None
    spec = next((spec for spec in specs if place is not None and spec.name == place.tensor), None)
    if place is None or spec is None or entry.spacing is not None or entry.window < 2 or len(spec.shape) < 2:
        return
    samples, features = spec.shape[-2:]
    if samples == entry.window and features > count and features != entry.window:
        message = (
            f"the {entry.window} samples lie in a row, but {spec} has a row of {features} values for each of {samples} "
            f"samples; write spacing = {features}, and index = 0 to {features - 1} for the first, second, ... tag"
        )
        yield Finding(path, message, "warning")


def map_outputs(task: str, entries: Sequence[OutputTable], counts: Counts, specs: Sequence[TensorSpec]) -> Mapped:
    """Places of a task's outputs. An element may drive several tags, or none."""
    filling = _Filling("output", specs, shared=True)
    for number, entry in enumerate(entries):
        count = counts.get(entry.tag)
        if count is not None and not entry.step_only:
            filling.place(("tasks", task, "outputs", number), entry, 1, entry.values(count), entry.values(count))
    return Mapped(tuple(filling.places), tuple(filling.findings))


class _Filling:
    """Tensors while they are filled: who has which element."""

    def __init__(self, kind: str, specs: Sequence[TensorSpec], shared: bool = False) -> None:
        self._kind, self._shared = kind, shared
        self._specs = {spec.name: spec for spec in specs}
        self._owners: dict[str, dict[int, str]] = {spec.name: {} for spec in specs}
        self._free = dict.fromkeys(self._specs, 0)
        self.places: list[Place] = []
        self.findings: list[Finding] = []

    def place(
        self, path: tuple[Step, ...], entry: InputTable | OutputTable, window: int, count: int, spacing: int
    ) -> None:
        """Give the entry its elements, or note why it cannot have them."""
        named = entry.tensor or (next(iter(self._specs), None) if entry.index is not None else None)
        tensor = named or self._first_with_room()
        if tensor is None:
            sizes = ", ".join(map(str, self._specs.values())) or "none"
            return self._fault(path, f"no element is left for tag {entry.tag}; the model's {self._kind}s: {sizes}")
        if tensor not in self._specs:
            return self._fault(path, unknown(f"{self._kind} tensor", tensor, self._specs))
        first = entry.index if entry.index is not None else self._free[tensor]
        last = first + (window - 1) * spacing + count - 1
        owners, spec = self._owners[tensor], self._specs[tensor]
        if last >= size(spec):
            span = f"element {first}" if last == first else f"elements {first} to {last}"
            return self._fault(path, f"tag {entry.tag} needs {span} of {spec}, which has {size(spec)}")
        elements = [first + sample * spacing + cell for sample in range(window) for cell in range(count)]
        taken = [element for element in elements if element in owners]
        if taken and not self._shared:
            return self._fault(path, f"element {taken[0]} of {spec} is already filled by tag {owners[taken[0]]}")
        owners.update(dict.fromkeys(elements, entry.tag))
        self._free[tensor] = max(self._free[tensor], last + 1)
        self.places.append(Place(int(path[-1]), tensor, first, spacing))

    def gaps(self) -> list[str]:
        """What is left unfilled, in words."""
        messages = []
        for name, spec in self._specs.items():
            missing = [element for element in range(size(spec)) if element not in self._owners[name]]
            if missing:
                filled = size(spec) - len(missing)
                messages.append(
                    f"{spec} has {size(spec)} elements, {filled} are filled; nothing fills element {missing[0]}"
                )
        return messages

    def _first_with_room(self) -> str | None:
        return next((name for name, spec in self._specs.items() if self._free[name] < size(spec)), None)

    def _fault(self, path: tuple[Step, ...], message: str) -> None:
        self.findings.append(Finding(path, message))
