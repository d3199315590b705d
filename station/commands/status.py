"""The command `status`: a running station, once."""

from __future__ import annotations

import json

from station.commands.shared.explaining import explained
from station.commands.shared.options import JsonOption, SocketOption, StationOption, control_socket

ORDER = 30


def status(station: StationOption = None, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Show a running station."""
    from rich.console import Console

    console = Console()
    with explained(Console(stderr=True)):
        from station.running.control import fetch_status
        from station.show.live import draw

        snapshot = fetch_status(control_socket(station, socket))
    if as_json:
        print(json.dumps(snapshot.to_json(), indent=1))
    else:
        console.print(draw(snapshot))
