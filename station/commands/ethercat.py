"""The commands `ethercat ...`: who is on a bus, how its slaves are, and what files of other masters say of one."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import explained, say
from station.commands.shared.options import JsonOption
from station.errors import ExitCode
from station.scans import ethercat as scanning
from station.scans.ethercat import InterfaceArgument, OutputOption
from station.scans.shared.proposed import check_output, command_line

ORDER = 166
ethercat = typer.Typer(help="Look at an EtherCAT bus: who is on it, and how its slaves are.", no_args_is_help=True)


@ethercat.command("scan")
@wraps(scanning.ethercat)
def scan(**options: Any) -> None:
    """As `scan ethercat`."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        scanning.ethercat(**options)


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

        scanning.refuse_if_held(interface)
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
    check_output(output)
    with explained(errors):
        from station.scans.shared.ethercat_files import read_bus

        scanning.propose(errors, read_bus(file, interface, command_line(), master), output)
