"""What systemd hears of a station: that it is ready, alive, stopping, and in what state (`sd_notify`, `Type=notify`).

A message is one datagram of lines `NAME=VALUE` to the socket that $NOTIFY_SOCKET names: systemd.exec(5), sd_notify(3). Where
nobody listens nothing is sent, and nothing here ever waits.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

BEATS: Final = 3
"""Signs of life within the time after which systemd takes a service for dead."""


class Notify:
    """Tells systemd; nothing where there is none."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        name = os.environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if name else None
        self._beat_s = _watchdog_s() / BEATS
        self._next_s = float("-inf")
        self._status = ""

    def ready(self, status: str) -> None:
        """The station runs."""
        self._send("READY=1", self._changed(status))

    def alive(self, ticks: Callable[[], bool], status: Callable[[], str]) -> None:
        """To be called often. When it is time: a sign of life, if all tasks tick; and the state in words, if it changed."""
        if self._socket is None or self._now_s() < self._next_s:
            return
        self._next_s = self._now_s() + self._beat_s
        self._send("WATCHDOG=1" if ticks() else "", self._changed(status()))

    def stopping(self) -> None:
        """Outputs are made safe now, and the process ends."""
        self._send("STOPPING=1", self._changed("stopping"))

    def _changed(self, status: str) -> str:
        before, self._status = self._status, " ".join(status.split())
        return f"STATUS={self._status}" if self._status != before else ""

    def _send(self, *lines: str) -> None:
        text = "\n".join(filter(None, lines))
        if self._socket is not None and text:
            with suppress(OSError):  # a systemd that does not listen now is no reason to stop
                self._socket.sendto(text.encode(), socket.MSG_DONTWAIT, self._address)


def _watchdog_s() -> float:
    """After what silence systemd takes this process for dead; 30 s where it has no watchdog: the state alone is sent."""
    us, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    is_meant = us.isdecimal() and int(us) > 0 and pid in ("", str(os.getpid()))
    return int(us) / 1e6 if is_meant else 30.0
