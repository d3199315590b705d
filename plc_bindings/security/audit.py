"""The audit log: who was refused what, and who changed which model. JSON lines, oldest first.

    {"time": "2026-01-31T10:15:00.123456+00:00", "who": "192.168.10.9", "what": "connect", "outcome": "refused: ..."}

It never slows or stops the station: all that touches the file is done by a thread, and what hangs there is left behind; what
repeats within a minute is folded into one line with a count; refusals beyond a thousand, and then one a second, are only
counted; a full disk loses lines, which are counted too, and nothing else. The file is bounded (the one before is kept as `.1`), so
refusals fill it in hours: what was changed is also written to a log of its own, `audit.changes.jsonl`, which they cannot fill. That is
a hash chain, synced line by line and kept for years (`plc_bindings.security.changes`); a change that the disk does not take waits.
A line that a power cut has cut is ended before the next one is written.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from plc_bindings.security.chain import OWN_KEYS, Head
from plc_bindings.security.changes import KEEP, MODE, MOST_BYTES, PIPE, ChangeLog, entry_of
from rt_native.text import json_safe

FLUSH_S: Final = 0.5
MOST_WAITING: Final = 1000
"""Different lines that wait to be written; more are counted as lost."""
FOLD_S: Final = 60.0
"""A line that was written is not written again for so long; then with a count."""
BURST: Final = 1000
PER_S: Final = 1.0
"""Refusals that are written: so many at once, and then so many a second. Changes are always written."""
MOST_CHANGES: Final = 10_000
"""Changes that wait for a disk that takes nothing; more are counted as lost."""
MOST_CHARS: Final = 500
"""Of one text of a line: names come from clients."""
PATIENCE_S: Final = 2.0
_LOST: Final = ("audit log", "write", "lost lines")

_Line = tuple[str, str, str]
_Seen = tuple[datetime, int]
"""When first, and how often."""


class AuditLog:
    """Appends to `path` from `start` to `stop`. `record` may be called by any thread, at any time."""

    def __init__(
        self,
        path: Path,
        most_bytes: int = MOST_BYTES,
        now: Callable[[], float] = time.monotonic,
        keep: timedelta = KEEP,
    ) -> None:
        self.path, self._most_bytes, self._now = path, most_bytes, now
        self._log = ChangeLog(changes_of(path), most_bytes, keep)
        self._keep = keep
        self._changes: list[dict[str, Any]] = []
        """Those that wait, in their order."""
        self._lost_changes, self._has_lost = 0, False
        self._waiting: dict[_Line, _Seen] = {}
        self._written: dict[_Line, float] = {}
        """Lines of the last minute -> when they may be written again."""
        self._budget, self._then, self._tell_lost = float(BURST), now(), now()
        self._lock, self._one_at_a_time = threading.Lock(), threading.Lock()
        self._wake, self._is_ending = threading.Event(), False
        self._thread: threading.Thread | None = None
        self._lost = 0
        self.head: Head | None = None
        """The newest record of the chain of changes, once it is known: who keeps its hash elsewhere can tell later that nothing
        was cut off."""
        self.failure = ""
        """Why the newest lines could not be written; empty when they could."""

    def start(self) -> None:
        """Begin to write. A place that nothing can be written to is a `failure` soon, not when something happens."""
        self._wake.clear()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the station goes on without
            self._thread, self.failure = None, f"{self.path}: {error}"

    def _obstacle(self) -> str:
        if os.path.lexists(self.path) and stat.S_ISFIFO(os.lstat(self.path).st_mode):
            return f"{self.path}: {PIPE}"
        place = self.path if os.path.lexists(self.path) else self.path.parent
        if os.access(place, os.W_OK):
            return ""
        code = errno.EACCES if os.path.lexists(place) else errno.ENOENT
        return f"{self.path}: {os.strerror(code)}"

    def stop(self) -> None:
        """Write what waits, and end; a place that hangs is waited for no longer than `PATIENCE_S`."""
        if self._thread is not None:
            self._is_ending = True
            self._wake.set()
            self._thread.join(PATIENCE_S)
            if self._thread.is_alive():
                self.failure = f"{self.path}: the place hangs"
            self._thread = None
        else:
            self._flush(is_last=True)

    def record(self, who: str, what: str, outcome: str) -> None:
        """Note that `who` wanted `what`, and was refused. Returns at once; never raises."""
        line = (who[:MOST_CHARS], what[:MOST_CHARS], outcome[:MOST_CHARS])
        with self._lock:
            found = self._waiting.get(line)
            if found is not None:
                self._waiting[line] = (found[0], found[1] + 1)
            elif len(self._waiting) < MOST_WAITING and self._may_write():
                self._waiting[line] = (datetime.now(UTC), 1)
            else:
                self._lost += 1

    def record_change(self, who: str, what: str, outcome: str, **more: str | int) -> None:
        """Note that `who` changed `what`. Returns at once; never raises.

        `more`: what programs look for (`slot`, `sha256`, `state`, ...), each a key of its own; the chain's keys (`OWN_KEYS`)
        are not among them.
        """
        assert not set(OWN_KEYS) & more.keys()
        entry = entry_of(datetime.now(UTC), who[:MOST_CHARS], what[:MOST_CHARS], outcome[:MOST_CHARS])
        entry |= {key: value[:MOST_CHARS] if isinstance(value, str) else int(value) for key, value in more.items()}
        with self._lock:
            if len(self._changes) < MOST_CHANGES:
                self._changes.append(entry)
            else:
                self._lost_changes, self._has_lost = self._lost_changes + 1, True
        self._wake.set()

    def settled(self) -> bool:
        """Write what waits, now; is every change that was recorded on the disk? For who may wait for it."""
        with self._one_at_a_time:
            self._write(is_last=False)
            with self._lock:
                return not self._changes and not self._has_lost

    def _may_write(self) -> bool:
        now = self._now()
        self._budget = min(self._budget + (now - self._then) * PER_S, BURST)
        self._then = now
        if self._budget < 1.0:
            return False
        self._budget -= 1.0
        return True

    def _run(self) -> None:
        self.failure = self._obstacle()
        with suppress(OSError):  # told when something is to be written
            self.head = self._log.open()
        while not self._is_ending:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            self._flush()
        self._flush(is_last=True)

    def _flush(self, is_last: bool = False) -> None:
        """Write the lines that are due; the last time, all."""
        with self._one_at_a_time:
            self._write(is_last)

    def _write(self, is_last: bool) -> None:
        copies, trouble = self._flush_changes()
        due, lost = self._due(is_last)
        seen = [entry_of(when, *line, count) for line, (when, count) in due.items()]
        lines = sorted((*copies, *seen), key=lambda entry: str(entry["time"]))
        if lost:
            lines.append(entry_of(datetime.now(UTC), *_LOST, lost))
        try:
            if lines:
                self._append(self.path, [json_safe(json.dumps(entry)) + "\n" for entry in lines])
        except OSError as error:
            trouble = trouble or f"{self.path}: {error.strerror or error}"
            with self._lock:
                self._lost += lost + sum(count for _, count in due.values())
        if lines or trouble:
            self.failure = trouble

    def _due(self, is_last: bool) -> tuple[dict[_Line, _Seen], int]:
        """Refusals that are due, and how many lines were lost that nobody was told of."""
        now = self._now()
        with self._lock:
            self._written = {line: until for line, until in self._written.items() if until > now}
            due = {line: seen for line, seen in self._waiting.items() if is_last or line not in self._written}
            for line in due:
                del self._waiting[line]
            self._written |= dict.fromkeys(due, now + FOLD_S)
            lost = self._lost if is_last or now >= self._tell_lost else 0
            self._lost -= lost
            if lost:
                self._tell_lost = now + FOLD_S
        return due, lost

    def _flush_changes(self) -> tuple[list[dict[str, Any]], str]:
        """(the changes that are in the chain now, why the others are not: they wait)."""
        with self._lock:
            waiting, self._changes = self._changes, []
            lost, self._lost_changes = self._lost_changes, 0
        if lost:
            waiting.append(entry_of(datetime.now(UTC), *_LOST, lost))
        for done, entry in enumerate(waiting):
            try:
                self.head = self._log.append(entry)
            except OSError as error:
                with self._lock:
                    self._changes[:0] = waiting[done:]
                return waiting[:done], self._why(error, len(waiting) - done)
        return waiting, ""

    def _why(self, error: OSError, count: int) -> str:
        why = f"{self._log.path}: {error.strerror or error}; {count} changes wait to be written"
        if error.errno == errno.ENOSPC:
            why += f". Changes are kept for {self._keep.days} days, so none is dropped to make room"
        return why

    def _append(self, path: Path, lines: Sequence[str]) -> None:
        data = "".join(lines).encode()
        if path.exists() and path.stat().st_size + len(data) > self._most_bytes:
            path.replace(path.with_name(path.name + ".1"))
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(path, flags, MODE)
        try:
            if stat.S_ISFIFO(os.fstat(file).st_mode):  # its reader may stop reading
                raise OSError(errno.EINVAL, PIPE)
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                data = b"\n" + data
            if os.write(file, data) < len(data):
                os.ftruncate(file, size)  # no half lines
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)


def changes_of(path: Path) -> Path:
    """Where the changes of an audit log are written: `audit.jsonl` -> `audit.changes.jsonl`."""
    return path.with_suffix(f".changes{path.suffix}")
