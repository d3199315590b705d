"""The command `record`: a running station keeps the cycles around now."""

from __future__ import annotations

from typing import Annotated

import typer

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, WhichArgument, control_socket

ORDER = 48


def record(
    which: WhichArgument = None,
    why: Annotated[str, typer.Option(help="What was seen: it stands in the recording.")] = "",
    station: StationOption = None,
    socket: SocketOption = None,
) -> None:
    """Let a running station's recorder keep what lies before and after this moment."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.running.asking import request_record

        message = request_record(control_socket(which or station, socket), why)
    say(Terminal(), message)
