"""`inputs = "contract"`: the entries of a task that its model's contract names. Before the values of a file are checked.

    inputs = "contract"                                              each element has a tag of its name
    inputs = { contract = { "leg[0]" = "hip", mode = { tag = "m", scale = 0.1 } }, also = ["wanted"] }

    element      tags that are looked for, in this order
    leg[3]       what the table gives "leg[3]"; value 3 of what it gives "leg"; leg_3; leg.3; value 3 of the tag leg
    left hip     what the table gives it; left_hip

An entry says where it lies in the tensor, its window, scale and limits, as if somebody had written it; nothing after this stage knows
how it came. What has no tag is named with the tags that are nearest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from station.terms.findings import Finding, nearest_name, unknown

Side = Literal["inputs", "outputs"]
SIDES: Final[tuple[Side, ...]] = ("inputs", "outputs")
WORD: Final = "contract"
ByName = Mapping[tuple[str, str], int]
"""(task, "inputs" or "outputs") -> how many of its entries were made from names; they come first."""
_STAND_IN: Final = ["?"]
_MOST_VALUES = 2000
_NUMBERS: Final = {"scale", "offset", "low", "high", "max_rate"}
_PLACES: Final = {"tensor", "index", "window", "stride", "spacing", "step_only"}
"""What the contract says of an entry."""
_MOST_NAMED = 6
_FORM: Final = 'write "contract", or { contract = { "ELEMENT" = "TAG" }, also = ["TAG"] } where names differ'


@dataclass(frozen=True, slots=True)
class Expanded:
    """The file's tables with every list of entries written out."""

    data: dict[str, Any]
    by_name: ByName = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def expand(data: dict[str, Any], folder: Path, known: Mapping[str, Any] | None = None) -> Expanded:
    """The tables of a file in which tasks are wired by contract, with their entries; others are as they were.

    Args:
        data: as TOML gives them; anything may be wrong with them, which is said later.
        folder: of the file; models are looked for in it.
        known: name of a model -> its contract, of those that are not read from their files.
    """
    tasks = data.get("tasks")
    if not isinstance(tasks, dict):
        return Expanded(data)
    by_name: dict[tuple[str, str], int] = {}
    findings: list[Finding] = []
    contracts = _Contracts(data, folder, known or {})
    new: dict[str, Any] = {}
    for name, task in tasks.items():
        new[name] = task
        for side in SIDES:
            if not isinstance(task, dict) or not _is_by_contract(task.get(side)):
                continue
            wiring = _Wiring(data, name, task, side, contracts)
            entries = wiring.entries()
            is_wrong = bool(wiring.findings) or side == "inputs"
            new[name] = {**new[name], side: [*entries, *wiring.also] or (_STAND_IN if is_wrong else [])}
            by_name[name, side] = len(entries)
            findings += wiring.findings
    return Expanded({**data, "tasks": new}, by_name, tuple(findings)) if by_name else Expanded(data)


def _is_by_contract(value: object) -> bool:
    return value == WORD or isinstance(value, dict)


class _Contracts:
    """The contract of each model of the file, read once."""

    def __init__(self, data: dict[str, Any], folder: Path, known: Mapping[str, Any]) -> None:
        self._tables, self._folder, self._known = _table(data, "models"), folder, known
        self._read: dict[str, Any] = {}

    def of(self, model: object) -> tuple[Any, str]:
        """(contract, why there is none)."""
        if isinstance(model, str) and model in self._known:
            return self._known[model], ""
        table = self._tables.get(model) if isinstance(model, str) else None
        if not isinstance(table, dict) or not isinstance(table.get("file"), str):
            return None, "its model is none of [models]" if model is not None else "the task has no model"
        file = table["file"]
        if file not in self._read:
            self._read[file] = self._of_file(file)
        found: tuple[Any, str] = self._read[file]
        return found

    def states(self, model: object) -> set[str]:
        """Names of the tensors that the file makes states of a model, at both ends."""
        state = _table(_table(self._tables, model), "state")
        return {name for pair in state.items() for name in pair if isinstance(name, str)}

    def _of_file(self, file: str) -> tuple[Any, str]:
        from rt_engine.contract import read
        from rt_engine.errors import EngineError

        try:
            contract = read(self._folder / file)
        except (EngineError, OSError, ValueError) as error:
            return None, str(error)
        why = f"{file} has no contract; `rt-engine contract {file} --set FILE` adds one, or list the tags here"
        return contract, "" if contract is not None else why


def _table(data: Any, key: object) -> dict[str, Any]:
    value = data.get(key) if isinstance(data, dict) and isinstance(key, str) else None
    return value if isinstance(value, dict) else {}


class _Wiring:
    """One list of entries while it is made; `findings` say what has no tag."""

    def __init__(self, data: Any, name: str, task: dict[str, Any], side: Side, contracts: _Contracts) -> None:
        self._path, self._side, self._task = ("tasks", name, side), side, task
        self._direction = "in" if side == "inputs" else "out"
        self._tags = {
            tag: table
            for tag, table in _table(data, "tags").items()
            if isinstance(table, dict) and table.get("direction", "in") == self._direction
        }
        self._contracts = contracts
        self._names, self.also = self._written(task[side])
        self.findings: list[Finding] = []

    def _written(self, value: object) -> tuple[dict[str, Any], list[Any]]:
        if not isinstance(value, dict):
            return {}, []
        names, also = value.get(WORD, {}), value.get("also", [])
        return names if isinstance(names, dict) else {}, also if isinstance(also, list) else []

    def entries(self) -> list[dict[str, Any]]:
        """One for each tag that fills, or takes, elements in a row; none, and a finding, where there is no contract."""
        if why := self._form_fault():
            self._fault(why)
            return []
        contract, why = self._contracts.of(self._task.get("model"))
        if contract is None:
            self._fault(f"nothing is known of the elements: {why}")
            return []
        tensors = contract.inputs if self._side == "inputs" else contract.outputs
        carried = self._contracts.states(self._task.get("model")) | {*contract.state, *contract.state.values()}
        tensors = [tensor for tensor in tensors if tensor.name not in carried]
        if not tensors:
            self._fault(f"the contract describes none of the model's {self._side}; list the tags here")
        self._check_names([element.name for tensor in tensors for element in tensor.elements])
        return [entry for tensor in tensors for entry in self._of_tensor(tensor, contract.scaling == "outside")]

    def _form_fault(self) -> str:
        value = self._task[self._side]
        if not isinstance(value, dict):
            return ""
        wrong = next((key for key in value if key not in (WORD, "also")), None)
        if wrong is not None:
            return f"{unknown('key', wrong, (WORD, 'also'))}; {_FORM}"
        good = isinstance(value.get(WORD), dict) and isinstance(value.get("also", []), list)
        if not good or not all(isinstance(one, str | dict) for one in value[WORD].values()):
            return _FORM
        return ""

    def _fault(self, message: str) -> None:
        if (finding := Finding(self._path, message)) not in self.findings:
            self.findings.append(finding)

    def _check_names(self, elements: Sequence[str]) -> None:
        known = {*elements, *(base for base, _ in map(_numbered, elements) if base is not None)}
        for name in self._names:
            if name not in known:
                self._fault(unknown("element", name, known))

    def _of_tensor(self, tensor: Any, is_outside: bool) -> Iterator[dict[str, Any]]:
        """Values of one tag that lie in a row are one entry."""
        found = [self._found(element.name) for element in tensor.elements]
        self._name_missing(tensor, [e.name for e, one in zip(tensor.elements, found, strict=True) if one is None])
        at = 0
        while at < len(found):
            one = found[at]
            if one is None or one.tag == "":
                at += 1
                continue
            count = self._count(one.tag)
            if count > 1 and one.cell == 0 and self._is_whole(tensor, found, at, count):
                yield self._entry(tensor, at, one, None, is_outside)
                at += count
            else:
                yield self._entry(tensor, at, one, one.cell if count > 1 else None, is_outside)
                at += 1

    def _is_whole(self, tensor: Any, found: Sequence[_Found | None], at: int, count: int) -> bool:
        """Do all values of a tag lie in a row from here on, and are moved alike?"""
        first = found[at]
        if first is None or found[at : at + count] != [_Found(first.tag, cell, first.written) for cell in range(count)]:
            return False
        elements = tensor.elements[at : at + count]
        return all(_without_name(element) == _without_name(elements[0]) for element in elements)

    def _entry(self, tensor: Any, at: int, one: _Found, cell: int | None, is_outside: bool) -> dict[str, Any]:
        element = tensor.elements[at]
        of_model = (element.scale, element.offset) if is_outside else (1.0, 0.0)
        wrong = {key: value for key, value in one.written.items() if key in _NUMBERS and not _is_number(value)}
        entry = {key: value for key, value in one.written.items() if key not in ("scale", "offset")}
        scale, offset = (_number(one.written.get(key), default) for key, default in (("scale", 1.0), ("offset", 0.0)))
        entry |= {"tag": one.tag, "tensor": tensor.name, "index": tensor.start + at}
        if cell is not None:
            entry["cell"] = cell
        if self._side == "inputs":
            entry |= {"scale": of_model[0] * scale, "offset": of_model[0] * offset + of_model[1]}
            if tensor.window > 1:
                entry |= {"window": tensor.window, "stride": tensor.stride * self._every()}
                entry |= {"spacing": len(tensor.elements)}
            if element.clip:
                entry |= _inside(element, scale, offset, one.written)
            return entry | wrong
        entry |= {"scale": of_model[0] * scale, "offset": of_model[1] * scale + offset}
        if self._task.get("step") is not None:  # what it makes of the model's numbers has limits of its own
            return entry | wrong
        return entry | self._limits(element, one, scale, offset) | wrong

    def _limits(self, element: Any, one: _Found, scale: float, offset: float) -> dict[str, float]:
        """What the contract, the tag and the entry all allow, in the tag's unit."""
        tag = self._tags[one.tag]
        low, high = sorted((element.low * scale + offset, element.high * scale + offset))
        limits = {"low": low, "high": high, "max_rate": element.max_rate * abs(scale)}
        for key, narrower in (("low", max), ("high", min), ("max_rate", min)):
            no_limit = -math.inf if key == "low" else math.inf
            of_tag = _number(tag.get(key), no_limit) if key != "max_rate" else no_limit
            limits[key] = narrower(limits[key], of_tag, _number(one.written.get(key), no_limit))
        return {key: value for key, value in limits.items() if math.isfinite(value)}

    def _every(self) -> int:
        every = self._task.get("every", 1)
        return every if type(every) is int and every > 0 else 1

    def _count(self, tag: str) -> int:
        count = self._tags[tag].get("count", 1)
        return count if type(count) is int and 0 < count <= _MOST_VALUES else 1

    def _found(self, element: str) -> _Found | None:
        """The tag of an element, and which of its values; a tag "" where the file says that it has none."""
        base, number = _numbered(element)
        if element in self._names:
            return self._given(self._names[element], 0)
        if base is not None and base in self._names:
            return self._given(self._names[base], number)
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", element).strip("_")
        for name in (element, plain, f"{base}.{number}"):
            if name in self._tags:
                return _Found(name, 0, {})
        if base is not None and base in self._tags and number < self._count(base):
            return _Found(base, number, {})
        return None

    def _given(self, value: Any, cell: int) -> _Found | None:
        """What the file says; a tag that it does not have is an entry of its own, of which the checks say so."""
        written = dict(value) if isinstance(value, dict) else {"tag": value}
        tag = written.pop("tag", None)
        if tag == "" and self._side == "outputs":
            return _Found("", 0, {})
        if not isinstance(tag, str) or tag not in self._tags:
            self._fault(unknown(f"{self._direction}put tag", str(tag), self._tags))
            return _Found("", 0, {})
        if taken := sorted(set(written) & _PLACES):
            self._fault(f"{taken[0]} of tag {tag} is the contract's; leave it out")
            return _Found("", 0, {})
        own = written.pop("cell", None)
        cell += own if type(own) is int else 0
        if not 0 <= cell < self._count(tag):
            self._fault(f"tag {tag} has {self._count(tag)} values; value {cell} is wanted, counted from 0")
            return _Found("", 0, {})
        return _Found(tag, cell, written)

    def _name_missing(self, tensor: Any, missing: Sequence[str]) -> None:
        """Elements in a row of one name are named together."""
        groups: dict[str, list[str]] = {}
        for name in missing:
            base, _ = _numbered(name)
            groups.setdefault(name if base is None else base, []).append(name)
        for base, names in groups.items():
            which = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
            self._fault(f"no {self._direction}put tag for {which} of {tensor.name}: {self._nearest(base, names)}")

    def _nearest(self, base: str, names: Sequence[str]) -> str:
        if base in self._tags and _numbered(names[0])[0] == base:
            last = max(_numbered(name)[1] for name in names)
            return f"tag {base} has {self._count(base)} of {last + 1} values; write count = {last + 1}"
        left, near = list(self._tags), list[str]()
        while left and len(near) < _MOST_NAMED // 2 and (tag := nearest_name(base, left)) is not None:
            near.append(tag)
            left.remove(tag)
        shown = ", ".join(sorted(self._tags)[:_MOST_NAMED]) or "none"
        hint = f"nearest: {', '.join(near)}" if near else f"there are {shown}"
        end = f'; or say which: {self._side} = {{ contract = {{ "{names[0]}" = "TAG" }} }}'
        return hint + end + (' ("": nobody takes it)' if self._side == "outputs" else "")


@dataclass(frozen=True, slots=True)
class _Found:
    """Value `cell` of a tag, and what the file wrote beside it."""

    tag: str
    cell: int
    written: dict[str, Any]


def _numbered(element: str) -> tuple[str | None, int]:
    """`leg[3]` -> ("leg", 3); (None, 0) of others."""
    found = re.fullmatch(r"(.+)\[(\d{1,6})\]", element)
    return (found[1], int(found[2])) if found else (None, 0)


def _without_name(element: Any) -> tuple[float, ...]:
    return (element.scale, element.offset, element.low, element.high, element.clip, element.max_rate)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < 1 << 1023)


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and _is_number(value) else default


def _inside(element: Any, scale: float, offset: float, written: Mapping[str, object]) -> dict[str, float]:
    """An input that training clipped is clipped here, in the tag's unit: value * scale + offset is the element's value."""
    if scale == 0:
        return {}
    low, high = sorted(((element.low - offset) / scale, (element.high - offset) / scale))
    ends = {"low": max(low, _number(written.get("low"), low)), "high": min(high, _number(written.get("high"), high))}
    return {key: end for key, end in ends.items() if math.isfinite(end)}
