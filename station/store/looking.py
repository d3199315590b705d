"""A store as it is, read by whoever may: the station that holds it goes on, and nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rt_engine.change import ChangeState
from station.errors import StoreError
from station.store.book import FORMAT, UNDER_WAY, book_of
from station.store.journal import read
from station.store.store import Row, rows
from station.store.versions import Versions

_STATES: Final = {
    ChangeState.NONE: "came",
    ChangeState.STAGED: "staged",
    ChangeState.GATE: "in the gate",
    ChangeState.SHADOW: "in shadow",
    ChangeState.TRIAL: "on trial",
    ChangeState.COMMITTED: "was committed",
    ChangeState.REJECTED: "rejected",
    ChangeState.ROLLED_BACK: "rolled back",
}
_ENDED: Final = "the station has ended since: the next start takes it back"


@dataclass(frozen=True, slots=True)
class Looked:
    """What is in a store now."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """What is damaged, in words."""


def look(folder: Path, runs: bool) -> Looked:
    """The store in a folder; `runs`: a station has it open, and may be adding a record now.

    Raises:
        StoreError: there is none, it cannot be read, a newer version of rt-engine wrote it.
    """
    if not (folder / "journal").exists():
        raise StoreError(f"there is no store in {folder}: the first `rt-engine run` makes it")
    try:
        found = read(folder / "journal")
        book = book_of(found)
        if book.format > FORMAT:
            raise StoreError(f"{folder} was written by a newer version of rt-engine; ask that one")
        notes = [f"{one.size} bytes at {one.offset} of the journal are damaged" for one in found.damage]
        if found.cut and not runs:
            notes.append("the journal ends inside a record: it had not taken effect")
        return Looked(rows(book, Versions(folder / "versions")), tuple(notes))
    except OSError as error:
        raise StoreError(f"{error.filename or folder} cannot be read: {error.strerror or error}") from error


def state_words(row: Row) -> str:
    """What a version is, for people."""
    words = row.role or _STATES[row.state]
    return words + (", barred" if row.barred else "") + ("" if row.is_kept else ", file removed")


def why_words(row: Row, runs: bool) -> str:
    """Why it is that, for people."""
    ended = _ENDED if row.state in UNDER_WAY and not runs else ""
    return "; ".join(text for text in (row.why, ended) if text)


def to_json(row: Row) -> dict[str, Any]:
    """All that is known of a version, for programs."""
    version = row.version
    return {
        "slot": version.slot,
        "version": version.number,
        "sha256": version.sha256,
        "file": version.name,
        "bytes": version.size,
        "came": version.time,
        "from": version.who,
        "serial": version.serial,
        "state": row.state.name,
        "role": row.role,
        "since": row.since,
        "who": row.who,
        "why": row.why,
        "barred": row.barred,
        "kept": row.is_kept,
    }
