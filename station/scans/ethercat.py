"""The command `scan ethercat`, which is also `ethercat scan`: the slaves of a bus, and what they exchange.

INTERFACE -> slaves in PRE-OP -> EEPROMs and CoE -> entries with types and names -> a station file
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from station.scans.shared.proposed import check_output, command_line, give, next_step

if TYPE_CHECKING:
    from rt_native.terminal import Terminal
    from station.scans.shared.ethercat_proposal import BusWanted

ORDER = 20
InterfaceArgument = Annotated[str, typer.Argument(metavar="INTERFACE", help="Network interface of the bus: eth1.")]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="The station file; by default it is printed.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def ethercat(interface: InterfaceArgument, output: OutputOption = None, as_json: JsonOption = False) -> None:
    """List slaves and what they exchange, from EEPROM and CoE, and propose a station file with a tag for each value.

    Slaves go to PRE-OP and back to INIT, their error counters begin again; nothing else of them changes. Tables go to the
    screen, the station file to the output.
    """
    from fieldbus.errors import ConfigurationError
    from fieldbus.ethercat.looking import look
    from rt_native.terminal import Terminal
    from rt_native.text import print_json
    from station.errors import ScanError
    from station.scans.shared.ethercat_proposal import BusWanted, wanted_of
    from station.scans.shared.ethercat_shown import entries_sheet, slaves_as_dicts, slaves_sheet
    from station.scans.shared.progress import progress

    errors = Terminal(stderr=True)
    check_output(output)
    refuse_if_held(interface)
    with progress(errors) as (tell, _):
        try:
            found = look(interface, tell)
        except ConfigurationError as error:  # pysoem is missing
            raise ScanError(str(error)) from error
    if as_json:
        print_json(slaves_as_dicts(found))
    else:
        errors.print(slaves_sheet(found))
        for slave in found:
            for doubt in slave.doubts:
                errors.print(
                    f"slave {slave.position}: {doubt}", style="yellow", soft_wrap=True, highlight=False, markup=False
                )
        if any(slave.entries for slave in found):
            errors.print(entries_sheet(found))
    if not as_json or output is not None:
        propose(errors, BusWanted(interface, wanted_of(found), command_line()), output)


def refuse_if_held(interface: str) -> None:
    """Raises `AlreadyRunningError` if a running station of this computer has the bus."""
    from station.errors import AlreadyRunningError
    from station.machine.claims import holder

    by = holder("device", f"ethercat {interface}")
    if by is not None:
        raise AlreadyRunningError(
            f"a running station has the bus on {interface}, {by}, and a bus has one master; `rt-engine status` shows its slaves; "
            "to ask them yourself: rt-engine stop"
        )


def propose(errors: Terminal, bus: BusWanted, output: Path | None) -> None:
    """Write, or print, the station file; and say what to do now."""
    from station.scans.shared.ethercat_proposal import proposal

    give(proposal(bus), output)
    if output is not None:
        for line in (f"{output}   link, slaves and tags, to go on with", next_step(output)):
            errors.print(line, soft_wrap=True, highlight=False, markup=False)
