"""The models that ran in a recording: which, and where their files are.

which    slot, number -> SHA-256     what the recording says of its versions
where    attached to the recording, then folders: of models, or a station's store
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rt_engine.errors import EngineError, RecordingError
from rt_engine.read.external import sha256_of
from rt_engine.read.source import Source, opened
from rt_engine.recording import Recording, Version
from rt_engine.recording.contents import version_of
from station.errors import StoreError
from station.store.versions import Versions

SUFFIXES: Final = (".onnx", ".rtp")
MOST_FILES: Final = 10_000
MOST_VERSIONS: Final = 1000
"""Of a task's models: each has a context of its own while it is repeated."""
_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Missing:
    """A model that is nowhere, or (`why`) that cannot be loaded here."""

    slot: str
    number: int
    sha256: str
    why: str = ""

    def __str__(self) -> str:
        if not self.sha256:
            return f"model {self.slot}, version {self.number}: the recording does not say which file it was"
        words = f"model {self.slot}, version {self.number}: SHA-256 {self.sha256}"
        return f"{words}; it is there, and cannot be loaded: {self.why}" if self.why else words


def versions_of(recording: Recording, task: str) -> dict[str, dict[int, Version]]:
    """Slot -> number -> version, of all models of a task.

    Raises:
        RecordingError: there are more than `MOST_VERSIONS`.
    """
    known = [version for file in recording.files for version in file.versions]
    told = [version for event in recording.events if (version := version_of(event)) is not None]
    found: dict[str, dict[int, Version]] = {}
    for version in (*known, *told):
        if version.task == task:
            found.setdefault(version.model, {})[version.number] = version
    if (many := sum(map(len, found.values()))) > MOST_VERSIONS:
        raise RecordingError(
            f"task '{task}' of the recording names {many:,} versions of models, and at most {MOST_VERSIONS:,} are repeated at once; "
            f"cut it by time first: rt-engine recording cut"
        )
    return found


class Search:
    """Finds model files by their SHA-256.

    Args:
        recording: what is attached to it comes first.
        folders: of model files, or of a station's store; looked through when something is not attached.
    """

    def __init__(self, recording: Recording, folders: Sequence[Path] = ()) -> None:
        self._recording, self._folders = recording, tuple(folders)
        self._known: dict[str, Path] | None = None

    def find(self, sha256: str) -> Source | None:
        """The file with that hash, read; None: it is nowhere."""
        if not sha256:
            return None
        with suppress(RecordingError):  # a damaged attachment is as good as none
            data = self._recording.model(sha256)
            if data is not None and _is(source := Source(bytes(data), f"{sha256[:_DIGITS]} of the recording"), sha256):
                return source
        for folder in self._folders:
            for versions in (Versions(folder / "versions"), Versions(folder)):
                with suppress(StoreError, OSError):
                    return versions.source(sha256)
        if self._known is None:
            self._known = {found: path for path in self._files() if (found := _hash(path))}
        path = self._known.get(sha256)
        return None if path is None else opened(path)

    def _files(self) -> Iterator[Path]:
        for folder in self._folders:
            files = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES)
            yield from files[:MOST_FILES]


def _hash(path: Path) -> str:
    """SHA-256 of a model's file with what it needs; "" where it cannot be read."""
    try:
        return sha256_of(opened(path))
    except (EngineError, OSError):
        return ""


def _is(source: Source, sha256: str) -> bool:
    try:
        return sha256_of(source) == sha256
    except EngineError:
        return False
