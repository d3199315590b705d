"""A load: datagrams and a stream over the loopback interface. Nothing leaves the machine."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from typing import Final

from station.latency.loads import GoesOn, Load

ORDER = 40
HERE: Final = "127.0.0.1"
DATAGRAM: Final = bytes(1400)
CHUNK: Final = bytes(64 << 10)
ROUND: Final = 64


def work(core: int | None, goes_on: GoesOn) -> None:
    """Send to ourselves: small datagrams, then a chunk of a stream."""
    with ExitStack() as ends:
        udp = ends.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind((HERE, 0))
        udp.connect(udp.getsockname())
        with socket.create_server((HERE, 0)) as door:
            tcp = ends.enter_context(socket.create_connection(door.getsockname()))
            far = ends.enter_context(door.accept()[0])
        for end in (udp, tcp, far):
            end.setblocking(False)
        while goes_on():
            for _ in range(ROUND):
                with suppress(BlockingIOError):
                    udp.send(DATAGRAM)
                with suppress(BlockingIOError):
                    udp.recv(len(DATAGRAM))
                with suppress(BlockingIOError):
                    tcp.send(CHUNK)
                with suppress(BlockingIOError):
                    far.recv(len(CHUNK))


LOAD = Load("network", "UDP and TCP to ourselves over the loopback interface", per_core=False, work=work)
