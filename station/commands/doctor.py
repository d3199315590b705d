"""The command `doctor`: how ready a machine is for real time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import explained, say
from station.commands.shared.options import JsonOption
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.machine.card import Card
    from station.show.doctor import Diagnosis

ORDER = 60
MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "red")}
NAME_WIDTH, LEAST_WIDTH = 20, 20


def doctor(
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure wake-ups; 0: not at all.")] = 5.0,
    cpu: Annotated[int | None, typer.Option(min=0, help="The core for the task.")] = None,
    interface: Annotated[
        str, typer.Option(metavar="NAME", help="Also judge this network card for EtherCAT: eth1.")
    ] = "",
    cycle: Annotated[
        str, typer.Option(metavar="DURATION", help="The cycle that delays are measured against.")
    ] = "1 ms",
    shows_all: Annotated[bool, typer.Option("--all", help="Also say of what is fine what it means.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell how ready this machine is for real time, and the command that mends each shortcoming."""
    from rt_native.terminal import Terminal
    from station.machine.computer import Computer

    console = Terminal()
    machine = Computer(wanted_cpu=cpu, card=_card(interface), cycle_us=_cycle_us(cycle))
    if cpu is not None and cpu not in machine.cores:
        raise typer.BadParameter(f"this machine has the cores {machine.cores}", param_hint="--cpu")
    with explained(Terminal(stderr=True)):
        from rt_native import background
        from station.show.doctor import diagnose

        diagnosis = diagnose(machine, seconds)
    if as_json:
        print_json(diagnosis.as_dict())
    else:
        _print_diagnosis(console, diagnosis, shows_all)
        if compiled := background.words():
            say(console, compiled, "dim")
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


def _cycle_us(text: str) -> int:
    from station.terms.durations import parse_duration

    try:
        return max(1, parse_duration(text) // 1000)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--cycle") from None


def _print_diagnosis(console: Terminal, diagnosis: Diagnosis, shows_all: bool) -> None:
    from rich.text import Text

    from station.show.picture import text_picture

    fine: dict[str, list[str]] = {}
    for fact in diagnosis.facts:
        if fact.level == "ok" and not fact.fix and not shows_all:
            fine.setdefault(fact.family, []).append(f"{fact.name}: {fact.value}")
            continue
        _print_line(console, *MARKS[fact.level], fact.name, fact.value)
        _print_line(console, "", "dim", "", fact.meaning)
        if fact.fix:  # as one line, to be copied
            console.print(Text(f"    {fact.fix}", style="cyan"), soft_wrap=True)
    for family, found in fine.items():
        _print_line(console, *MARKS["ok"], family, "; ".join(found))
    if diagnosis.wake_up:
        console.print(Text("\n" + text_picture(diagnosis.wake_up)), soft_wrap=True)
    console.print(Text("\n" + diagnosis.verdict, style="bold"))


def _print_line(console: Terminal, mark: str, style: str, name: str, text: str) -> None:
    """A mark, a name and its text, whose further lines begin where the first does; without a name, 4 columns in."""
    from rich.text import Text

    start = NAME_WIDTH + 2 if name else 4
    first, *others = Text(text, "" if name else style).wrap(console, max(console.width - start, LEAST_WIDTH))
    head = Text.assemble((mark.ljust(2), style), (name.ljust(start - 2), "bold"))
    for line in (head + first, *(Text(" " * start) + line for line in others)):
        console.print(line, soft_wrap=True)
