"""Does a client fetch what it was sent? The system's own queue is asked too: it grows to megabytes before asyncio hears of it.

our writes -> asyncio's buffer -> the system's queue (bounded here) -> the client's system, which confirms
              `waiting`: bytes of both                                 `confirmed`: bytes until now
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any, Final

SEND_BYTES: Final = 128 * 1024
"""Of the system's queue, which counts it twice, socket(7)."""
_CONFIRMED: Final = struct.Struct("<120xQ")
"""`tcpi_bytes_acked` in struct tcp_info."""


def send_small(sock: socket.socket) -> None:
    """Let the system keep `SEND_BYTES` of what a client does not fetch, and no megabytes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)


class Fetching:
    """Of one connection's answers.

    Args:
        transport: of asyncio, over TCP.
        now: monotonic seconds.
    """

    def __init__(self, transport: Any, now: float) -> None:
        self._transport = transport
        self._sock: socket.socket = transport.get_extra_info("socket")
        self._confirmed, self._since = 0, now

    @property
    def waiting(self) -> int:
        """Bytes that the client's side has not confirmed."""
        (in_system,) = struct.unpack("i", fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(4)))
        return int(in_system) + int(self._transport.get_write_buffer_size())

    def stands_s(self, now: float) -> float:
        """For so long, seen from look to look, nothing was fetched of what waits."""
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _CONFIRMED.size)
        confirmed = _CONFIRMED.unpack(info)[0]
        if confirmed != self._confirmed or not self.waiting:
            self._confirmed, self._since = confirmed, now
        return now - self._since
