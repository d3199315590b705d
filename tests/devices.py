"""Wires to simulated devices, whose threads have ended before what they read and write is closed.

A thread that outlives its device writes to whoever has the descriptor's number by then: the next test's device.
"""

import os
import select
import socket
import threading
import tty
from collections.abc import Callable
from contextlib import suppress

from tests.waiting import PATIENCE_S


class Threads:
    """Those of a device; they end soon after what they wait for is shut down."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, target: Callable[..., object], *args: object) -> None:
        """One more; that it is cut off in what it does is no error."""

        def run() -> None:
            with suppress(OSError):
                target(*args)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def end(self) -> None:
        """They have ended."""
        while self._threads:
            thread = self._threads.pop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a device's thread does not end"


class TcpDevice:
    """Listens at `host`:`port`; each connection is `serve`d in a thread of its own, and closed when that returns."""

    def __init__(self, serve: Callable[[socket.socket], object], host: str = "127.0.0.1", port: int = 0) -> None:
        self._serve, self._threads = serve, Threads()
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._socks: list[socket.socket] = []
        self._lock = threading.Lock()
        self._accepting = Threads()
        self._accepting.start(self._accept)

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._socks.append(sock)
            self.connections += 1
            self._threads.start(self._serve_one, sock)

    def _serve_one(self, sock: socket.socket) -> None:
        try:
            self._serve(sock)
        finally:
            with self._lock:
                self._socks.remove(sock)
                sock.close()

    @property
    def is_idle(self) -> bool:
        """Is no connection served? What came on each is then known."""
        return not self._socks

    def hang_up(self) -> None:
        """End every connection that there is."""
        with self._lock:
            for sock in self._socks:
                with suppress(OSError):  # the client was faster
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """No more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.end()
        self._listener.close()
        self.hang_up()
        self._threads.end()


class SerialLine:
    """A pseudo-terminal: a program opens `port`, devices that are `start`ed behind it `read` and `write`."""

    def __init__(self) -> None:
        self._end, self._other = os.openpty()
        tty.setraw(self._other)
        self.port = os.ttyname(self._other)
        self._over, self._threads = os.eventfd(0), Threads()
        self.start = self._threads.start

    def read(self, nbytes: int = 512) -> bytes:
        """What comes; nothing: the line is closed."""
        is_over = self._over in select.select([self._end, self._over], [], [])[0]
        return b"" if is_over else os.read(self._end, nbytes)

    def write(self, data: bytes) -> None:
        """To the program."""
        os.write(self._end, data)

    @property
    def is_open(self) -> bool:
        """May its devices go on?"""
        return not select.select([self._over], [], [], 0)[0]

    def pull_out(self) -> None:
        """The adapter is unplugged: the port is gone."""
        os.eventfd_write(self._over, 1)
        self._threads.end()
        os.close(self._end)
        self._end = -1

    def close(self) -> None:
        """Nobody is behind it any more."""
        if self._end >= 0:
            self.pull_out()
        os.close(self._other)
        os.close(self._over)
