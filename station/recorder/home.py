"""Where the rings of a station lie: in shared memory, so that they outlive its process.

    /dev/shm/rt-engine-1000/bench-2f6c.../4711-18d2a1.0.ring     station and its file; process, time; task
    /dev/shm/rt-engine-1000/bench-2f6c.../4711-18d2a1.facts      what a recording of them must say: station file, versions, model files

A ring is locked by the process that has it; who ends lets go, however it ends. What nobody has is left, and can be saved.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rt_engine.recording.contents import Version
from rt_native.files import write_whole
from station.errors import UnsafeFolderError
from station.machine.folders import own_folder, temporary

BASE: Final = "/dev/shm"
RING, FACTS = ".ring", ".facts"
MOST_FACTS: Final = 64 << 20
_NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Left:
    """What a process has left: its rings, and what it said of them."""

    pid: int
    rings: tuple[Path, ...]
    facts: Path


@dataclass(frozen=True, slots=True)
class SavedFacts:
    """What can be said of rings when their process is gone. `models`: SHA-256 -> where its file was; `files`: name -> text."""

    station: str = ""
    about: Mapping[str, str] | None = None
    versions: tuple[Version, ...] = ()
    models: Mapping[str, str] | None = None
    files: Mapping[str, str] | None = None

    def to_json(self) -> str:
        """For `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SavedFacts:
        """What `to_json` wrote; what is not to be understood is empty."""
        try:
            plain = json.loads(text)
            versions = tuple(Version(**one) for one in plain["versions"])
            return cls(
                str(plain["station"]),
                *(_texts(plain["about"]), versions, _texts(plain["models"]), _texts(plain["files"])),
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            return cls()


def _texts(plain: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in (plain or {}).items()}


class Home:
    """The folder of a station's rings.

    Args:
        name: of the station; `known` tells stations with the same name apart.
    """

    def __init__(self, name: str, known: str) -> None:
        self.folder = temporary(BASE) / f"{name}-{known}"

    def new(self) -> Path:
        """What names of this process's rings begin with. Raises OSError, UnsafeFolderError: there can be no such folder."""
        own_folder(self.folder.parent)
        own_folder(self.folder)
        return self.folder / f"{os.getpid()}-{time.time_ns():x}{next(_NUMBERS)}"

    def left(self) -> list[Left]:
        """What processes that have ended have left, oldest first."""
        groups: dict[str, list[Path]] = {}
        with suppress(OSError, UnsafeFolderError):
            own_folder(self.folder.parent)
            own_folder(self.folder)
            for path in sorted(self.folder.iterdir(), key=_age):
                if path.suffix in (RING, FACTS):
                    groups.setdefault(path.name.partition(".")[0], []).append(path)
        found = []
        for stem, paths in groups.items():
            rings = tuple(sorted(path for path in paths if path.suffix == RING))
            facts = self.folder / f"{stem}{FACTS}"
            pid = stem.partition("-")[0]
            if pid.isdecimal() and not any(map(is_held, (*rings, facts))):
                found.append(Left(int(pid), rings, facts))
        return found

    def sweep(self) -> None:
        """Forget what processes have left of which nobody wants a recording: rings of a page alone, about which no facts are said."""
        for left in self.left():
            if not left.facts.exists():
                forget(left)


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def ring_path(stem: Path, number: int) -> Path:
    """Of a task's ring."""
    return stem.with_name(f"{stem.name}.{number}{RING}")


def facts_path(stem: Path) -> Path:
    """Of what is said of all of them."""
    return stem.with_name(f"{stem.name}{FACTS}")


def write_facts(path: Path, facts: SavedFacts) -> None:
    """All of it or nothing. Raises OSError."""
    write_whole(path, facts.to_json().encode())


def read_facts(path: Path) -> SavedFacts:
    """What was said; nothing, where that cannot be read."""
    try:
        with path.open("rb") as file:
            return SavedFacts.from_json(file.read(MOST_FACTS).decode())
    except (OSError, UnicodeDecodeError):
        return SavedFacts()


def is_held(path: Path) -> bool:
    """Has a living process this ring?"""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def forget(left: Left) -> None:
    """Nobody needs it any more."""
    for path in (*left.rings, left.facts):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def forget_stem(stem: Path) -> None:
    """Nobody needs what is said of rings that are gone."""
    with suppress(OSError):
        facts_path(stem).unlink(missing_ok=True)
        stem.parent.rmdir()  # unless another has something in it
