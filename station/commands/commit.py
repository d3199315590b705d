"""The command `commit`: the change of a running station's model goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, control_socket

ORDER = 41


def commit(
    slot: Annotated[str, typer.Argument(help="Which model: its name in the station file.")],
    station: StationOption = None,
    socket: SocketOption = None,
) -> None:
    """Let a model's new version go on: from shadow to trial, from trial to committed; so that it stays."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.running.asking import request_commit

        message = request_commit(control_socket(station, socket), slot)
    say(Terminal(), message)
