"""The files of models, by what they are: for recordings that are to be replayed anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from rt_engine.errors import EngineError
from rt_engine.read.external import sha256_of
from rt_engine.read.source import BYTES, opened
from station.store.versions import Versions


class ModelFiles:
    """Finds the file of a model by its SHA-256.

    Args:
        most: bytes; larger ones, and those with external data, are not given.
        store: where every version is; None: there is none.
        others: more files that it may be.
    """

    def __init__(self, most: int, store: Versions | None, others: Callable[[], Iterable[Path]]) -> None:
        self._most, self._store, self._others = most, store, others
        self._known: dict[str, Path] = {}

    def path(self, sha256: str) -> Path | None:
        """Where it is; None: not known, or it is too large."""
        known = self._known.get(sha256)
        if known is None and (known := next((p for p in self._candidates(sha256) if self._is(p, sha256)), None)):
            self._known[sha256] = known
        return known

    def read(self, sha256: str) -> tuple[str, bytes] | None:
        """(its name in a recording, its bytes), if it is what its hash says, now."""
        path = self.path(sha256)
        return None if path is None else read_model(path, sha256)

    def _candidates(self, sha256: str) -> Iterable[Path]:
        if self._store is not None and (kept := self._store.file(sha256)) is not None:
            yield kept
        yield from self._others()

    def _is(self, path: Path, sha256: str) -> bool:
        try:
            return path.stat().st_size <= self._most and read_model(path, sha256) is not None
        except OSError:
            return False


def read_model(path: Path, sha256: str) -> tuple[str, bytes] | None:
    """(name in a recording, bytes) of a model's file, if that is its hash and it needs no other file."""
    try:
        source = opened(path)
        if not isinstance(source.data, BYTES) or source.sha256 != sha256 or sha256_of(source) != sha256:
            return None
        return f"{sha256}{path.suffix}", bytes(source.data)
    except (EngineError, OSError):
        return None
