"""The command `reset-drive`: a drive of a running station resets its fault."""

from __future__ import annotations

from typing import Annotated

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, control_socket

ORDER = 46


def reset_drive(
    drive: Annotated[str, typer.Argument(help="Which drive: its name in the link's table in the station file.")],
    station: StationOption = None,
    socket: SocketOption = None,
) -> None:
    """Have a drive reset its fault, once the fault's cause is gone. It is enabled again if its task wants that."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.running.asking import request_reset_drive

        message = request_reset_drive(control_socket(station, socket), drive)
    say(Terminal(), message)
