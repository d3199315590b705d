"""The command `status`: a running station, once."""

from __future__ import annotations

from typing import Annotated

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import explained, say
from station.commands.shared.options import JsonOption, SocketOption, StationOption, WhichArgument, control_socket
from station.errors import ExitCode

ORDER = 30


def status(
    which: WhichArgument = None,
    station: StationOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
    health: Annotated[
        bool,
        typer.Option(
            "--health", help="One line; exit code 0: healthy, 1: it runs, but not well, 4: it does not answer."
        ),
    ] = False,
) -> None:
    """Show a running station."""
    from rt_native.terminal import Terminal

    console = Terminal()
    with explained(Terminal(stderr=True)):
        from station.running.asking import fetch_health, fetch_status

        place = control_socket(which or station, socket)
        if health:
            name, wrong = fetch_health(place)
            say(console, f"{name} " + ("is healthy" if not wrong else f"is not well: {'; '.join(wrong)}"))
            raise typer.Exit(ExitCode.FAILED if wrong else ExitCode.OK)
        from station.show.live import LIVE_TAGS, draw

        snapshot = fetch_status(place, None if as_json else LIVE_TAGS)
    if as_json:
        print_json(snapshot.to_json())
    else:
        console.print(draw(snapshot))
        if snapshot.audit_head:
            say(console, f"log of changes: record {snapshot.audit_number}, head {snapshot.audit_head}", "dim")
