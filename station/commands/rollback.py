"""The command `rollback`: a new version of a running station's model is taken back."""

from __future__ import annotations

from typing import Annotated

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, control_socket

ORDER = 42


def rollback(
    slot: Annotated[str, typer.Argument(help="Which model: its name in the station file.")],
    station: StationOption = None,
    socket: SocketOption = None,
) -> None:
    """Take a model's new version back: out of shadow or trial, or, once committed, to the version before; live within a tick."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.running.asking import request_rollback

        message = request_rollback(control_socket(station, socket), slot)
    say(Terminal(), message)
