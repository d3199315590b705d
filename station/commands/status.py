"""The command `status`: a running station, once."""

from __future__ import annotations

import time
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
        from station.running.asking import fetch_status
        from station.show.live import LIVE_TAGS, draw
        from station.show.verdict import unwell

        asked_ns = time.monotonic_ns()
        tags = 0 if health else None if as_json else LIVE_TAGS
        snapshot = fetch_status(control_socket(which or station, socket), tags)
    if health:
        wrong = list(unwell(snapshot, asked_ns))
        say(console, f"{snapshot.station} " + ("is healthy" if not wrong else f"is not well: {'; '.join(wrong)}"))
        if wrong:
            raise typer.Exit(ExitCode.FAILED)
    elif as_json:
        print_json(snapshot.to_json())
    else:
        console.print(draw(snapshot))
        if snapshot.audit_head:
            say(console, f"log of changes: record {snapshot.audit_number}, head {snapshot.audit_head}", "dim")
