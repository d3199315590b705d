"""The command `status`: a running station, once."""

from __future__ import annotations

from station.commands.shared.explaining import explained, print_json
from station.commands.shared.options import JsonOption, SocketOption, StationOption, WhichArgument, control_socket

ORDER = 30


def status(
    which: WhichArgument = None, station: StationOption = None, socket: SocketOption = None, as_json: JsonOption = False
) -> None:
    """Show a running station."""
    from rt_native.terminal import Terminal

    console = Terminal()
    with explained(Terminal(stderr=True)):
        from station.running.control import fetch_status
        from station.show.live import draw

        snapshot = fetch_status(control_socket(which or station, socket))
    if as_json:
        print_json(snapshot.to_json())
    else:
        console.print(draw(snapshot))
