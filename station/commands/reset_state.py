"""The command `reset-state`: what a task of a running station keeps from cycle to cycle begins anew."""

from __future__ import annotations

from typing import Annotated

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, control_socket

ORDER = 45


def reset_state(
    task: Annotated[str, typer.Argument(help="Which task: its name in the station file.")],
    station: StationOption = None,
    socket: SocketOption = None,
) -> None:
    """Let what a task keeps from cycle to cycle, its model's state and its step's, begin anew, without a stop."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.running.asking import request_reset_state

        message = request_reset_state(control_socket(station, socket), task)
    say(Terminal(), message)
