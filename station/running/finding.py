"""Stations that run on this computer, and where they answer: found by file or name, whatever environment they were started in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from station.errors import NotRunningError
from station.machine.claims import Holder, address, claimed_texts, holder

_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Running:
    """A station that runs on this computer: its name, which file it has, who runs it."""

    name: str
    identity: str
    by: Holder

    @property
    def place(self) -> Path:
        """Where it answers."""
        return Path(address("station", self.identity))

    def __str__(self) -> str:
        return self.name if self.by.hears_us else f"{self.name} (user {self.by.user}'s)"


def identity(file: Path) -> str:
    """The same for every path that leads to a station file, also when an editor has replaced the file.

    Raises:
        OSError: its folder cannot be looked at.
    """
    real = file.resolve()
    folder = real.parent.stat()
    return sha256(f"{folder.st_dev} {folder.st_ino} {os.fsencode(real.name)!r}".encode()).hexdigest()[:_DIGITS]


def running_stations() -> list[Running]:
    """All stations that run on this computer, of all users."""
    found = (text.rpartition("/") for text in claimed_texts("name"))
    seen = [(name, known, holder("station", known)) for name, _, known in found]
    return [Running(name, known, by) for name, known, by in seen if by is not None]


def place_of_file(file: Path) -> Path | None:
    """Where the station of this file answers; None: it does not run, or cannot be seen from here.

    Raises:
        NotRunningError: another user runs it.
    """
    try:
        known = identity(file)
    except OSError:
        return None
    by = holder("station", known)
    return None if by is None else _heard(Running(str(file), known, by))


def place_of_name(name: str) -> Path | None:
    """Where the station of this name answers; None: none runs, or it cannot be seen from here.

    Raises:
        NotRunningError: another user runs it, or several have this name.
    """
    found = [station for station in running_stations() if station.name == name]
    return _only(found, f"several stations named {name} run; say which by its file") if found else None


def only_place() -> Path:
    """Where the only station that runs answers.

    Raises:
        NotRunningError: none runs, or several do; it names them.
    """
    found = running_stations()
    if not found:
        raise NotRunningError("no station runs (start one: rt-engine run station.toml)")
    names = ", ".join(str(station) for station in found if station.by.hears_us)
    return _only(found, f"several stations run: {names}; say which with --station")


def _only(found: list[Running], several: str) -> Path:
    """The only one of this user's; else of those that hear us; else one of another user, which is said to be that."""
    heard = [station for station in found if station.by.hears_us] or found
    own = [station for station in heard if station.by.uid == os.getuid()] or heard
    if len(own) > 1 and own[0].by.hears_us:
        raise NotRunningError(several)
    return _heard(own[0])


def _heard(station: Running) -> Path:
    if station.by.hears_us:
        return station.place
    user = f"'#{station.by.uid}'" if station.by.user.isdigit() else station.by.user  # sudo's way to say a number
    raise NotRunningError(
        f"station '{station.name}' is another user's ({station.by}): only that user and root can talk to it; "
        f"sudo -u {user} rt-engine status --station {station.name}"
    )
