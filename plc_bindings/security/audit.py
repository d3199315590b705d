"""The audit log: who was refused what, and who changed which model. JSON lines, oldest first.

    {"time": "2026-01-31T10:15:00.123456+00:00", "who": "192.168.10.9", "what": "connect", "outcome": "refused: ..."}

It never slows or stops the station: all that touches the file is done by a thread, and what hangs there is left behind; what
repeats within a minute is folded into one line with a count; refusals beyond a thousand, and then one a second, are only
counted; a full disk loses lines, which are counted too, and nothing else. The file is bounded (the one before is kept as `.1`), so
refusals fill it in hours: what was changed is also written to a file of its own, `audit.changes.jsonl`, which they cannot fill.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rt_native.text import json_safe

FLUSH_S: Final = 0.5
MOST_WAITING: Final = 1000
"""Different lines that wait to be written; more are counted as lost."""
FOLD_S: Final = 60.0
"""A line that was written is not written again for so long; then with a count."""
BURST: Final = 1000
PER_S: Final = 1.0
"""Refusals that are written: so many at once, and then so many a second. Changes are always written."""
MOST_BYTES: Final = 8 << 20
"""Of the file, before it becomes `.1`."""
MOST_CHARS: Final = 500
"""Of one text of a line: names come from clients."""
MODE: Final = 0o600
PATIENCE_S: Final = 2.0
_FIFO: Final = "a pipe is there, not a file; remove it, or name another place"

_Line = tuple[str, str, str]
_Seen = tuple[datetime, int, bool]
"""When first, how often, and whether it is a change."""


class AuditLog:
    """Appends to `path` from `start` to `stop`. `record` may be called by any thread, at any time."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES, now: Callable[[], float] = time.monotonic) -> None:
        self.path, self._most_bytes, self._now = path, most_bytes, now
        self._waiting: dict[_Line, _Seen] = {}
        self._written: dict[_Line, float] = {}
        """Lines of the last minute -> when they may be written again."""
        self._budget, self._then, self._tell_lost = float(BURST), now(), now()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = 0
        self.failure = ""
        """Why the newest lines could not be written; empty when they could."""

    def start(self) -> None:
        """Begin to write. A place that nothing can be written to is a `failure` soon, not when something happens."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the station goes on without
            self._thread, self.failure = None, f"{self.path}: {error}"

    def _obstacle(self) -> str:
        if os.path.lexists(self.path) and stat.S_ISFIFO(os.lstat(self.path).st_mode):
            return f"{self.path}: {_FIFO}"
        place = self.path if os.path.lexists(self.path) else self.path.parent
        if os.access(place, os.W_OK):
            return ""
        code = errno.EACCES if os.path.lexists(place) else errno.ENOENT
        return f"{self.path}: {os.strerror(code)}"

    def stop(self) -> None:
        """Write what waits, and end; a place that hangs is waited for no longer than `PATIENCE_S`."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join(PATIENCE_S)
            if self._thread.is_alive():
                self.failure = f"{self.path}: the place hangs"
            self._thread = None
        else:
            self._flush(is_last=True)

    def record(self, who: str, what: str, outcome: str) -> None:
        """Note that `who` wanted `what`, and was refused. Returns at once; never raises."""
        self._record((who[:MOST_CHARS], what[:MOST_CHARS], outcome[:MOST_CHARS]), is_change=False)

    def record_change(self, who: str, what: str, outcome: str) -> None:
        """Note that `who` changed `what`. Returns at once; never raises."""
        self._record((who[:MOST_CHARS], what[:MOST_CHARS], outcome[:MOST_CHARS]), is_change=True)

    def _record(self, line: _Line, is_change: bool) -> None:
        with self._lock:
            if is_change:
                self._written.pop(line, None)
            found = self._waiting.get(line)
            if found is not None:
                self._waiting[line] = (found[0], found[1] + 1, found[2] or is_change)
            elif is_change or (len(self._waiting) < MOST_WAITING and self._may_write()):
                self._waiting[line] = (datetime.now(UTC), 1, is_change)
            else:
                self._lost += 1

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
        while not self._stop.wait(FLUSH_S):
            self._flush()
        self._flush(is_last=True)

    def _flush(self, is_last: bool = False) -> None:
        """Write the lines that are due; the last time, all."""
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
        if not due and not lost:
            return
        lines = [_json(when, line, count) for line, (when, count, _) in due.items()]
        changes = [_json(when, line, count) for line, (when, count, is_change) in due.items() if is_change]
        if lost:
            lines.append(_json(datetime.now(UTC), ("audit log", "write", "lost lines"), lost))
        try:
            self._append(self.path, lines)
            if changes:
                self._append(self.path.with_suffix(f".changes{self.path.suffix}"), changes)
            self.failure = ""
        except OSError as error:
            self.failure = f"{self.path}: {error.strerror or error}"
            with self._lock:
                self._lost += lost + sum(count for _, count, _ in due.values())

    def _append(self, path: Path, lines: Sequence[str]) -> None:
        data = "".join(lines).encode()
        if path.exists() and path.stat().st_size + len(data) > self._most_bytes:
            path.replace(path.with_name(path.name + ".1"))
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(path, flags, MODE)
        try:
            if stat.S_ISFIFO(os.fstat(file).st_mode):  # its reader may stop reading
                raise OSError(errno.EINVAL, _FIFO)
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                data = b"\n" + data
            if os.write(file, data) < len(data):
                os.ftruncate(file, size)  # no half lines
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)


def _json(when: datetime, line: _Line, count: int) -> str:
    who, what, outcome = line
    entry: dict[str, object] = {"time": when.isoformat(), "who": who, "what": what, "outcome": outcome}
    if count > 1:
        entry["times"] = count
    return json_safe(json.dumps(entry)) + "\n"
