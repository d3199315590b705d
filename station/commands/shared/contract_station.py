"""A first station from a model's contract: tags named, typed and limited by it, a task at its rate, wired by name.

    contract   leg[0] .. leg[2]: rad, -3 .. 3       -->   leg = { count = 3, unit = "rad", low = -3, high = 3 }
               force: N, -5 .. 5                    -->   force = { direction = "out", unit = "N", low = -5, high = 5, safe = 0 }
               50 Hz                                -->   cycle = "20 ms", inputs = "contract", outputs = "contract"

Elements of one name whose limits are equal are one tag. Where a tag has to be called otherwise the task says which it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from station.commands.shared.first_station import (
    LARGEST_TAG,
    FirstTag,
    Start,
    free_name,
    model_table,
    moving_plant,
    quoted,
)
from station.terms.tasks import MIN_CYCLE_NS

if TYPE_CHECKING:
    from rt_engine import Model, TensorSpec
    from rt_engine.binding import Binding
    from rt_engine.contract import Contract, Element, TensorContract

_CYCLE_NS: Final = 10_000_000
_TYPES: Final = {"float16": "float32", "bfloat16": "float32", "bool": "uint16"}
_OF_REGISTERS: Final = {8: 1, 16: 1, 32: 2, 64: 4}


def start_by_contract(model: Model, contract: Contract, file: str, binding: Binding) -> Start:
    """A task for a model that says what its elements are; `model` is loaded with this binding, the contract's state in it.

    Raises:
        ValueError: a tensor that the contract does not describe has more elements than a tag; no task is as fast as the model.
    """
    tags: list[FirstTag] = []
    moves: dict[str, tuple[int, float, float]] = {}
    sides = []
    for specs, parts, is_output in ((model.inputs, contract.inputs, False), (model.outputs, contract.outputs, True)):
        side = _Side(specs, parts, is_output, tags)
        side.make_tags()
        sides.append(side.entries())
        moves |= side.moves
    cycle_ns = _CYCLE_NS if contract.rate_hz is None else round(1e9 / contract.rate_hz)
    if cycle_ns < MIN_CYCLE_NS:
        raise ValueError(
            f"it was trained for {contract.rate_hz:g} Hz; a task's cycle is at least {MIN_CYCLE_NS // 1000} us"
        )
    table = model_table(file, binding)
    return Start(tuple(tags), _task(contract), moving_plant(moves), table, sides[0], sides[1], cycle_ns)


def _task(contract: Contract) -> str:
    """What the task says beside its entries."""
    if contract.rate_hz is None:
        return 'model = "policy"    # its contract does not say for which rate it was trained'
    rate = f'model = "policy"    # trained for {contract.rate_hz:g} Hz'
    fast_ns = 1e9 / contract.rate_hz / 10
    if fast_ns < MIN_CYCLE_NS or fast_ns != round(fast_ns):
        return rate
    return f'{rate}; in a task with a tenth of the cycle: every = 10, and between = "linear" goes from one output to the next'


@dataclass(frozen=True, slots=True)
class _Group:
    """Elements `base[first]`, ... that are one tag; or one element."""

    base: str
    elements: tuple[Element, ...]
    is_array: bool


class _Side:
    """Tags of the inputs, or of the outputs."""

    def __init__(
        self, specs: Sequence[TensorSpec], parts: Sequence[TensorContract], is_output: bool, tags: list[FirstTag]
    ) -> None:
        self._specs, self._is_output, self._tags = specs, is_output, tags
        there = {spec.name: spec for spec in specs}
        self._parts = [part for part in parts if part.name in there]
        self._types = {spec.name: spec.dtype.name for spec in specs}
        self._named: dict[str, str] = {}
        self._also: list[str] = []
        self.moves: dict[str, tuple[int, float, float]] = {}

    def make_tags(self) -> None:
        """Put a tag for everything of this side at the end of the list."""
        for part in self._parts:
            for group in _groups(part):
                self._add(group, self._types[part.name])
        for spec in self._specs:
            if all(part.name != spec.name for part in self._parts):
                self._add_tensor(spec)

    def entries(self) -> str:
        """What the task says of this side: by name, with the tags that are called otherwise."""
        if not self._parts:
            return ""
        if not self._named and not self._also:
            return '"contract"'
        names = ", ".join(f"{quoted(element)} = {quoted(tag)}" for element, tag in self._named.items())
        also = f", also = [{', '.join(self._also)}]" if self._also else ""
        return f"{{ contract = {{ {names} }}{also} }}".replace("{  }", "{}")

    def _add(self, group: _Group, dtype: str) -> None:
        element, count = group.elements[0], len(group.elements)
        wanted = re.sub(r"[^A-Za-z0-9_.-]+", "_", group.base if group.is_array else element.name).strip("_")
        name = wanted if re.match(r"[A-Za-z_]", wanted) else f"_{wanted}"
        while any(tag.name == name for tag in self._tags):
            name += "_out" if self._is_output and not name.endswith("_out") else "_"
        if name != (group.base if group.is_array else wanted):
            self._named[group.base if group.is_array else element.name] = name
        self._tags.append(_tag(name, self._is_output, element, count, dtype))
        if not self._is_output:
            self.moves[name] = (count, *_wave(element))

    def _add_tensor(self, spec: TensorSpec) -> None:
        """One that the contract says nothing of: as without a contract."""
        count = math.prod(spec.shape)
        if count > LARGEST_TAG:
            raise ValueError(f"{spec} has {count} elements, a tag at most {LARGEST_TAG}, and the contract names none")
        name = free_name(spec.name, self._tags)
        self._tags.append(FirstTag(name, self._is_output, count=count))
        self._also.append(f"{{ tag = {quoted(name)}, tensor = {quoted(spec.name)} }}")
        if not self._is_output:
            self.moves[name] = (count, 0.0, 1.0)


def _groups(part: TensorContract) -> Iterator[_Group]:
    """Elements `base[0]`, `base[1]`, ... in a row, with equal units and limits, are one group."""
    at = 0
    while at < len(part.elements):
        first = part.elements[at]
        base = re.fullmatch(r"(.+)\[0\]", first.name)
        row = [first]
        while base is not None and at + len(row) < len(part.elements) and len(row) < LARGEST_TAG:
            following = part.elements[at + len(row)]
            if following.name != f"{base[1]}[{len(row)}]" or _alike(following) != _alike(first):
                break
            row.append(following)
        is_array = base is not None and len(row) > 1 and not _goes_on(part, base[1], len(row))
        kept = row if is_array else row[:1]
        yield _Group(base[1] if base is not None and is_array else first.name, tuple(kept), is_array)
        at += len(kept)


def _goes_on(part: TensorContract, base: str, count: int) -> bool:
    """Is there another element of this name, which the tag would not have?"""
    return any(element.name == f"{base}[{count}]" for element in part.elements)


def _alike(element: Element) -> tuple[object, ...]:
    return (element.unit, element.low, element.high, element.clip, element.scale, element.offset, element.max_rate)


def _tag(name: str, is_output: bool, element: Element, count: int, dtype: str) -> FirstTag:
    type_name = _TYPES.get(dtype, dtype)
    keys = [f'type = "{type_name}"'] if type_name != "float32" else []
    keys += [f"unit = {quoted(element.unit)}"] if element.unit else []
    if is_output or not element.clip:  # what is clipped is no bad value
        ends = (("low", element.low), ("high", element.high))
        keys += [f"{key} = {value:.10g}" for key, value in ends if math.isfinite(value)]
    if is_output:
        keys.append(f"safe = {min(max(0.0, element.low), element.high):.10g}")
    bits = int(re.sub(r"\D", "", type_name))
    return FirstTag(name, is_output, ", ".join(keys), count, _OF_REGISTERS[bits])


def _wave(element: Element) -> tuple[float, float]:
    """(middle, amplitude) of a sine within the element's limits."""
    low, high = element.low, element.high
    if math.isinf(low) and math.isinf(high):
        return 0.0, 1.0
    if math.isinf(low) or math.isinf(high):
        return (high - 1.5, 1.0) if math.isinf(low) else (low + 1.5, 1.0)
    return (low + high) / 2, 0.4 * (high - low)
