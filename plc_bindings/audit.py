"""The audit log: who was refused what, and who changed which model. JSON lines, oldest first.

    {"time": "2026-01-31T10:15:00.123456+00:00", "who": "192.168.10.9", "what": "connect", "outcome": "refused: ..."}

It never slows or stops the station: lines are written by a thread, what repeats is folded into one line with a count, the
file is bounded (the one before is kept as `.1`), and a full disk loses lines, which are counted, and nothing else.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

FLUSH_S: Final = 0.5
MOST_WAITING: Final = 1000
"""Different lines that wait to be written; more are counted as lost."""
MOST_BYTES: Final = 8 << 20
"""Of the file, before it becomes `.1`."""
MOST_CHARS: Final = 500
"""Of one text of a line: names come from clients."""
MODE: Final = 0o600

_Line = tuple[str, str, str]


class AuditLog:
    """Appends to `path` from `start` to `stop`. `record` may be called by any thread, at any time."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self.path, self._most_bytes = path, most_bytes
        self._waiting: OrderedDict[_Line, tuple[datetime, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = 0
        self.failure = ""
        """Why the newest lines could not be written; empty when they could."""

    def start(self) -> None:
        """Begin to write."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join(2.0)
            self._thread = None
        self._flush()

    def record(self, who: str, what: str, outcome: str) -> None:
        """Note that `who` wanted `what`, and the outcome. Returns at once; never raises."""
        line = (who[:MOST_CHARS], what[:MOST_CHARS], outcome[:MOST_CHARS])
        with self._lock:
            found = self._waiting.get(line)
            if found is not None:
                self._waiting[line] = (found[0], found[1] + 1)
            elif len(self._waiting) < MOST_WAITING:
                self._waiting[line] = (datetime.now(UTC), 1)
            else:
                self._lost += 1

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_S):
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, OrderedDict()
            lost, self._lost = self._lost, 0
        if not waiting and not lost:
            return
        lines = [_json(when, line, count) for line, (when, count) in waiting.items()]
        if lost:
            lines.append(_json(datetime.now(UTC), ("audit log", "write", "lost lines"), lost))
        try:
            self._append("".join(lines).encode())
            self.failure = ""
        except OSError as error:
            self.failure = f"{self.path}: {error.strerror or error}"
            with self._lock:
                self._lost += lost + len(waiting)

    def _append(self, data: bytes) -> None:
        if self.path.exists() and self.path.stat().st_size + len(data) > self._most_bytes:
            self.path.replace(self.path.with_name(self.path.name + ".1"))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(self.path, flags, MODE)
        try:
            os.write(file, data)
        finally:
            os.close(file)


def _json(when: datetime, line: _Line, count: int) -> str:
    who, what, outcome = line
    entry: dict[str, object] = {"time": when.isoformat(), "who": who, "what": what, "outcome": outcome}
    if count > 1:
        entry["times"] = count
    return json.dumps(entry) + "\n"
