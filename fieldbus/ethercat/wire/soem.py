"""pysoem, where it is installed: it finds slaves and gives them their addresses."""

import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, ClassVar, Final

from fieldbus.errors import ConfigurationError, ConnectionLostError, NoAnswerError, cause
from fieldbus.ethercat.wire.socket import only
from fieldbus.ethercat.wire.wire import SOEM_INDEXES

INSTALL = "pip install 'rt-engine[ethercat]'"


def library() -> Any:
    """The module `pysoem`; raises `ConfigurationError`, with the command that installs it."""
    try:
        import pysoem
    except ImportError as error:
        why = "" if error.name == "pysoem" else f" ({error})"
        raise ConfigurationError(f"EtherCAT needs the package pysoem{why}: {INSTALL}") from None
    pysoem.settings.always_release_gil = True
    return pysoem


_SCAN_S, _EACH_S, _LOOK_S = 5.0, 0.5, 0.05
"""So long a scan may take, and more for each slave; so often it is looked whether all are still there."""
_MOST_MISSED: Final = 4
_MOST_LEFT: Final = 4
_DEAF_US: Final = 5000


class Soem:
    """pysoem's master on an interface.

    A scan of its own waits for every word of the EEPROM of a slave that has left: a minute and more, and nothing ends it. So it is
    left behind in a thread, with a socket that leads nowhere. pysoem closes a number, as often as it is told to, whoever has it by
    then: it is told once, when nothing uses its socket any more.
    """

    _left: ClassVar[list[tuple[str, threading.Thread]]] = []
    """(interface, scan) of those that have not come to their end."""

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self.master: Any = library().Master()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_scanning = self._is_closed = False
        with ExitStack() as opened:
            try:
                self._nowhere = opened.enter_context(_nowhere())
                before = _sockets()
                self.master.open(interface)
                opened.callback(self.master.close)
                self._sockets = _packet_sockets(_sockets() - before, interface)
                for fd in self._sockets:
                    with socket.socket(fileno=os.dup(fd)) as sock:
                        only(sock, SOEM_INDEXES)  # frames of the exchange would fill it
            except OSError as error:
                raise ConnectionLostError(f"network interface {interface} cannot be opened: {cause(error)}") from error
            opened.pop_all()

    def scan(self, count: Callable[[], int], is_stopped: Callable[[], bool]) -> int:
        """Slaves get their addresses and are asked for PRE-OP; gives how many there are, 0 or less: none, or too many.

        After an error only `close` is left to do.

        Args:
            count: how many answer now; its errors are the scan's.

        Raises:
            NoAnswerError: one left meanwhile, it takes too long, or it is stopped.
        """
        Soem._left[:] = [(interface, thread) for interface, thread in Soem._left if thread.is_alive()]
        if [interface for interface, _ in Soem._left].count(self.interface) >= _MOST_LEFT:
            raise NoAnswerError("slaves that left while they were counted are still waited for")
        found: list[int] = []
        self._thread = threading.Thread(target=self._scan, args=(found,), name="ethercat-scan", daemon=True)
        first, missed, begun_s = count(), 0, time.monotonic()
        self._thread.start()
        while True:
            self._thread.join(_LOOK_S)
            if not self._thread.is_alive():
                return found[0] if found else 0
            missed = missed + 1 if count() != first else 0
            if is_stopped():
                raise NoAnswerError("stopped while slaves were counted")
            if missed >= _MOST_MISSED:
                raise NoAnswerError(
                    "a slave came or went while they were counted: has one no power, or is a cable loose?"
                )
            if time.monotonic() - begun_s > _SCAN_S + _EACH_S * max(first, 0):
                raise NoAnswerError("slaves take too long to be counted: does one come and go?")

    def _scan(self, found: list[int]) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._is_scanning = True
        try:
            found.append(self.master.config_init(False) or 0)
        finally:
            with self._lock:
                self._is_scanning = False
                if self._is_closed:
                    self.master.close()

    def close(self) -> None:
        """Give the interface back. A scan that is under way does that at its end, and nothing of it reaches the bus any more."""
        with self._lock, self._nowhere:
            if self._is_closed:
                return
            self._is_closed = True
            if self._is_scanning:
                self._leave()
            else:
                self.master.close()

    def _leave(self) -> None:
        for fd in self._sockets:
            os.dup2(self._nowhere.fileno(), fd)
        assert self._thread is not None
        Soem._left.append((self.interface, self._thread))


def _nowhere() -> socket.socket:
    """Nothing is sent on it, and nothing comes. It is made before it is needed: there may be no descriptor left then."""
    nowhere = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    nowhere.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, _DEAF_US))
    return nowhere


def _sockets() -> set[int]:
    """Descriptors of this process that are sockets; not that of the listing itself, whose number the next socket gets."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # it was closed meanwhile
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found.add(int(name))
    return found


def _packet_sockets(new: set[int], interface: str) -> list[int]:
    """Those of the new descriptors that are raw sockets on the interface."""
    found = []
    for fd in new:
        with suppress(OSError), socket.socket(fileno=os.dup(fd)) as sock:
            if sock.family == socket.AF_PACKET and sock.getsockname()[0] == interface:
                found.append(fd)
    return found
