"""The files of a station's recordings in their folder: names, sizes, and which go when there are too many.

    bench-000042-20261128T233000Z-fault.mcap       station, number, UTC when it was begun, why

The number decides which is older: a clock may be set back. Files with other names are nobody's here, and are never touched.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rt_engine.recording.recording import SUFFIX

SALVAGED: Final = "salvaged"
_FORM: Final = re.compile(r"(?P<number>[0-9]{6,12})-(?P<when>[0-9]{8}T[0-9]{6}Z)-(?P<why>[a-z]{1,20})\.mcap", re.ASCII)
_TIME: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Kept:
    """A recording's file. `begun`: UTC, by the clock of then."""

    path: Path
    number: int
    begun: datetime
    why: str
    size: int

    def to_json(self) -> dict[str, str | int]:
        """Plain."""
        begun = self.begun.isoformat().replace("+00:00", "Z")
        return {"file": str(self.path), "number": self.number, "begun": begun, "why": self.why, "size": self.size}


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder of a station's recordings."""

    folder: Path
    station: str

    def kept(self) -> list[Kept]:
        """What is there, oldest first; nothing where there is no folder. Raises OSError: it cannot be read."""
        try:
            with os.scandir(self.folder) as entries:
                found = list(self._ours(entries))
        except FileNotFoundError:
            return []
        return sorted(found, key=lambda one: one.number)

    def _ours(self, entries: Iterator[os.DirEntry[str]]) -> Iterator[Kept]:
        for entry in entries:
            head, _, rest = entry.name.partition(f"{self.station}-")
            match = _FORM.fullmatch(rest) if not head else None
            if match is None:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
                begun = datetime.strptime(match["when"], _TIME).replace(tzinfo=UTC)
            except (OSError, ValueError):  # it has just gone; a name that only looks like ours
                continue
            if stat.S_ISREG(status.st_mode):
                yield Kept(self.folder / entry.name, int(match["number"]), begun, match["why"], status.st_size)

    def next_path(self, why: str, utc_ns: int) -> Path:
        """For a new file. Raises OSError."""
        number = max((one.number for one in self.kept()), default=0) + 1
        when = datetime.fromtimestamp(max(0, utc_ns) / 1e9, UTC).strftime(_TIME)
        return self.folder / f"{self.station}-{number:06}-{when}-{why}{SUFFIX}"

    def make_room(self, quota: int, writing: frozenset[Path]) -> tuple[int, int, int]:
        """Remove the oldest, but none of `writing`, until all take no more than `quota` bytes.

        Gives how many there are, their bytes, and how many were removed. Raises OSError: the folder cannot be read.
        """
        kept = self.kept()
        size, removed = sum(one.size for one in kept), 0
        for one in kept:
            if size <= quota:
                break
            if one.path in writing:
                continue
            try:
                one.path.unlink(missing_ok=True)
            except OSError:  # of another user, or on a disk that is read only: the next one
                continue
            size, removed = size - one.size, removed + 1
        return len(kept) - removed, size, removed
