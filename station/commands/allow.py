"""The command `allow`: a version that was rejected or rolled back may come again."""

from __future__ import annotations

from typing import Annotated

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, control_socket

ORDER = 43


def allow(
    slot: Annotated[str, typer.Argument(help="Which model: its name in the station file.")],
    sha256: Annotated[str, typer.Argument(metavar="HASH", help="The version: its SHA-256, or the first digits of it.")],
    station: StationOption = None,
    socket: SocketOption = None,
) -> None:
    """Let a version come again that was rejected or rolled back, and is barred since."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.running.asking import request_allow

        message = request_allow(control_socket(station, socket), slot, sha256)
    say(Terminal(), message)
