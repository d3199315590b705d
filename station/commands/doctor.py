"""The command `doctor`: how ready a machine is for real time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.explaining import explained, print_json
from station.commands.shared.options import JsonOption
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.machine.card import Card
    from station.show.doctor import Diagnosis

ORDER = 60


def doctor(
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure wake-ups; 0: not at all.")] = 5.0,
    cpu: Annotated[int | None, typer.Option(min=0, help="The core for the task.")] = None,
    interface: Annotated[
        str, typer.Option(metavar="NAME", help="Also judge this network card for EtherCAT: eth1.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Tell how ready this machine is for real time, and the command that mends each shortcoming."""
    from rt_native.terminal import Terminal
    from station.machine.computer import Computer

    console = Terminal()
    machine = Computer(wanted_cpu=cpu, card=_card(interface))
    if cpu is not None and cpu not in machine.cores:
        raise typer.BadParameter(f"this machine has the cores {machine.cores}", param_hint="--cpu")
    with explained(Terminal(stderr=True)):
        from station.show.doctor import diagnose

        diagnosis = diagnose(machine, seconds)
    if as_json:
        print_json(diagnosis.as_dict())
    else:
        _print_diagnosis(console, diagnosis)
    if diagnosis.level == "bad":
        raise typer.Exit(ExitCode.FAILED)


def _card(interface: str) -> Card | None:
    if not interface:
        return None
    from station.machine.card import card_of

    card = card_of(interface)
    if not card.use.exists:
        raise typer.BadParameter(card.use.problem, param_hint="--interface")
    return card


def _print_diagnosis(console: Terminal, diagnosis: Diagnosis) -> None:
    from rich.text import Text

    from station.show.picture import text_picture

    marks = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}
    for fact in diagnosis.facts:
        mark, style = marks[fact.level]
        line = Text.assemble(
            (f"{mark} ", style), (f"{fact.name:<20}", "bold"), fact.value, (f"  {fact.meaning}", "dim")
        )
        console.print(line, soft_wrap=True)
        if fact.fix:
            console.print(Text(f"    {fact.fix}", style="cyan"), soft_wrap=True)
    if diagnosis.wake_up:
        console.print(Text("\n" + text_picture(diagnosis.wake_up)), soft_wrap=True)
    console.print(Text("\n" + diagnosis.verdict, style="bold"))
