"""The files that are being written: one for each episode, a new one when it is long enough. The writer's thread alone.

A disk that is full, or that is gone, is an OSError here, and no more: what could not be written waits, and is tried again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rt_engine.recording.contents import MODELS, Event, Version
from rt_engine.recording.layout import TaskLayout
from rt_engine.recording.writer import Writer
from station.recorder.episodes import Episode
from station.recorder.shelf import Shelf
from station.terms.recorder import RecorderTable

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
SHARE: Final = 4
"""A file takes no more than this part of the quota."""
TRIES: Final = 60
"""A new version's file is known only when it is live."""
SET_NS: Final = 50_000_000
"""The clock was set when UTC is so far from where it was."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both in nanoseconds."""

    monotonic: Callable[[], int]
    utc: Callable[[], int]

    def offset_ns(self) -> int:
        """UTC minus the clock of the tasks."""
        return self.utc() - self.monotonic()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a recording says besides its cycles.

    Args:
        layouts: of the recorded tasks.
        station: the station file, as it was read.
        about: machine and software.
        versions: those known now.
        model: the file of a model by its SHA-256, with the name that it has in a recording; None: not known, or too large.
        files: what else is attached, by name.
    """

    layouts: tuple[TaskLayout, ...]
    station: str
    about: Mapping[str, str]
    versions: Callable[[], Iterable[Version]] = tuple
    model: Callable[[str], tuple[str, bytes] | None] = lambda sha256: None
    files: Mapping[str, bytes] = field(default_factory=dict)


class Piece:
    """One file that is being written."""

    def __init__(self, path: Path, why: str, facts: Facts, compression: str, clocks: Clocks) -> None:
        self.path, self.begin_ns = path, clocks.monotonic()
        self._facts, self._clocks = facts, clocks
        self._offset_ns = clocks.offset_ns()
        versions = tuple(facts.versions())
        self._known = set(versions)
        models = {made[0]: made[1] for sha256 in _hashes(versions) if (made := facts.model(sha256)) is not None}
        self._writer = Writer(
            path,
            facts.layouts,
            offset_ns=self._offset_ns,
            about={**facts.about, "why": why},
            station=facts.station,
            versions=versions,
            attachments={**facts.files, **{f"{MODELS}{name}": data for name, data in models.items()}},
            compression=compression,
        )
        self._attached = _hashes(versions)
        self._wanted: dict[str, int] = {}
        """Models of versions that came later, until they are found or were looked for so often."""
        status = path.stat()
        self._file = status.st_dev, status.st_ino

    @property
    def nbytes(self) -> int:
        """Of the file."""
        return self._writer.nbytes

    def add(self, kind: str, task: str, records: Any) -> None:
        """Records or checkpoints; they wait where the disk does not take them (OSError)."""
        (self._writer.add_records if kind == "records" else self._writer.add_checkpoints)(task, records)

    def event(self, kind: str, text: str, tick_ns: int | None = None, **more: Any) -> None:
        """Something that happened, now or at a tick."""
        event: Event = {"tick_ns": self._clocks.monotonic() if tick_ns is None else tick_ns, "kind": kind, "text": text}
        self._writer.add_event(event | more)

    def flush(self) -> None:
        """What waits is in the file. Raises OSError: it is not, and waits on; or the file is gone."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "the file is gone", str(self.path)) from None
        if (status.st_dev, status.st_ino) != self._file:
            raise FileNotFoundError(errno.ENOENT, "another file is in the place of this one", str(self.path))
        self._writer.flush()

    def look(self) -> int:
        """Note versions that are new, and that the clock was set; gives by how much, in nanoseconds."""
        for version in self._facts.versions():
            if version not in self._known:
                self._known.add(version)
                self.event(
                    "version", f"version {version.number} of {version.model}", task=version.task,
                    number=version.number, sha256=version.sha256, model=version.model,
                )  # fmt: skip
                if version.sha256 not in self._attached:
                    self._wanted.setdefault(version.sha256, TRIES)
        for sha256, tries in list(self._wanted.items()):
            made = self._facts.model(sha256)
            if made is not None:
                self._attached |= {sha256}
                self._writer.attach(f"{MODELS}{made[0]}", made[1])
            if made is not None or not tries:
                del self._wanted[sha256]
            else:
                self._wanted[sha256] = tries - 1
        offset_ns = self._clocks.offset_ns()
        moved_ns = offset_ns - self._offset_ns
        if abs(moved_ns) < SET_NS:
            return 0
        self._offset_ns = offset_ns
        self.event("offset", f"the clock was set by {moved_ns / 1e9:+.3f} s", offset_ns=offset_ns)
        return moved_ns

    def sync(self) -> None:
        """What was written survives a power cut."""
        self._writer.sync()

    def close(self) -> None:
        """The file is whole."""
        self._writer.close()

    def abandon(self) -> None:
        """Give it up, with what waits."""
        self._writer.discard()
        try:
            self._writer.close()
        except OSError:
            return


class Pieces:
    """All of them.

    Args:
        shelf: where.
        table: how long, how large, how packed.
        facts: what each says besides its cycles.
    """

    def __init__(self, shelf: Shelf, table: RecorderTable, facts: Facts, clocks: Clocks) -> None:
        self._shelf, self._table, self._facts, self._clocks = shelf, table, facts, clocks
        self.ground = Ground(shelf.folder)
        longest_ns, largest = table.file
        self._longest_ns = longest_ns or 1 << 62
        self._largest = min(largest or 1 << 62, max(1, table.quota // SHARE))
        self._open: dict[int, tuple[Episode, Piece]] = {}
        self.newest = ""
        """Name of the newest file."""
        self.files, self.nbytes, self.removed = 0, 0, 0

    @property
    def open(self) -> tuple[Piece, ...]:
        """Those that are being written. Any thread."""
        return tuple(piece for _, piece in tuple(self._open.values()))  # a copy at once: the writer's thread changes it

    def of(self, episode: Episode) -> Piece:
        """The file of an episode, made where there is none, or where the one before is full. Raises OSError."""
        _, piece = self._open.get(episode.number, (episode, None))
        if piece is not None and not self._is_full(piece):
            return piece
        if piece is not None:
            self.end(episode)
        self.ground.make()
        path = self._shelf.next_path(episode.why, self._clocks.utc())
        piece = Piece(path, episode.why, self._facts, self._table.compression, self._clocks)
        self._open[episode.number] = episode, piece
        self.newest = path.name
        return piece

    def _is_full(self, piece: Piece) -> bool:
        is_old = self._clocks.monotonic() - piece.begin_ns >= self._longest_ns
        return is_old or piece.nbytes >= self._largest

    def note_fired(self) -> None:
        """The triggers of each episode that has a file."""
        for episode, piece in self._open.values():
            for fired in episode.taken():
                piece.event("trigger", fired.text or fired.kind, fired.tick_ns, task=fired.task, trigger=fired.kind)

    def end(self, episode: Episode) -> None:
        """Its file is whole; nothing where it has none. Raises OSError: it stays as one that was cut."""
        _, piece = self._open.pop(episode.number, (episode, None))
        if piece is not None:
            piece.close()

    def gone(self) -> None:
        """Give up all files: their disk is not what it was."""
        for piece in self.open:
            piece.abandon()
        self._open.clear()

    def keep_quota(self) -> None:
        """The oldest go. Raises OSError."""
        writing = frozenset(piece.path for piece in self.open)
        self.files, self.nbytes, removed = self._shelf.make_room(self._table.quota, writing)
        self.removed += removed


def _hashes(versions: Iterable[Version]) -> frozenset[str]:
    return frozenset(version.sha256 for version in versions)


def is_full(error: OSError) -> bool:
    """Is it a disk without room, which may have some again?"""
    return error.errno in FULL


class Ground:
    """Where the files go: a folder on the disk on which it was at the start.

    It is made with all above it at the start; later only itself, and only while a disk is mounted where one was: so that what
    stands in a disk's place while it is gone is not filled.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mount: Path | None = None

    def begin(self) -> None:
        """The start. Raises OSError: there can be no such folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        real = self._folder.resolve()
        self._mount = next(place for place in (real, *real.parents) if os.path.ismount(place))

    def make(self) -> None:
        """The folder is there. Raises OSError: it is not."""
        if self._mount is not None and not os.path.ismount(self._mount):
            raise FileNotFoundError(errno.ENOENT, f"the disk is gone that was mounted at {self._mount}")
        self._folder.mkdir(exist_ok=True)

    def probe(self) -> None:
        """Could something be written there now? Nothing is. Raises OSError: it could not."""
        self.make()
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it may not be written", str(self._folder))
        disk = os.statvfs(self._folder)
        if not (disk.f_bavail if os.geteuid() else disk.f_bfree):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
