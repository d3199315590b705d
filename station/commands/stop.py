"""The command `stop`: the end of a running station."""

from __future__ import annotations

from typing import Final

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, WhichArgument, control_socket
from station.errors import ExitCode

ORDER = 50
PATIENCE_S: Final = 30.0


def stop(which: WhichArgument = None, station: StationOption = None, socket: SocketOption = None) -> None:
    """Stop a running station: outputs safe, report written; then another may start."""
    from rt_native.terminal import Terminal

    console, errors = Terminal(), Terminal(stderr=True)
    with explained(errors):
        from station.running.asking import has_ended, request_stop

        place = control_socket(which or station, socket)
        request_stop(place)
        say(console, "stopping")
        if not has_ended(place, PATIENCE_S):
            say(
                errors,
                f"it has not ended within {PATIENCE_S:g} s: a device or the place of its report does not answer",
                "yellow",
            )
            raise typer.Exit(ExitCode.FAILED)
    say(console, "stopped")
