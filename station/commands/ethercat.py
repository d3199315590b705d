"""The commands `ethercat ...`: who is on a bus, how its slaves are, and what files of other masters say of one."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.commands.shared.explaining import check_outputs, explained, print_json, say
from station.commands.shared.options import JsonOption
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.scans.shared.ethercat_proposal import BusWanted

ORDER = 166
ethercat = typer.Typer(help="Look at an EtherCAT bus: who is on it, and how its slaves are.", no_args_is_help=True)
InterfaceArgument = Annotated[str, typer.Argument(metavar="INTERFACE", help="Network interface of the bus: eth1.")]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="The station file; by default it is printed.")
]


@ethercat.command("scan")
def scan(interface: InterfaceArgument, output: OutputOption = None, as_json: JsonOption = False) -> None:
    """List slaves and what they exchange, from EEPROM and CoE, and propose a station file with a tag for each value.

    Slaves go to PRE-OP and back to INIT, their error counters begin again; nothing else of them changes. Tables go to the
    screen, the station file to the output.
    """
    from rt_native.terminal import Terminal

    errors = Terminal(stderr=True)
    _check_output(output)
    with explained(errors):
        from fieldbus.ethercat.looking import look
        from station.scans.shared.ethercat_proposal import BusWanted, wanted_of
        from station.scans.shared.ethercat_shown import entries_sheet, slaves_as_dicts, slaves_sheet
        from station.scans.shared.progress import progress

        _refuse_if_held(interface)
        with progress(errors) as (tell, _):
            found = look(interface, tell)
        if as_json:
            print_json(slaves_as_dicts(found))
        else:
            errors.print(slaves_sheet(found))
            if any(slave.entries for slave in found):
                errors.print(entries_sheet(found))
        if not as_json or output is not None:
            _propose(errors, BusWanted(interface, wanted_of(found), _command()), output)


@ethercat.command("state")
def state(interface: InterfaceArgument, as_json: JsonOption = False) -> None:
    """Show states, AL status in words, error counters of the ports, watchdogs and clocks; and what would help.

    Registers are read, nothing is written. Not while a station has the bus: `rt-engine status` has what it knows of its slaves.
    """
    from rt_native.terminal import Terminal

    console = Terminal()
    with explained(Terminal(stderr=True)):
        from fieldbus.ethercat.health import findings
        from fieldbus.ethercat.looking import examine
        from station.scans.shared.ethercat_shown import health_as_dict, health_sheet

        _refuse_if_held(interface)
        slaves = examine(interface)
        found = findings(slaves)
        if as_json:
            print_json(health_as_dict(slaves, found))
        else:
            console.print(health_sheet(slaves))
            for finding in found:
                say(console, str(finding), "yellow")
            if not found:
                say(console, f"{len(slaves)} slaves, nothing is wrong")
    if found:
        raise typer.Exit(ExitCode.FAILED)


@ethercat.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="LinuxCNC's ethercat-conf.xml, or an ENI (EtherCATConfig).")
    ],
    interface: Annotated[
        str, typer.Option(metavar="NAME", help="The bus's network interface: files do not say it.")
    ] = "eth1",
    master: Annotated[
        int | None, typer.Option(min=0, help="Which one, of a LinuxCNC file with several masters.")
    ] = None,
    output: OutputOption = None,
) -> None:
    """Make a station file of what another master's file says: slaves, start-up SDOs, PDOs, watchdogs, and tags.

    What is not taken over is in its comments. Nothing on a bus is asked.
    """
    from rt_native.terminal import Terminal

    errors = Terminal(stderr=True)
    _check_output(output)
    with explained(errors):
        from station.scans.shared.ethercat_files import read_bus

        _propose(errors, read_bus(file, interface, _command(), master), output)


def _refuse_if_held(interface: str) -> None:
    """Raises `AlreadyRunningError` if a running station of this computer has the bus."""
    from station.errors import AlreadyRunningError
    from station.machine.claims import holder

    by = holder("device", f"ethercat {interface}")
    if by is not None:
        raise AlreadyRunningError(
            f"a running station has the bus on {interface}, {by}, and a bus has one master; `rt-engine status` shows its slaves; "
            "to ask them yourself: rt-engine stop"
        )


def _check_output(output: Path | None) -> None:
    if output is not None and output.exists():
        raise typer.BadParameter(f"{output} is there already; name another file", param_hint="--output")
    check_outputs(files={"--output": output})


def _command() -> str:
    return shlex.join(["rt-engine", *sys.argv[1:]])


def _propose(errors: Terminal, bus: BusWanted, output: Path | None) -> None:
    """Write, or print, the station file; and say what to do now."""
    from rt_native.text import visible
    from station.scans.shared.ethercat_proposal import proposal

    text = proposal(bus)
    if output is None:
        sys.stdout.write("".join(visible(text, keep="\n")))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error.strerror}", param_hint="--output") from error
    say(errors, f"{output}   link, slaves and tags, to go on with")
    say(errors, f"next: rt-engine check --connect {shlex.quote(str(output))}")
