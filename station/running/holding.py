"""What a running station holds, so that no second one runs beside it.

    the station file      by its folder and name, whatever path leads there; and locked, for other network namespaces
    its name              so that it is found by it; not for itself alone
    devices               each that a link writes to, unless the link says `exclusive = false`

A second instance has touched nothing when it is refused: no device, kernel, socket or report.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import ExitStack

from station.errors import AlreadyRunningError, UnsafeSocketError
from station.file.reading import StationFile
from station.file.view import link_of
from station.machine.claims import NOT_SAID, Kind, claim, drain, holder
from station.running.finding import identity
from station.terms.tables import TagTable


class Held:
    """What a station holds from entry to exit. Context manager; `answering` is the socket where it can always be asked.

    Raises, on entering:
        AlreadyRunningError: it runs, or another station writes to one of its devices; names the process and its user.
        UnsafeSocketError: the system does not let anything be held.
    """

    answering: socket.socket

    def __init__(self, file: StationFile) -> None:
        self._file = file
        self._claims: list[socket.socket] = []
        self._stack = ExitStack()

    def __enter__(self) -> Held:
        with ExitStack() as stack:
            self._stack = stack
            try:
                self._hold_file()
                self._hold_devices()
            except OSError as error:
                why = error.strerror or error
                raise UnsafeSocketError(f"{self._file.path} cannot be kept from running twice: {why}") from error
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._claims.clear()
        self._stack.close()

    def drain(self) -> None:
        """Let go those who looked who holds what; now and then."""
        for claimed in self._claims:
            drain(claimed)

    def _hold_file(self) -> None:
        path = self._file.path
        known = identity(path)
        claimed = claim("station", known)
        if claimed is None:
            by = holder("station", known) or NOT_SAID
            raise AlreadyRunningError(f"{path} runs already, as {by}; stop it first: rt-engine stop {path}")
        self.answering = self._stack.enter_context(claimed)
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._stack.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(f"{path} runs already, in another container; `lslocks` names it") from None
        except OSError:  # a file system without locks: what else is held must do
            pass
        self._hold("name", f"{self._file.config.station.name}/{known}")

    def _hold_devices(self) -> None:
        config = self._file.config
        outputs: dict[str | None, list[TagTable]] = {}
        for tag in config.tags.values():
            if tag.direction == "out":
                outputs.setdefault(link_of(config, tag), []).append(tag)
        links = {n: table for n, table in config.links.items() if n in outputs or table.is_reserved_to_read}
        users = {device: name for name, table in links.items() for device in table.reserved(outputs.get(name, ()))}
        for device, link in users.items():
            if not self._hold("device", device):
                by, table = holder("device", device) or NOT_SAID, links[link]
                uses = "is used" if table.is_reserved_to_read else "is written"
                raise AlreadyRunningError(f"link {link}: {device} {uses} by {by}; {table.free_words.format(link=link)}")

    def _hold(self, kind: Kind, text: str) -> bool:
        claimed = claim(kind, text)
        if claimed is not None:
            self._claims.append(self._stack.enter_context(claimed))
        return claimed is not None
