"""The contract of a new version: is there one, does it fit its model, does it mean what the running one means?"""

import math
from collections.abc import Iterator
from dataclasses import replace

from rt_engine.contract.compare import differences
from rt_engine.contract.file import of_program
from rt_engine.contract.terms import Contract, Element, TensorContract
from rt_engine.contract.units import conversion
from rt_engine.errors import ContractError
from rt_engine.gate.job import GateJob
from rt_engine.gate.report import Check, Outcome
from rt_engine.model import Model

CONTRACT, MEANING, STATION = "contract", "same meaning", "station"
SHOWN = 5
UNKNOWN = "elements_of_which_less_is_known"
"""A figure of `MEANING`: so many elements of which the running model's contract says what that of the new one does not."""


def check_contract(model: Model, job: GateJob) -> tuple[Check, Contract | None]:
    """The contract itself; None: there is none, or it is broken."""
    try:
        contract = model.contract
    except ContractError as error:
        return Check(CONTRACT, Outcome.FAILED, str(error)), None
    if contract is None:
        outcome = Outcome.FAILED if job.needs_contract else Outcome.SKIPPED
        help = "; `rt-engine contract MODEL --set contract.toml` adds one" if job.needs_contract else ""
        return Check(CONTRACT, outcome, f"the file has none: what its elements mean is not known{help}"), None
    described = sum(len(tensor.elements) for tensor in (*contract.inputs, *contract.outputs))
    told = f"fits the model: {described} elements, {len(contract.vectors)} test vectors"
    rate = "" if contract.rate_hz is None else f", trained for {contract.rate_hz:g} Hz"
    return Check(CONTRACT, Outcome.PASSED, told + rate), contract


def check_meaning(contract: Contract | None, running: Contract | None) -> Check:
    """Does each element mean what it means to the running model: the same name and unit at the same place, scale, history, rate?"""
    if running is None:
        return Check(MEANING, Outcome.SKIPPED, "the running model has no contract to compare")
    if contract is None:
        why = (
            "it has no contract, the running model has one: nothing is known of order, units and limits of its elements"
        )
        return Check(MEANING, Outcome.SKIPPED, why, {UNKNOWN: float(sum(1 for _ in _described(running)))})
    if wrong := list(_differences(running, contract)):
        return Check(MEANING, Outcome.FAILED, _few(wrong))
    if lost := list(_lost(running, contract)):
        why = f"its contract says less than the running model's: {_few(lost)}"
        return Check(MEANING, Outcome.PASSED, why, {UNKNOWN: float(len(lost))})
    return Check(MEANING, Outcome.PASSED, "names, units, scales, history and rate are those of the running model")


def check_station(contract: Contract | None, running: Contract | None, job: GateJob) -> Check:
    """Does the contract fit what the tasks connect to the model? In what the running one differs too, the new one may."""
    if contract is None or not job.wirings:
        why = "the file has no contract" if contract is None else "nothing is said of what is connected to the model"
        return Check(STATION, Outcome.SKIPPED, why)
    known = set() if running is None else {d for wiring in job.wirings for d in differences(running, wiring)}
    found = [d for wiring in job.wirings for d in differences(contract, wiring) if d not in known]
    wrong = [str(d) for d in found if d.severity == "error"]
    meant = [str(d) for d in found if d.severity == "warning"]
    figures = {"errors": float(len(wrong)), "warnings": float(len(meant))}
    if wrong:
        return Check(STATION, Outcome.FAILED, _few(wrong), figures)
    said = "it fits what the tasks connect to it"
    return Check(STATION, Outcome.PASSED, f"{said}, but: {_few(meant)}" if meant else said, figures)


def running_contract(model: Model, job: GateJob) -> Contract | None:
    """That of the running model, whose tensors are those of the new one; None: it has none, or it cannot be read."""
    try:
        return of_program(replace(model.program, metadata=job.running), "the running model")
    except ContractError:
        return None


def _few(said: list[str]) -> str:
    return "; ".join(said[:SHOWN]) + (f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else "")


def _differences(running: Contract, new: Contract) -> Iterator[str]:
    if running.rate_hz and new.rate_hz and not math.isclose(running.rate_hz, new.rate_hz, rel_tol=0.01):
        yield f"it was trained for {new.rate_hz:g} Hz, the running one for {running.rate_hz:g} Hz"
    for side, olds, news in (("input", running.inputs, new.inputs), ("output", running.outputs, new.outputs)):
        known = {(part.name, part.start): part for part in news}
        described = {part.name for part in news}
        for old in olds:
            what = f"{side} '{old.name}'"
            if (mine := known.get((old.name, old.start))) is not None:
                yield from _of_tensor(what, old, mine)
            elif old.name in described:
                yield f"{what} is laid out otherwise: at {old.start} no part begins, of the running one {old.elements[0].name}"


def _described(contract: Contract) -> Iterator[tuple[str, Element]]:
    """(input or output, element) of all that it describes."""
    for side, parts in (("input", contract.inputs), ("output", contract.outputs)):
        for part in parts:
            yield from ((f"{side} '{part.name}'", element) for element in part.elements)


def _lost(running: Contract, new: Contract) -> Iterator[str]:
    """Elements of which the running contract says what the new one leaves out: all, or their unit."""
    known = {(what, element.name): element for what, element in _described(new)}
    for what, element in _described(running):
        mine = known.get((what, element.name))
        if mine is None:
            yield f"{what} '{element.name}' is not described"
        elif element.unit and not mine.unit:
            yield f"{what} '{element.name}' has no unit, of the running one {element.unit}"


def _of_tensor(what: str, old: TensorContract, new: TensorContract) -> Iterator[str]:
    if (old.window, old.stride) != (new.window, new.stride):
        yield (
            f"{what} holds {new.window} samples, one every {new.stride} steps, of the running one {old.window}, one every "
            f"{old.stride}"
        )
    names = [[element.name for element in tensor.elements] for tensor in (old, new)]
    if names[0] != names[1] and sorted(names[0]) == sorted(names[1]):
        yield f"{what} has its elements in another order: {_listed(names[1])}; the running one's is {_listed(names[0])}"
        return
    for at, (one, other) in enumerate(zip(old.elements, new.elements, strict=False)):
        yield from _of_element(f"{what}, element {at}", one, other)


def _of_element(what: str, old: Element, new: Element) -> Iterator[str]:
    if old.name != new.name:
        yield f"{what} is '{new.name}', of the running one '{old.name}'"
    elif old.unit and new.unit and not _same_unit(old.unit, new.unit):
        yield f"{what} '{new.name}' is in {new.unit}, of the running one in {old.unit}"
    elif not (_near(old.scale, new.scale) and _near(old.offset, new.offset)):
        yield (
            f"{what} '{new.name}' has scale {new.scale:g} and offset {new.offset:g}, of the running one {old.scale:g} and "
            f"{old.offset:g}: the station goes on with those"
        )


def _same_unit(one: str, other: str) -> bool:
    """Two ways of writing one unit are one; of units that are not known, only the same text is."""
    found = conversion(one, other)
    return one == other or (found is not None and found.is_none)


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
