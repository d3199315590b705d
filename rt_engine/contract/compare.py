"""A contract against what a task connects to the model: every difference, with both values and what to write. Pure.

    Contract   element joint_pos[0] of x: rad, -3.1 .. 3.1, 50 Hz, window 5
                                                                           differences()  -->  Difference, ...
    Wiring     tag hip: deg, -180 .. 180, into x[0], every 1 ms, window 1

`Wiring` is what is needed of a task, whoever describes it: a station's file, or a slot that runs and is to take a new version. An
error is what makes the model compute with, or give, other numbers than it was trained for; a warning is what may be meant.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rt_engine.contract.terms import Contract, Element, TensorContract
from rt_engine.contract.units import Conversion, conversion, parse

Severity = Literal["error", "warning"]
Side = Literal["inputs", "outputs"]
SAME_SCALE, SAME_RATE = 1e-3, 1e-2
"""As close as a number that a person wrote is to the one that was meant: 0.01745; 60 Hz every 16.7 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One value of a tag and the element that it fills, or is filled by.

    Args:
        tag: its name; `unit`, `low`, `high` are the tag's, of an output what the task lets through to it.
        tensor, index: the element, counted flat; of a window that of its oldest sample.
        scale, offset: input: element = value * scale + offset; output: value = element * scale + offset.
        window, stride, spacing: as of `scheduler.Input`; stride in cycles of the task.
        max_rate: of an output, in the tag's unit per second.
        entry: number of the entry of the task's inputs, or outputs.
        element: for which element it was made; empty: for whatever lies there.
        by_name: the task takes scale and limits of the contract itself; what its entry says comes before them.
    """

    tag: str
    tensor: str
    index: int
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    scale: float = 1.0
    offset: float = 0.0
    window: int = 1
    stride: int = 1
    spacing: int = 1
    max_rate: float = math.inf
    entry: int = 0
    element: str = ""
    by_name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a task connects to its model, which it runs every `every` cycles of `period_ns`.

    `has_step`: between the model's outputs and the tags the user's own step computes; what it makes of them nobody knows, so
    outputs are not compared but for their names.
    """

    task: str
    period_ns: int
    every: int = 1
    inputs: tuple[Wire, ...] = ()
    outputs: tuple[Wire, ...] = ()
    state: tuple[tuple[str, str], ...] = ()
    """Outputs that are inputs of the next run."""
    has_step: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing in which a contract and a task disagree.

    Args:
        what: "name", "unit", "scaling", "range", "limit", "max_rate", "history", "rate" or "state".
        task: its name.
        contract, here: both values.
        write: what makes them agree.
        side, entry: where it is in the task; side None: in the task itself.
        tag, element: which; empty where it is about neither.
    """

    what: str
    severity: Severity
    task: str
    contract: str
    here: str
    write: str
    side: Side | None = None
    entry: int | None = None
    tag: str = ""
    element: str = ""

    @property
    def message(self) -> str:
        """In a sentence, without the task."""
        return f"{self.here}; {self.contract}: {self.write}"

    def __str__(self) -> str:
        return f"task {self.task}: {self.message}"


def differences(contract: Contract, wiring: Wiring) -> tuple[Difference, ...]:
    """Every difference between a contract and a task that runs, or is to run, its model.

    Values of one entry that differ in the same way are one difference.
    """
    found = [
        *_of_rate(contract, wiring),
        *_of_state(contract, wiring),
        *_of_wires(contract, wiring, contract.inputs, wiring.inputs, "inputs"),
        *_of_wires(contract, wiring, contract.outputs, wiring.outputs, "outputs"),
    ]
    return tuple(found)


def number(value: float) -> str:
    """As short as it is exact enough to be written into a file."""
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.15g}"


def span(low: float, high: float, unit: str) -> str:
    """`-1.5 .. 1.5 rad`."""
    return f"{low:.6g} .. {high:.6g} {unit}".rstrip()


def duration(ns: float) -> str:
    """As a station file writes it; rounded where it is not a whole number of nanoseconds."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if ns >= size:
            return f"{ns / size:.6g} {unit}"
    return f"{ns:.6g} ns"


def _of_rate(contract: Contract, wiring: Wiring) -> Iterator[Difference]:
    """The model runs as often as in training."""
    if contract.rate_hz is None:
        return
    runs_hz = 1e9 / (wiring.period_ns * wiring.every)
    if math.isclose(runs_hz, contract.rate_hz, rel_tol=SAME_RATE):
        return
    wanted_ns = 1e9 / contract.rate_hz
    cycles = round(wanted_ns / wiring.period_ns)
    fits = cycles > 1 and math.isclose(cycles * wiring.period_ns, wanted_ns, rel_tol=SAME_RATE)
    cycle = f'cycle = "{duration(wanted_ns)}"'
    every = f"every = {cycles} (it then runs in every {_th(cycles)} cycle), or {cycle}" if fits else cycle
    one = f"the task's {wiring.period_ns / 1e6:g} ms make {1e9 / wiring.period_ns:.6g} Hz"
    how = f" and every = {wiring.every} makes {runs_hz:.6g} Hz of it" if wiring.every > 1 else ""
    yield Difference(
        what="rate",
        severity="error",
        task=wiring.task,
        contract=f"the model was trained for {contract.rate_hz:.6g} Hz",
        here=f"{one}{how}",
        write=f"write {every if wiring.every == 1 or fits else cycle}",
    )


def _th(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'th')}"


def _of_state(contract: Contract, wiring: Wiring) -> Iterator[Difference]:
    """What is carried from run to run is what was in training."""
    missing = {out: into for out, into in contract.state.items() if (out, into) not in wiring.state}
    if missing:
        pairs = ", ".join(f'"{out}" = "{into}"' for out, into in contract.state.items())
        yield Difference(
            what="state",
            severity="error",
            task=wiring.task,
            contract=f"the contract says that the outputs {', '.join(missing)} are inputs of the next run",
            here="nothing carries them here",
            write=f"write state = {{ {pairs} }} for the model",
        )


def _of_wires(
    contract: Contract, wiring: Wiring, tensors: Sequence[TensorContract], wires: Sequence[Wire], side: Side
) -> Iterator[Difference]:
    found: list[Difference] = []
    for wire in wires:
        for tensor in tensors:
            if tensor.name == wire.tensor and (element := tensor.at(wire.index)) is not None:
                found += _About(contract, wiring, tensor, element, wire, side).differences()
    alike: dict[Difference, list[str]] = {}
    for difference in found:
        alike.setdefault(replace(difference, element=""), []).append(difference.element)
    yield from (_named(difference, elements) for difference, elements in alike.items())


_ELEMENT = "\0"
"""Stands for the element's name, until it is known which elements of an entry differ in the same way."""


def _named(difference: Difference, elements: list[str]) -> Difference:
    name = elements[0] if len(elements) == 1 else f"{elements[0]} to {elements[-1]}"
    texts = {key: getattr(difference, key).replace(_ELEMENT, name) for key in ("contract", "here", "write")}
    return replace(difference, element=name, **texts)


@dataclass(frozen=True, slots=True)
class _About:
    """One wire and the element that it lies on."""

    contract: Contract
    wiring: Wiring
    tensor: TensorContract
    element: Element
    wire: Wire
    side: Side

    def differences(self) -> Iterator[Difference]:
        wire, element = self.wire, self.element
        if wire.element and wire.element != element.name:
            yield self._named()
            return
        if self.side == "outputs" and self.wiring.has_step:
            return
        tag_is, element_is = f"tag {wire.tag} is in {wire.unit}", f"{_ELEMENT} of {self.tensor.name} in {element.unit}"
        to_contract, is_known = self._conversion()
        if not is_known and element.unit:
            yield self._unknown(tag_is, element_is)
        elif to_contract is None and element.unit:
            write = f"no factor makes {wire.unit} into {element.unit}; is it this tag that is meant?"
            yield self._difference("unit", element_is, tag_is, write)
            return
        known = to_contract or Conversion(1.0, 0.0)
        wrong_scale = list(self._scaling(known, is_known and bool(element.unit), tag_is, element_is))
        yield from wrong_scale
        if not wrong_scale:
            yield from self._ranges(known)
        if self.side == "inputs":
            yield from self._history()

    def _difference(self, what: str, contract: str, here: str, write: str, severity: Severity = "error") -> Difference:
        return Difference(
            what=what,
            severity=severity,
            task=self.wiring.task,
            contract=contract,
            here=here,
            write=write,
            side=self.side,
            entry=self.wire.entry,
            tag=self.wire.tag,
            element=self.element.name,
        )

    def _named(self) -> Difference:
        """Something else stands at its place."""
        wire, place = self.wire, f"element {self.wire.index} of {self.tensor.name}"
        return self._difference(
            "name",
            f"in this model that is {_ELEMENT}",
            f"tag {wire.tag} is wired to {place}, {wire.element}",
            "give the elements the old order and names; another one needs a restart with this model",
        )

    def _conversion(self) -> tuple[Conversion | None, bool]:
        """From the tag's unit to the contract's, None where there is none; and are both known?"""
        one, other = self.wire.unit, self.element.unit
        if one == other:
            return Conversion(1.0, 0.0), True
        return conversion(one, other), parse(one) is not None and parse(other) is not None

    def _unknown(self, tag_is: str, element_is: str) -> Difference:
        if not self.wire.unit:
            unit = f'unit = "{self.element.unit}" if it is'
            return self._difference("unit", element_is, f"tag {self.wire.tag} has no unit", f"write {unit}", "warning")
        unknown = next(unit for unit in (self.wire.unit, self.element.unit) if parse(unit) is None)
        write = f'"{unknown}" is no unit that is known here, so whether they agree is not; write both in the same way'
        return self._difference("unit", element_is, tag_is, write, "warning")

    def _wanted(self, known: Conversion) -> Conversion:
        """Scale and offset by which the tag's value is the element, or the element the tag's value."""
        element = self.element
        if self.side == "inputs":
            return Conversion(known.scale * element.scale, known.offset * element.scale + element.offset)
        back = Conversion(1.0 / known.scale, -known.offset / known.scale)
        return Conversion(element.scale * back.scale, element.offset * back.scale + back.offset)

    def _scaling(self, known: Conversion, is_sure: bool, tag_is: str, element_is: str) -> Iterator[Difference]:
        wire, wanted = self.wire, self._wanted(known)
        if _close(wire.scale, wanted.scale) and _close(wire.offset, wanted.offset, abs(wanted.scale)):
            return
        if is_sure and not known.is_none:
            own = Conversion(wire.scale, wire.offset)
            got = "" if own == Conversion(1.0, 0.0) else f" (and its entry has {_keys(own)})"
            to_write = known if self.wire.by_name and self.side == "inputs" else wanted
            if self.wire.by_name and self.side == "outputs":
                to_write = Conversion(1.0 / known.scale, -known.offset / known.scale)
            write = f"write {self._entry(to_write)}, or give the tag the unit {self.element.unit}"
            yield self._difference("unit", element_is, f"{tag_is}{got}", write)
        elif self.contract.scaling == "outside" or is_sure:
            yield self._difference(
                "scaling",
                f"by the contract {_ELEMENT} of {self.tensor.name} needs {_keys(wanted)}",
                f"the entry of tag {wire.tag} has {_keys(Conversion(wire.scale, wire.offset))}",
                f"write {self._entry(wanted)}",
                "error" if is_sure else "warning",
            )

    def _entry(self, scaling: Conversion) -> str:
        """Where scale and offset are to be written: in the table of names where the task takes them from the contract."""
        name, number, _ = self.element.name.partition("[")
        if not self.wire.by_name or (number and name != self.wire.tag):
            return f"{_keys(scaling)} in its entry of {self.side}"
        return f'{self.side} = {{ contract = {{ "{name}" = {{ tag = "{self.wire.tag}", {_keys(scaling)} }} }} }}'

    def _ranges(self, known: Conversion) -> Iterator[Difference]:
        """The tag's limits, in the contract's unit, against the element's."""
        wire, element = self.wire, self.element
        low, high = (value * known.scale + known.offset for value in (wire.low, wire.high))
        beyond = SAME_SCALE * max([abs(v) for v in (element.low, element.high) if math.isfinite(v)], default=0.0)
        least, most = (
            (max(a, b) if is_low else min(a, b)) for a, b, is_low in ((low, element.low, 1), (high, element.high, 0))
        )
        ends = [(value - known.offset) / known.scale for value in (least, most)]
        here = f"tag {wire.tag} has {span(wire.low, wire.high, wire.unit)}"
        if math.isinf(wire.low) and math.isinf(wire.high):
            here = f"tag {wire.tag} has no limits"
        limits = ", ".join(f"{k} = {number(v)}" for k, v in zip(("low", "high"), ends, strict=True) if math.isfinite(v))
        does = "was trained for" if self.side == "inputs" else "may give"
        said = f"{_ELEMENT} of {self.tensor.name} {does} {span(element.low, element.high, element.unit)}"
        if least > most:
            write = "none of the values of the one is one of the other; look at scale, unit, and which tag it is"
            yield self._difference("range", said, here, write)
        elif (
            self.side == "inputs" and not element.clip and (element.low - low > beyond or high - element.high > beyond)
        ):
            write = f"write {limits} for the tag; what is outside is then a bad input"
            yield self._difference("range", said, here, write, "warning")
        elif self.side == "outputs" and (element.low - low > beyond or high - element.high > beyond):
            yield self._difference("limit", said, here, f"write {limits} in its entry of outputs", "warning")
        if self.side == "outputs":
            yield from self._max_rate(known)

    def _max_rate(self, known: Conversion) -> Iterator[Difference]:
        wire, element = self.wire, self.element
        most = element.max_rate / abs(known.scale)
        if wire.max_rate > most * (1 + SAME_SCALE):
            has = "any rate" if math.isinf(wire.max_rate) else f"{wire.max_rate:.6g} {wire.unit}/s".replace(" /", " 1/")
            yield self._difference(
                "max_rate",
                f"{_ELEMENT} of {self.tensor.name} changes by at most {element.max_rate:.6g} {element.unit}/s".replace(
                    " /", " 1/"
                ),
                f"tag {wire.tag} may change at {has}",
                f"write max_rate = {number(float(f'{most:.12g}'))} in its entry of outputs",
                "warning",
            )

    def _history(self) -> Iterator[Difference]:
        """The window has as many samples as in training, as far apart in time."""
        wire, tensor, wiring = self.wire, self.tensor, self.wiring
        steps_ns = None if self.contract.rate_hz is None else 1e9 / self.contract.rate_hz * tensor.stride
        apart = wire.stride * wiring.period_ns
        wanted = wiring.every * tensor.stride if steps_ns is None else max(1, round(steps_ns / wiring.period_ns))
        close = wire.stride == wanted if steps_ns is None else math.isclose(apart, steps_ns, rel_tol=SAME_RATE)
        row = len(tensor.elements)
        if wire.window == tensor.window and (wire.window == 1 or (close and wire.spacing == row)):
            return
        each = f"{tensor.stride} steps apart" if steps_ns is None else f"one each {duration(steps_ns)}"
        many = f"{tensor.window} samples, {each}" if tensor.window > 1 else "one sample"
        has = f"{wire.window} samples, one each {duration(apart)}" if wire.window > 1 else "only its newest value"
        in_row = f", spacing = {row}" if row > 1 and tensor.window > 1 else ""
        yield self._difference(
            "history",
            f"{_ELEMENT} of {tensor.name} has {many}",
            f"tag {wire.tag} gives {has}",
            f"write window = {tensor.window}, stride = {wanted}{in_row}"
            if tensor.window > 1
            else "leave out its window",
            "warning" if wire.window == 1 else "error",
        )


def _close(one: float, other: float, size: float = 0.0) -> bool:
    return math.isclose(one, other, rel_tol=SAME_SCALE, abs_tol=SAME_SCALE * size)


def _keys(wanted: Conversion) -> str:
    """`scale = 0.5, offset = 1`, as in an entry."""
    offset = f", offset = {number(wanted.offset)}" if wanted.offset else ""
    return f"scale = {number(wanted.scale)}{offset}"
