"""The command `gate`: what a station would ask of a new version of a model, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import explained
from station.commands.shared.options import (
    BoundOption,
    JsonOption,
    ModelArgument,
    ShapeOption,
    StateOption,
    ValueOption,
    parse_binding,
)
from station.commands.shared.what_if import tolerances
from station.errors import ExitCode
from station.terms.durations import parse_duration

if TYPE_CHECKING:
    from rt_engine import Model
    from rt_engine.gate.job import GateJob, Recorded

ORDER = 25
WORKER = "station.replay.gate_worker"


def gate(
    model: ModelArgument,
    against: Annotated[
        Path | None, typer.Option(metavar="OLD", help="The model whose place it would take, .onnx or .rtp.")
    ] = None,
    cycle: Annotated[
        str | None, typer.Option(metavar="TIME", help='Cycle time of the task that would run it: "1 ms".')
    ] = None,
    needs: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="What of a cycle the task needs for everything else; by default nothing."),
    ] = None,
    shape: ShapeOption = None,
    value: ValueOption = None,
    bound: BoundOption = None,
    state: StateOption = None,
    draws: Annotated[int, typer.Option(min=1, help="Inputs that are drawn from the contract's ranges.")] = 10_000,
    recording: Annotated[
        Path | None, typer.Option(metavar="REC", help="A recording, or a folder of them, that the model is run over.")
    ] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TAG=]NUMBER",
            help="With --recording: so far outputs may lie from those recorded. Repeat it for others.",
        ),
    ] = None,
    slot: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --recording: whose place it takes, where tasks run several models."),
    ] = None,
    models: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER", help="With --recording: where models lie that its tasks need and that are not in it."
        ),
    ] = None,
    steps: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="With --recording: where the steps of your own lie that its tasks have."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Examine a model as a station does before an update: interface, contract, test vectors, drawn inputs, recording, time, memory.

    It is done in a process of its own, with limits of memory and time. Nothing is changed. Exit code 3: it is refused.
    """
    from rt_native.terminal import Terminal

    binding = parse_binding(shape, value, bound, state)
    recorded = _recorded(recording, tolerance or [], models or [], steps, slot)
    with explained(Terminal(stderr=True)):
        from rt_engine.apart import Apart
        from rt_engine.gate.table import table
        from rt_engine.read.source import opened

        apart = Apart(worker=WORKER)
        old = None if against is None else apart.load(opened(against), binding)
        job = replace(_job(old, cycle, needs, draws), recording=recorded)
        report = apart.examine(opened(model), binding, job).report
    if as_json:
        print_json(report.to_json())
    else:
        Terminal().print(table(report))
    if not report.passed:
        raise typer.Exit(ExitCode.BAD_FILE)


def _job(old: Model | None, cycle: str | None, needs: str | None, draws: int) -> GateJob:
    """What the options ask."""
    from rt_engine.gate.job import Budget, GateJob

    if cycle is None and needs is not None:
        raise typer.BadParameter("it is a part of a cycle; give --cycle too", param_hint="--needs")
    needs_ns = 0 if needs is None else _ns(needs, "--needs")
    budgets = () if cycle is None else (Budget("given", _ns(cycle, "--cycle"), needs_ns),)
    if old is None:
        return GateJob(budgets=budgets, draws=draws)
    return GateJob(
        slot=old.name,
        inputs=old.inputs,
        outputs=old.outputs,
        classes=old.classes,
        budgets=budgets,
        running=old.metadata,
        draws=draws,
    )


def _recorded(
    recording: Path | None, words: list[str], models: list[Path], steps: Path | None, slot: str | None
) -> Recorded | None:
    """What the options say of a recording."""
    for_all, by_name = tolerances(words)
    if recording is None:
        given = {"--tolerance": words, "--slot": slot, "--models": models, "--steps": steps}
        if unused := [name for name, value in given.items() if value]:
            raise typer.BadParameter("it is about a recording; give --recording too", param_hint=unused[0])
        return None
    from rt_engine.gate.job import Recorded

    return Recorded(
        path=str(recording.resolve()),
        slot=slot or "",
        tolerance=for_all,
        tolerances=by_name,
        folders=tuple(str(folder.resolve()) for folder in models),
        steps="" if steps is None else str(steps.resolve()),
    )


def _ns(text: str, option: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
