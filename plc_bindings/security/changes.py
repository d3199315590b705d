"""The file of changes: a hash chain on a disk, synced record by record, in files that are kept for a stated time.

ChangeLog   open() -> head; append(entry) -> head            one thread

  audit.changes.jsonl.1  ... .7     full; never written again; dropped when older than they are kept, never younger
  audit.changes.jsonl               the newest; full at `most_bytes`, then it becomes .8

Where it goes on is read from the files: after a start, after a write that failed, and where another process has written. The
commands of a fleet's commander share one log, so each record is written with the newest file locked. What lies behind the last whole
record is a line that a power failure has cut: it stays, and the next record tells of it. Lines of a log that had no chain
stay too: record 1 is linked to them.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from plc_bindings.security.chain import START, Head, end_of, files, is_cut, lines_of, link, rotated, sha256
from rt_native.files import open_file

MODE: Final = 0o600
MOST_BYTES: Final = 8 << 20
KEEP: Final = timedelta(days=5 * 366)
PIPE: Final = "a pipe is there, not a file; remove it, or name another place"


@dataclass(frozen=True, slots=True)
class _End:
    """Where a log ends: the newest record, and what the next one has to tell of what lies around it."""

    head: Head
    tells: Mapping[str, Any]
    is_mid_line: bool


class ChangeLog:
    """Appends records to `path`. Raises `OSError` when one cannot be written; it is not in the log then. One thread."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES, keep: timedelta = KEEP) -> None:
        self.path, self._most_bytes, self._keep = path, most_bytes, keep
        self._end: _End | None = None
        self._seen: tuple[int, int] | None = None
        """The newest file (inode, bytes) as `_end` was read from it, or written to it."""

    @property
    def head(self) -> Head | None:
        """The newest record; None: nothing was read or written yet, or the last write failed."""
        return self._end.head if self._end is not None else None

    def open(self) -> Head:
        """Find where the log ends."""
        if self._end is None:
            with suppress(FileNotFoundError):
                self._seen = _identity(self.path.stat())
            self._end = _end_of(self.path)
        return self._end.head

    def append(self, entry: Mapping[str, Any]) -> Head:
        """Write a record, and sync it. Its keys must not be those of the chain."""
        self.open()
        if self._is_full():
            with self._held():
                if self._is_full():  # nobody else has made it the next number meanwhile
                    self._rotate()
        return self._write(entry)

    def _is_full(self) -> bool:
        try:
            return self.path.stat().st_size >= self._most_bytes
        except FileNotFoundError:
            return False

    def _write(self, entry: Mapping[str, Any]) -> Head:
        is_new = not self.path.exists()
        with self._held() as file:
            if self._seen != _identity(os.fstat(file)):
                self._end = None
            self.open()
            end, self._end = self._end, None  # what a failure leaves is read from the file
            assert end is not None
            line, head = link({**entry, **end.tells}, end.head)
            self._put(file, (b"\n" if end.is_mid_line else b"") + line)
            self._seen = _identity(os.fstat(file))
        if is_new:
            _sync_folder(self.path.parent)
        self._end = _End(head, {}, is_mid_line=False)
        return head

    @contextmanager
    def _held(self) -> Iterator[int]:
        """The newest file, which no other process writes or renames meanwhile. Without locks of the file system one may write."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        while True:
            file = os.open(self.path, flags, MODE)
            try:
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_EX)
                if self._is_named(file):
                    yield file
                    return
            finally:
                os.close(file)

    def _is_named(self, file: int) -> bool:
        """Has it still the name, or did it become full while its lock was waited for?"""
        try:
            return os.path.samestat(os.fstat(file), self.path.stat())
        except FileNotFoundError:
            return False

    @staticmethod
    def _put(file: int, data: bytes) -> None:
        if stat.S_ISFIFO(os.fstat(file).st_mode):  # its reader may stop reading
            raise OSError(errno.EINVAL, PIPE)
        size = os.fstat(file).st_size
        try:
            if os.write(file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, size)  # no half lines
            raise

    def _rotate(self) -> None:
        """A full file gets the next number; those that are too old by its first record are dropped."""
        older = rotated(self.path)
        number = older[-1][0] + 1 if older else 1
        full = self.path.with_name(f"{self.path.name}.{number}")
        self._end = None
        self.path.rename(full)
        _sync_folder(self.path.parent)
        self.open()
        begin, _ = _times(full)
        for _, file in older:
            _, last = _times(file)
            if begin is None or last is None or begin - last <= self._keep:
                return
            if not self._drop(file, last):
                return  # none behind it either: the chain would have a hole

    def _drop(self, file: Path, last: datetime) -> bool:
        """First the record that tells of it, then the deed: a chain whose beginning nobody dropped was tampered with."""
        end = end_of(file)[0] or START
        outcome = f"{file.name} dropped: its last line is of {last.date()}, older than it is kept"
        told = {"dropped": file.name, "through": end.number, "head": end.hash}
        self._write(entry_of(datetime.now(UTC), "audit log", "keep", outcome) | told)
        try:
            file.unlink()
            _sync_folder(file.parent)
        except OSError:  # the next full file is another occasion
            return False
        return True


def entry_of(when: datetime, who: str, what: str, outcome: str, count: int = 1) -> dict[str, Any]:
    """A line of the audit log, as readers know it."""
    entry: dict[str, Any] = {"time": when.isoformat(), "who": who, "what": what, "outcome": outcome}
    return entry | ({"times": count} if count > 1 else {})


def _end_of(path: Path) -> _End:
    """Where the log that is written at `path` ends. Files before the one with the newest record are not read."""
    head, rest, ends_in_line = None, b"", False
    for file in reversed(files(path)):
        head, behind = end_of(file)
        if file == path:
            ends_in_line = _ends_in_line(file)
        rest = behind + rest
        if head is not None:
            break
    whole = rest + b"\n" if rest and ends_in_line else rest
    if head is not None:
        return _End(head, {"cut": sha256(whole)} if is_cut(rest) else {}, ends_in_line)
    return (
        _End(Head(0, sha256(whole)), {"old": len(whole)}, ends_in_line) if rest else _End(START, {}, is_mid_line=False)
    )


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_size


def _ends_in_line(file: Path) -> bool:
    with open_file(file) as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(size - 1, 0))
        return opened.read() not in (b"", b"\n")


def _times(file: Path) -> tuple[datetime | None, datetime | None]:
    """(least, greatest) of its lines, whatever the clock did; None: no line says one."""
    found = []
    for line in lines_of(file):
        with suppress(ValueError, TypeError, LookupError):
            when = datetime.fromisoformat(json.loads(line.raw)["time"])
            found.append(when if when.tzinfo else when.replace(tzinfo=UTC))
    return (min(found), max(found)) if found else (None, None)


def _sync_folder(folder: Path) -> None:
    """So that a file that was made, renamed or removed is so after a power failure too."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
