"""What a task connects to its model, as a contract is compared with it (`rt_engine.contract.compare`). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rt_engine.contract import Contract
from rt_engine.contract.compare import Difference, Wire, Wiring, differences
from station.file.by_contract import ByName
from station.file.config import StationConfig
from station.terms.findings import Finding, Step
from station.terms.tables import TagTable
from station.terms.tasks import InputTable, OutputTable
from station.wiring.mapping import Place


def wiring_of(
    config: StationConfig,
    task: str,
    inputs: Sequence[Place],
    outputs: Sequence[Place],
    contract: Contract | None = None,
    by_name: ByName | None = None,
) -> Wiring:
    """The wires of a task whose entries lie at these places.

    Args:
        contract: of the model for which it was wired, if it has one: a new version has the same elements at the same places.
        by_name: which entries were made from its names.
    """
    table = config.tasks[task]
    named = by_name or {}
    model = config.models.get(table.model or "")
    return Wiring(
        task=task,
        period_ns=table.cycle_ns,
        every=table.every,
        inputs=tuple(
            wire
            for place in inputs
            for wire in _wires(
                config, table.inputs[place.entry], place, contract, place.entry < named.get((task, "inputs"), 0)
            )
        ),
        outputs=tuple(
            wire
            for place in outputs
            for wire in _wires(
                config, table.outputs[place.entry], place, contract, place.entry < named.get((task, "outputs"), 0)
            )
        ),
        state=tuple(model.state.items()) if model is not None else (),
        has_step=table.step is not None,
    )


def findings(contract: Contract, wiring: Wiring) -> Iterator[Finding]:
    """Every difference, at its place in the station file."""
    for difference in differences(contract, wiring):
        yield Finding(_path(difference, wiring), difference.message, difference.severity)


def _path(difference: Difference, wiring: Wiring) -> tuple[Step, ...]:
    path: tuple[Step, ...] = ("tasks", difference.task)
    if difference.side is None:
        if difference.what == "state":
            return (*path, "model")
        return (*path, "every" if wiring.every > 1 else "cycle")
    return path if difference.entry is None else (*path, difference.side, difference.entry)


def _wires(
    config: StationConfig, entry: InputTable | OutputTable, place: Place, contract: Contract | None, is_named: bool
) -> Iterator[Wire]:
    """One for each value of an entry."""
    tag = config.tags[entry.tag]
    low, high = _limits(entry, tag)
    for cell in range(entry.values(tag.count)):
        index = place.index + cell
        yield Wire(
            tag=entry.tag,
            tensor=place.tensor,
            index=index,
            unit=tag.unit,
            low=low,
            high=high,
            scale=entry.scale,
            offset=entry.offset,
            window=entry.window if isinstance(entry, InputTable) else 1,
            stride=entry.stride if isinstance(entry, InputTable) else 1,
            spacing=place.spacing,
            max_rate=entry.max_rate if isinstance(entry, OutputTable) else float("inf"),
            entry=place.entry,
            element=_name(contract, place.tensor, index),
            by_name=is_named,
        )


def _limits(entry: InputTable | OutputTable, tag: TagTable) -> tuple[float, float]:
    """What comes from the tag to the model; what comes to the tag."""
    if isinstance(entry, OutputTable):
        return tag.low if entry.low is None else entry.low, tag.high if entry.high is None else entry.high
    return (
        tag.low if entry.low is None else max(tag.low, entry.low),
        tag.high if entry.high is None else min(tag.high, entry.high),
    )


def _name(contract: Contract | None, tensor: str, index: int) -> str:
    if contract is None:
        return ""
    found = (part.at(index) for part in contract.parts(tensor))
    return next((element.name for element in found if element is not None), "")
