"""The command `gate`: what a station would ask of a new version of a model, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.explaining import explained, print_json
from station.commands.shared.options import (
    JsonOption,
    ModelArgument,
    ShapeOption,
    StateOption,
    parse_shapes,
    parse_states,
)
from station.errors import ExitCode
from station.terms.durations import parse_duration

if TYPE_CHECKING:
    from rt_engine import Model
    from rt_engine.gate.job import GateJob

ORDER = 25


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
    state: StateOption = None,
    draws: Annotated[int, typer.Option(min=1, help="Inputs that are drawn from the contract's ranges.")] = 10_000,
    as_json: JsonOption = False,
) -> None:
    """Examine a model as a station does before an update: interface, contract, test vectors, drawn inputs, time, memory.

    It is done in a process of its own, with limits of memory and time. Nothing is changed. Exit code 3: it is refused.
    """
    from rt_native.terminal import Terminal

    shapes, states = parse_shapes(shape), parse_states(state)
    with explained(Terminal(stderr=True)):
        from rt_engine.apart import Apart
        from rt_engine.gate.table import table
        from rt_engine.read.source import opened

        apart = Apart()
        old = None if against is None else apart.load(opened(against), shapes, states)
        job = _job(old, cycle, needs, draws)
        report = apart.examine(opened(model), shapes, states, job).report
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
        slot=old.name, inputs=old.inputs, outputs=old.outputs, budgets=budgets, running=old.metadata, draws=draws
    )


def _ns(text: str, option: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
