"""Does a client fetch what it was sent? The system's own queue is asked too: it grows to megabytes before asyncio hears of it.

our writes -> asyncio's buffer -> the system's queue (bounded here) -> the client's system, which confirms
              `waiting`: bytes of both                                 `confirmed`: bytes until now
"""

from __future__ import annotations

import fcntl
import math
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
        self._confirmed, self._since, self._paused_since = 0, now, math.inf

    @property
    def is_paused(self) -> bool:
        """Does asyncio ask to write no more?"""
        return self._paused_since < math.inf

    def pause(self, now: float) -> None:
        """It does, from now on."""
        self._paused_since = now

    def resume(self) -> None:
        """It does no more."""
        self._paused_since = math.inf

    @property
    def waiting(self) -> int:
        """Bytes that the client's side has not confirmed."""
        (in_system,) = struct.unpack("i", fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(4)))
        return int(in_system) + int(self._transport.get_write_buffer_size())

    def stuck_s(self, now: float) -> float:
        """For so long asyncio has asked to write no more; or, seen from look to look, nothing was fetched of what waits."""
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _CONFIRMED.size)
        confirmed = _CONFIRMED.unpack(info)[0]
        if confirmed != self._confirmed or not self.waiting:
            self._confirmed, self._since = confirmed, now
        return now - min(self._since, self._paused_since)
