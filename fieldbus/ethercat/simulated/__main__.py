"""A bus of simulated slaves as a process: `python -m fieldbus.ethercat.simulated --interface veth1 --slaves mirror,mirror`.

Orders (see `orders`) come as lines of JSON on standard input, or on a Unix socket (`--socket PATH`), and each is answered by one:
`{"ok": true, ...}` or `{"ok": false, "error": "..."}`. When it is on the wire it says
`{"ok": true, "ready": ...}`; it ends with its input.
"""

import argparse
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fieldbus.ethercat.simulated.bus import EEPROM_NS, Bus
from fieldbus.ethercat.simulated.presets import make

_MOST_LINE = 1 << 16


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m fieldbus.ethercat.simulated", description="Simulated EtherCAT slaves."
    )
    parser.add_argument("--interface", required=True, help="the slaves' end of a pair of virtual interfaces")
    parser.add_argument("--second", help="another interface that closes the line to a ring")
    parser.add_argument("--slaves", required=True, help="names, in their order: coupler,di8,drive:alias=7")
    parser.add_argument(
        "--socket", help="take orders on this Unix socket, until a signal comes, instead of standard input"
    )
    parser.add_argument(
        "--eeprom-us", type=float, default=EEPROM_NS / 1000, help="how long a command to an EEPROM takes"
    )
    return parser.parse_args(given)


def _object_in(line: bytes) -> dict[str, Any]:
    try:
        order = json.loads(line)
    except ValueError as error:
        raise ValueError(f'an order is a line of JSON, like {{"do": "state"}}; this one is none: {error}') from error
    if not isinstance(order, dict):
        raise ValueError(f"an order is an object, not {order!r}")
    return order


def answer(bus: Bus, line: bytes) -> dict[str, Any]:
    """Carry out the order in a line; whatever is in it, the bus lives."""
    try:
        order = _object_in(line)
        return {"ok": True, **bus.order(order)}
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        return {"ok": False, "error": str(error)}


class Lines:
    """Lines of orders that come on a descriptor."""

    def __init__(self, fd: int, say: Callable[[str], object]) -> None:
        self.fd, self._say, self._rest = fd, say, b""

    def take(self, bus: Bus) -> bool:
        """Answer what has come; false at the end."""
        data = os.read(self.fd, _MOST_LINE)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data and self._rest:
            lines, self._rest = [self._rest], b""
        for line in lines:
            if line.strip():
                self._say(json.dumps(answer(bus, line)) + "\n")
        return bool(data) and len(self._rest) < _MOST_LINE


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _from_input(bus: Bus) -> None:
    lines = Lines(sys.stdin.fileno(), _print)
    while lines.take(bus):
        pass


def _from_socket(bus: Bus, path: str) -> None:
    Path(path).unlink(missing_ok=True)
    with selectors.DefaultSelector() as selector, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        Path(path).chmod(0o600)
        listener.listen()
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    peer, _ = listener.accept()
                    selector.register(peer, selectors.EVENT_READ, (peer, Lines(peer.fileno(), _sayer(peer))))
                    continue
                peer, lines = key.data
                try:
                    goes_on = lines.take(bus)
                except OSError:
                    goes_on = False
                if not goes_on:
                    selector.unregister(peer)
                    peer.close()


def _sayer(peer: socket.socket) -> Callable[[str], object]:
    return lambda text: peer.sendall(text.encode())


def main(given: Sequence[str] | None = None) -> int:
    """Be a bus until the input ends, or a signal comes."""
    arguments = _arguments(given)
    try:
        devices = make(arguments.slaves.split(","))
        bus = Bus(devices, arguments.interface, arguments.second, eeprom_ns=int(arguments.eeprom_us * 1000))
    except (ValueError, OSError) as error:
        _print(json.dumps({"ok": False, "error": f"{arguments.interface}: {error}"}) + "\n")
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with bus:
        _print(json.dumps({"ok": True, "ready": len(devices)}) + "\n")
        try:
            if arguments.socket:
                _from_socket(bus, arguments.socket)
            else:
                _from_input(bus)
        except KeyboardInterrupt:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
