"""The command `stop`: the end of a running station."""

from __future__ import annotations

from station.commands.shared.explaining import explained
from station.commands.shared.options import SocketOption, StationOption, control_socket

ORDER = 50


def stop(station: StationOption = None, socket: SocketOption = None) -> None:
    """Stop a running station: outputs safe, report written."""
    from rich.console import Console

    with explained(Console(stderr=True)):
        from station.running.control import request_stop

        request_stop(control_socket(station, socket))
    print("stopping")
