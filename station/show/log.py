"""The log of a running station: each event, and what libraries log, one line at once; under systemd with fields.

The journal takes datagrams of `NAME=value` lines (systemd.io/JOURNAL_NATIVE_PROTOCOL). Nothing here waits: a journal that does
not take one at once gets a plain line through stderr, which waits in a thread (`station.show.unheld`).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from rt_native.text import visible
from station.machine.computer import Level
from station.show.events import Event

JOURNAL: Final = "/run/systemd/journal/socket"
PRIORITY: Final[dict[Level, int]] = {"ok": 6, "warn": 4, "bad": 3}
"""syslog(3): information, warning, error."""


class Log:
    """Tells events of `station` to the journal where stderr is one, else to stderr."""

    def __init__(self, station: str, journal: str = JOURNAL) -> None:
        self._station, self._place = station, journal
        self._journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if in_journal() else None

    def tell(self, event: Event) -> None:
        """One line; returns at once."""
        fields = {
            "MESSAGE": f"{event.kind} {event.subject}: {event.text}",
            "PRIORITY": str(PRIORITY[event.level]),
            "SYSLOG_IDENTIFIER": "rt-engine",
            "RT_STATION": self._station,
            "RT_KIND": event.kind,
            "RT_SUBJECT": event.subject,
            "RT_LEVEL": event.level,
            "RT_SECONDS": f"{event.at_s:.6f}",
        }
        if not self._send(fields):
            self._print(str(event))

    def _send(self, fields: Mapping[str, str]) -> bool:
        if self._journal is None:
            return False
        lines = (f"{name}={visible(text)}\n" for name, text in fields.items())
        try:
            self._journal.sendto("".join(lines).encode("utf-8", "backslashreplace"), socket.MSG_DONTWAIT, self._place)
        except OSError:
            return False
        return True

    def _print(self, line: str) -> None:
        with suppress(OSError, ValueError):  # nobody can be told that nobody is told
            sys.stderr.write(f"{visible(line)}\n")  # in one piece: others write too
            sys.stderr.flush()


class _Records(logging.Handler):
    """What libraries log, in the same form; what is an event of the station already is not told twice."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        if not hasattr(record, "link"):
            level: Level = "bad" if record.levelno >= logging.ERROR else "warn"
            self._log.tell(Event(record.relativeCreated / 1e3, "station", record.name, self.format(record), level))


@contextmanager
def logged(log: Log) -> Iterator[None]:
    """What libraries log goes to `log` as well."""
    handler = _Records(log)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def in_journal() -> bool:
    """Is stderr systemd's journal? It says which file that is in $JOURNAL_STREAM, as device:inode (systemd.exec(5))."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM", "") == f"{found.st_dev}:{found.st_ino}"
