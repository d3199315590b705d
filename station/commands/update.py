"""The command `update`: another model for a running station."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, control_socket

ORDER = 40


def update(
    slot: Annotated[str, typer.Argument(help="Which model: its name in the station file.")],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The new model, .onnx or .rtp.")],
    station: StationOption = None,
    socket: SocketOption = None,
) -> None:
    """Replace a model of a running station. No cycle is missed; all tasks take it at the same tick."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.running.control import request_update

        updated = request_update(control_socket(station, socket), slot, model)
    say(Terminal(), updated.message)
