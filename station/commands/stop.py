"""The command `stop`: the end of a running station."""

from __future__ import annotations

from station.commands.shared.explaining import explained, say
from station.commands.shared.options import SocketOption, StationOption, WhichArgument, control_socket

ORDER = 50


def stop(which: WhichArgument = None, station: StationOption = None, socket: SocketOption = None) -> None:
    """Stop a running station: outputs safe, report written."""
    from rt_native.terminal import Terminal

    with explained(Terminal(stderr=True)):
        from station.running.control import request_stop

        request_stop(control_socket(which or station, socket))
    say(Terminal(), "stopping")
