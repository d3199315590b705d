"""The store of a station: every version of its models, and what became of each; it survives the end of the station.

    add -> [STAGED] -> put_program, put_report -> [GATE] -> [SHADOW] -> [TRIAL] -> [COMMITTED]      [..]: `record`

    store/               folder, 0700                   lock       held by the station that runs
    store/journal        what happened (journal.py)     versions/  the files (versions.py)

A state takes effect when `record` has returned: then it is on the disk. One record holds all slots of a change, so that they
have one fate. Whatever ends a station, when it is opened again each slot has the version that was committed last.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rt_engine.binding import Binding
from rt_engine.change import ChangeState
from rt_engine.read.external import sha256_of
from rt_engine.read.source import BYTES, Source
from rt_native.trust import judged, unsafe
from station.errors import StoreError
from station.store.book import FORMAT, UNDER_WAY, Book, Came, Entry, SlotBook, book_of
from station.store.files import FILE_MODE, FOLDER_MODE, sync_folder
from station.store.journal import Journal, Read, Record, read
from station.store.versions import Versions

KEEP: Final = 20
MOST_CHARS: Final = 1000
"""Of one text of a record: names and reasons come from others."""
STATION_FILE: Final = "station file"
"""Who commits the version that the station file names."""
STATION: Final = "the station"
"""Who ends what was under way when the station ended."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a slot's model, as it came."""

    slot: str
    sha256: str
    number: int
    """1, 2, 3, ... in the order in which they came to the slot; 0: the record of its coming is damaged."""
    name: str
    """The name of its file."""
    size: int
    """Bytes of its file."""
    who: str
    time: str
    """When it came: UTC, ISO 8601."""
    signature: bytes = b""
    """As it came with it (`plc_bindings.security.signing`): a .sig file or a bundle; empty: it has none."""

    @property
    def serial(self) -> int | None:
        """The serial number of its signature; None: it is not signed, or by a bundle without one."""
        if not self.signature:
            return None
        from plc_bindings.errors import SigningError
        from plc_bindings.security.signing import serial_of  # late: most stores are read without cryptography

        try:
            return serial_of(self.signature)
        except SigningError:
            return None


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one version of a slot: how it came, what became of it, what it is now."""

    version: Version
    state: ChangeState
    """The last one; NONE: it came, and nothing was done with it."""
    since: str
    who: str
    """Who put it in that state."""
    why: str
    role: str
    """"committed": it runs, or will after a restart; "previous": a rollback goes back to it; else empty."""
    barred: str = ""
    """Why it may not come again; empty: it may."""
    is_kept: bool = True
    """Is its file in the store?"""


@dataclass(frozen=True, slots=True)
class Ended:
    """A change that was under way when the station ended, and what it is now: REJECTED or ROLLED_BACK."""

    change: int
    slots: Mapping[str, str]
    """Slot -> version, SHA-256."""
    was: ChangeState
    state: ChangeState
    why: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a store held when it was opened."""

    committed: Mapping[str, Version]
    """Slot -> the version that was committed last; slots without one are not in it."""
    ended: tuple[Ended, ...] = ()
    notes: tuple[str, ...] = ()
    """What was damaged, and what that means, in words."""


class Store:
    """The store in a folder. `open` first, `close` at last; any thread between them.

    All methods that write raise `StoreError` when what they write is not on the disk: then nothing was changed.

    Args:
        folder: made when the store is opened; the folder above it is there.
        keep: so many versions of each slot keep their files, besides those that run, ran before, are under way, or are the
            station file's.
        now: the time.
    """

    def __init__(self, folder: Path, keep: int = KEEP, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.folder, self._keep, self._now = folder, keep, now
        self.files = Versions(folder / "versions")
        self._book = Book()
        self._journal: Journal | None = None
        self._held = -1
        self._lock = threading.RLock()

    # --- life ---------------------------------------------------------------------------------------------------------

    def open(self) -> Recovered:
        """Hold the store, made if it is not there; end what was under way; remove what was never finished.

        Raises:
            StoreError: another process holds it, it cannot be written, another user could write it, a newer version of
                rt-engine wrote it.
        """
        with self._lock, self._told("cannot be opened"):
            self._hold()
            try:
                found = read(self.folder / "journal")
                self._book = book_of(found)
                if self._book.format > FORMAT:
                    raise StoreError(f"{self.folder} was written by a newer version of rt-engine; run that one")
                self._journal = Journal(self.folder / "journal")
                notes = self._mend(found)
                self.files.sweep()
                ended = tuple(self._end_all())
                self._prune()
                return Recovered(self._all_committed(), ended, notes)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Let go of the store."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()
            if self._held >= 0:
                os.close(self._held)
            self._journal, self._held = None, -1

    # --- what comes ---------------------------------------------------------------------------------------------------

    def add(self, slot: str, source: Source, who: str, signature: bytes | None = None) -> Version:
        """Keep a model that came for a slot. One that came before is the same version, whoever brings it again.

        Raises:
            StoreError: it could not be written.
            ModelFileError: its external data cannot be read.
        """
        with self._lock, self._told(f"cannot keep a model for slot {slot}"):
            self._prune(slot)
            sha256 = self.files.add(source)
            known = self._book.slot(slot).came.get(sha256)
            is_new_signature = bool(signature) and known is not None and known.signature != (signature or b"").hex()
            if known is None or is_new_signature or sha256 in self._book.slot(slot).gone:
                self._write(
                    kind="version",
                    slot=slot,
                    sha256=sha256,
                    number=known.number if known else 1 + max((c.number for c in self._came(slot)), default=0),
                    name=_short(Path(source.name).name),
                    size=len(source.data) if isinstance(source.data, BYTES) else 0,
                    who=_short(who),
                    signature=(signature or b"").hex(),
                )
            return self.version(slot, sha256)

    def put_program(self, sha256: str, program: bytes | memoryview, binding: Binding) -> None:
        """Keep the .rtp that was compiled from a version as a slot binds it; it is run at the next start.

        Nothing is kept of a version that came compiled, or could not be (no bytes).

        Raises:
            StoreError: it could not be written; the next start compiles the version again.
        """
        with self._lock, self._told("cannot keep a compiled program"):
            if program and not self.files.is_program(sha256):
                self.files.put_program(sha256, program, binding)

    def put_report(self, sha256: str, report: Mapping[str, Any]) -> None:
        """Keep the gate's report of a version, in place of an earlier one. Raises StoreError."""
        with self._lock, self._told("cannot keep a report"):
            self.files.put_report(sha256, report)

    # --- what becomes of it -------------------------------------------------------------------------------------------

    def next_change(self) -> int:
        """A number that no change has had."""
        with self._lock:
            return self._book.last_change + 1

    def record(
        self, change: int, slots: Mapping[str, str], state: ChangeState, who: str, why: str, bars: bool = True
    ) -> None:
        """The versions of a change, slot -> SHA-256, are in this state: on the disk when this returns, for all slots or none.

        COMMITTED: they run after a restart. REJECTED, ROLLED_BACK: they are barred, unless `bars` is False: what ended the
        change was nothing that they did. A version that is rolled back after it
        was committed gives way to `previous`; where there is none, to the one that the station file names.

        Raises:
            StoreError: it could not be written, and the state must not take effect; or a version is not in the store.
        """
        with self._lock, self._told(f"cannot record that change {change} is {state.name}"):
            for slot, sha256 in slots.items():
                if state in (*UNDER_WAY, ChangeState.COMMITTED) and not self.files.has(sha256):
                    raise StoreError(f"version {sha256[:12]} of slot {slot} is not in {self.folder}: add it first")
            self._write(
                kind="change",
                change=change,
                slots=dict(slots),
                state=state.name,
                who=_short(who),
                why=_short(why),
                bars=bars,
                now=self._book.now(self._book.lines_after(change, slots, state)),
            )

    def allow(self, slot: str, sha256: str, who: str) -> None:
        """A barred version may come again. Raises StoreError."""
        with self._lock, self._told(f"cannot allow a version of slot {slot}"):
            self._write(kind="allow", slot=slot, sha256=sha256, who=_short(who))

    def take_file(self, slot: str, source: Source) -> str:
        """The station file names this model for a slot. It is committed if it is another one than it named before.

        So who replaces the file gets what he wrote there, whatever was committed by updates. Gives what happened, in words;
        "": it is the same as ever, and what was committed stays.

        Raises:
            StoreError: it could not be written.
        """
        with self._lock, self._told(f"cannot keep the station file's model of slot {slot}"):
            if self.is_known_file(slot, source):
                return ""
            before = self._book.slot(slot)
            version, old = self.add(slot, source, STATION_FILE), before.committed
            why = _why_file(before, version.sha256)
            line = [*before.line, *([Entry(version.sha256, 0)] if old != version.sha256 else [])]
            self._write(
                kind="file",
                slot=slot,
                sha256=version.sha256,
                who=STATION_FILE,
                why=why,
                now=self._book.now({slot: line}, {slot: version.sha256}),
            )
            return why if old else ""

    def give_way(self, slots: Mapping[str, str], why: str) -> None:
        """Committed versions, slot -> SHA-256, cannot run: those before take their places, for this start in any case.

        They are not barred: what is damaged may be copied again. A store that cannot be written says it again at the next start.
        """
        with self._lock:
            change, state = self.next_change(), ChangeState.ROLLED_BACK
            lines = self._book.lines_after(change, slots, state)
            with suppress(StoreError):
                self.record(change, slots, state, STATION, why, bars=False)
            for slot, line in lines.items():
                self._book.slot(slot).line = line

    # --- what is known ------------------------------------------------------------------------------------------------

    def committed(self, slot: str) -> Version | None:
        """The version that runs after a restart; None: the store has none."""
        with self._lock:
            sha256 = self._book.slot(slot).committed
            return self.version(slot, sha256) if sha256 else None

    def previous(self, slot: str) -> Version | None:
        """The version that a rollback goes back to: the newest committed before, not barred, its file kept; None: there is none."""
        with self._lock:
            kept = (sha256 for sha256 in self._book.slot(slot).previous if self.files.has(sha256))
            found = next(kept, None)
            return self.version(slot, found) if found else None

    def file_version(self, slot: str) -> str:
        """SHA-256 of the model that the station file named when it was looked at last; "": it was not."""
        with self._lock:
            return self._book.slot(slot).file

    def is_known_file(self, slot: str, source: Source) -> bool:
        """Is this the model that the station file named when it was looked at last, and is there a committed version?"""
        with self._lock:
            return bool(self._book.slot(slot).line) and self._book.slot(slot).file == sha256_of(source)

    def is_same(self, source: Source, version: Version) -> bool:
        """Is this the file of a version?"""
        return sha256_of(source) == version.sha256

    def together(self, slot: str) -> dict[str, Version]:
        """Slots, this one among them, whose committed versions one change has brought: they go back together."""
        with self._lock:
            return {name: self.version(name, sha256) for name, sha256 in self._book.together(slot).items()}

    def version(self, slot: str, sha256: str) -> Version:
        """A version of a slot; where the record of its coming is damaged, what its hash alone tells."""
        with self._lock:
            return _version(slot, sha256, self._book.slot(slot).came.get(sha256))

    def barred(self, slot: str, sha256: str) -> str:
        """Why this version must not come to the slot again; "": it may."""
        with self._lock:
            return self._book.slot(slot).barred.get(sha256, "")

    def versions(self, slot: str | None = None) -> tuple[Row, ...]:
        """All versions of a slot, or of all slots, in the order in which they came."""
        with self._lock:
            return rows(self._book, self.files, slot)

    def source(self, version: Version) -> Source:
        """The version's file, read and checked by its hash. Raises StoreError."""
        return self.files.source(version.sha256)

    def is_program(self, sha256: str) -> bool:
        """Did the version come as a compiled program?"""
        return self.files.is_program(sha256)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _came(self, slot: str) -> list[Came]:
        return list(self._book.slot(slot).came.values())

    def _all_committed(self) -> dict[str, Version]:
        return {name: self.version(name, slot.committed) for name, slot in self._book.slots.items() if slot.committed}

    def _hold(self) -> None:
        """Make the folders, and lock them for this process."""
        for folder in (self.folder, self.files.folder):
            if not folder.exists():
                folder.mkdir(FOLDER_MODE)
                sync_folder(folder.parent)
            if found := judged(folder, folder.stat()) or unsafe(folder, strict=os.geteuid() == 0):
                raise StoreError(f"{folder} is not used: another user could change what runs: {found}")
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise StoreError(f"{self.folder} is held by another process: a station that runs") from None
        except BaseException:
            os.close(lock)
            raise
        self._held = lock

    def _mend(self, found: Read) -> tuple[str, ...]:
        """Cut a cut record off; note damage that was not noted yet. Gives words for what is new."""
        assert self._journal is not None
        notes = []
        if found.cut:
            self._journal.cut(found.cut)
            notes.append(f"the journal ended inside a record ({found.cut} bytes, dropped): it had not taken effect")
        if not self._book.format:
            self._write(kind="store", format=FORMAT)
        new = [one for one in found.damage if (one.offset, one.size) not in self._book.known_damage]
        missing = self._book.missing
        if new or missing:
            places = ", ".join(f"{one.size} bytes at {one.offset}" for one in new) or "nowhere to be seen"
            notes.append(
                f"the journal is damaged ({places}; {missing} records are missing): the records after it count"
            )
            self._write(kind="note", why=notes[-1], damage=[[one.offset, one.size] for one in new], missing=missing)
        return tuple(notes)

    def _end_all(self) -> Iterator[Ended]:
        """End what was under way when the station ended; what ran, if only in shadow, may be why it ended, and is barred."""
        for change, one in sorted(self._book.open.items()):
            was_live = one.state in (ChangeState.SHADOW, ChangeState.TRIAL)
            state = ChangeState.ROLLED_BACK if was_live else ChangeState.REJECTED
            why = f"the station ended while it was {_DOING[one.state]}"
            self.record(change, one.slots, state, STATION, why, bars=was_live)
            yield Ended(change, one.slots, one.state, state, why)

    def _prune(self, coming: str = "") -> None:
        """Remove the files of the oldest versions that nothing needs, so that one more may come to a slot.

        The journal remembers them, and that they are gone. What cannot be removed now is tried again.
        """
        kept = {sha for name, slot in self._book.slots.items() for sha in slot.kept(self._keep - (name == coming))}
        kept |= {sha256 for one in self._book.open.values() for sha256 in one.slots.values()}
        with suppress(OSError):
            for sha256 in self.files.all():
                if sha256 not in kept and self._book.knows(sha256):
                    self._write(kind="gone", sha256=sha256)
                    self.files.remove(sha256)

    def _write(self, **record: Any) -> None:
        """Add a record to the journal, then to the book."""
        if self._journal is None:
            raise StoreError(f"{self.folder} is not open")
        whole: Record = {"n": self._book.last + 1, "time": self._now().isoformat(timespec="seconds"), **record}
        self._journal.append(whole)
        self._book.take(whole)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """What the system refuses becomes an error that says what was wanted, where, and why not."""
        try:
            yield
        except OSError as error:
            place = error.filename or self.folder
            raise StoreError(f"{what}: {place}: {error.strerror or error}") from error


_DOING: Final = {
    ChangeState.STAGED: "staged",
    ChangeState.GATE: "in the gate",
    ChangeState.SHADOW: "in shadow",
    ChangeState.TRIAL: "on trial",
}


def rows(book: Book, files: Versions, only: str | None = None) -> tuple[Row, ...]:
    """The versions in a book, slot by slot, in the order in which they came."""
    found = []
    for name, slot in book.slots.items():
        if only not in (None, name):
            continue
        back = next((sha for sha in slot.previous if files.has(sha)), "")
        known = dict.fromkeys([*slot.came, *slot.became, *(entry.sha256 for entry in slot.line)])
        found += [_row(name, slot, sha, files.has(sha), back) for sha in known]
    return tuple(found)


def _row(name: str, slot: SlotBook, sha256: str, is_kept: bool, back: str) -> Row:
    version, became = _version(name, sha256, slot.came.get(sha256)), slot.became.get(sha256)
    role = "committed" if sha256 == slot.committed else "previous" if sha256 == back else ""
    barred = slot.barred.get(sha256, "")
    if became is None:
        return Row(version, ChangeState.NONE, version.time, version.who, "", role, barred, is_kept)
    return Row(version, became.state, became.since, became.who, became.why, role, barred, is_kept)


def _version(slot: str, sha256: str, came: Came | None) -> Version:
    if came is None:
        return Version(slot, sha256, 0, f"{sha256[:12]}", 0, "not known", "")
    return Version(slot, sha256, came.number, came.name, came.size, came.who, came.time, bytes.fromhex(came.signature))


def _why_file(slot: SlotBook, sha256: str) -> str:
    """Why the station file's model is committed."""
    if not slot.line:
        return "named by the station file"
    why = "the station file's model was replaced: the file counts"
    if slot.committed != sha256:
        why += f", instead of version {slot.committed[:12]}"
    if sha256 in slot.barred:
        why += f"; it was barred ({slot.barred[sha256]}) and is not any more"
    return why


def _short(text: str) -> str:
    return text[:MOST_CHARS]
