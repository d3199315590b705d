"""What a journal's records come to: versions, what became of them, and which of them a slot runs. Pure.

    kind      says                                                  and besides
    store     which format the records have
    version   a file came for a slot: name, size, who, signature    its number in the slot: 1, 2, 3, ...
    change    versions of one or several slots are in a new state   who and why; `now`
    file      the station file's own model is another one           who and why; `now`
    allow     a barred version may come again                       who
    gone      the file of a version was removed, to save space
    note      what was found damaged in the journal                 in words

`now` is what all slots run after the record: for each its line of committed versions, oldest first, and the version that its
station file names. So the newest good record says it all, whatever is damaged before it, and for all slots at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from rt_engine.change import ChangeState
from station.store.journal import Read, Record

FORMAT: Final = 1
LINE: Final = 20
"""So many committed versions of a slot a record remembers, the running one among them."""
UNDER_WAY: Final = (ChangeState.STAGED, ChangeState.GATE, ChangeState.SHADOW, ChangeState.TRIAL)


@dataclass(frozen=True, slots=True)
class Came:
    """A version as it came to a slot."""

    number: int
    name: str
    size: int
    who: str
    time: str
    signature: str = ""
    """In hexadecimal."""


@dataclass(frozen=True, slots=True)
class Became:
    """What became of a version at last: its state, since when (UTC, ISO 8601), by whom, why."""

    state: ChangeState
    since: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Open:
    """A change that is under way: slot -> version, and how far it has come."""

    slots: Mapping[str, str]
    state: ChangeState


class Entry(NamedTuple):
    """A committed version, and the change that brought it; 0: the station file."""

    sha256: str
    change: int


@dataclass(slots=True)
class SlotBook:
    """One slot. Versions are named by their SHA-256."""

    came: dict[str, Came] = field(default_factory=dict)
    became: dict[str, Became] = field(default_factory=dict)
    barred: dict[str, str] = field(default_factory=dict)
    """Version -> why."""
    line: list[Entry] = field(default_factory=list)
    """Committed versions, oldest first; the last one runs."""
    file: str = ""
    """The version that the station file named when it was looked at last."""
    gone: set[str] = field(default_factory=set)

    @property
    def committed(self) -> str:
        """The version that runs; "": none."""
        return self.line[-1].sha256 if self.line else ""

    @property
    def previous(self) -> tuple[str, ...]:
        """Versions that a rollback may go back to, newest first: committed once, not barred."""
        past = (entry.sha256 for entry in reversed(self.line) if self._may_run(entry))
        return tuple(dict.fromkeys(past))

    def before(self) -> list[Entry]:
        """The line as it was when the version that a rollback goes back to was committed; empty: there is none."""
        line = list(self.line)
        while line and not self._may_run(line[-1]):
            line.pop()
        return line

    def kept(self, count: int) -> set[str]:
        """Versions whose files are needed: that of the station file, the one that runs, the one before; and the newest others."""
        needed = {self.file, self.committed, *self.previous[:1]}
        others = [sha for sha in self.came if sha not in needed and sha not in self.gone]
        others.sort(key=lambda sha: self.came[sha].number)
        return needed | set(others[-count:] if count > 0 else ())

    def _may_run(self, entry: Entry) -> bool:
        return entry.sha256 not in (self.committed, *self.barred)


@dataclass(slots=True)
class Book:
    """All slots, and the changes that are under way."""

    slots: dict[str, SlotBook] = field(default_factory=dict)
    open: dict[int, Open] = field(default_factory=dict)
    format: int = 0
    last: int = 0
    """The number of the newest record."""
    last_change: int = 0
    known_damage: set[tuple[int, int]] = field(default_factory=set)
    missing: int = 0
    """Records whose numbers are not there."""

    def slot(self, name: str) -> SlotBook:
        """One slot's; made where there is none."""
        return self.slots.setdefault(name, SlotBook())

    def knows(self, sha256: str) -> bool:
        """Has it come to a slot?"""
        return any(sha256 in slot.came for slot in self.slots.values())

    def take(self, record: Record) -> None:
        """The next record; one of a kind that is not known is passed over.

        Raises:
            LookupError, TypeError, ValueError: it is not what this program writes.
        """
        number = int(record["n"])
        if self.last and number > self.last + 1:
            self.missing += number - self.last - 1
        self.last = max(self.last, number)
        take = _KINDS.get(record["kind"])
        if take is not None:
            take(self, record)

    def now(self, lines: Mapping[str, list[Entry]], files: Mapping[str, str] = {}) -> Record:
        """What all slots run, with other lines and station file's versions for some."""
        names = dict.fromkeys([*self.slots, *lines, *files])
        return {
            name: {"line": lines.get(name, self.slot(name).line)[-LINE:], "file": files.get(name, self.slot(name).file)}
            for name in names
        }

    def lines_after(self, change: int, slots: Mapping[str, str], state: ChangeState) -> dict[str, list[Entry]]:
        """What the slots of a change have committed once it is in a state.

        A version that is rolled back after it was committed, by whatever change, gives way to the one before it; one that
        was only on trial was never in the line.
        """
        lines = {name: list(self.slot(name).line) for name in slots}
        for name, sha in slots.items():
            slot = self.slot(name)
            if state == ChangeState.COMMITTED and slot.committed != sha:
                lines[name].append(Entry(sha, change))
            elif state == ChangeState.ROLLED_BACK and slot.committed == sha and change not in self.open:
                lines[name] = slot.before()
        return lines

    def together(self, name: str) -> dict[str, str]:
        """Slots, with their versions, that were committed by the same change as this slot's version, and have it still."""
        line = self.slot(name).line
        if not line:
            return {}
        change = line[-1].change
        return {
            other: slot.committed
            for other, slot in self.slots.items()
            if other == name or (change and slot.line and slot.line[-1].change == change)
        }


def _store(book: Book, record: Record) -> None:
    book.format = int(record["format"])


def _version(book: Book, record: Record) -> None:
    slot, sha = book.slot(str(record["slot"])), str(record["sha256"])
    slot.came[sha] = Came(
        int(record["number"]),
        str(record["name"]),
        int(record["size"]),
        str(record["who"]),
        str(record["time"]),
        str(record.get("signature", "")),
    )
    slot.gone.discard(sha)


def _change(book: Book, record: Record) -> None:
    state, number = ChangeState[record["state"]], int(record["change"])
    slots = {str(name): str(sha) for name, sha in record["slots"].items()}
    became = _became(record, state)
    book.last_change = max(book.last_change, number)
    if state in UNDER_WAY:
        book.open[number] = Open(slots, state)
    else:
        book.open.pop(number, None)
    _take_now(book, record)
    for name, sha in slots.items():
        slot = book.slot(name)
        if state in (ChangeState.REJECTED, ChangeState.ROLLED_BACK):
            if sha == slot.committed:  # brought once more, and refused: it goes on, and is not barred
                slot.became[sha] = replace(became, state=ChangeState.COMMITTED)
                continue
            if record["bars"]:
                slot.barred[sha] = became.why
        slot.became[sha] = became


def _file(book: Book, record: Record) -> None:
    slot, sha = book.slot(str(record["slot"])), str(record["sha256"])
    slot.became[sha] = _became(record, ChangeState.COMMITTED)
    slot.barred.pop(sha, None)
    _take_now(book, record)


def _allow(book: Book, record: Record) -> None:
    book.slot(str(record["slot"])).barred.pop(str(record["sha256"]), None)


def _gone(book: Book, record: Record) -> None:
    for slot in book.slots.values():
        if record["sha256"] in slot.came:
            slot.gone.add(str(record["sha256"]))


def _note(book: Book, record: Record) -> None:
    book.known_damage |= {(int(offset), int(size)) for offset, size in record["damage"]}
    book.missing -= int(record["missing"])


def _became(record: Record, state: ChangeState) -> Became:
    return Became(state, str(record["time"]), str(record["who"]), str(record["why"]))


def _take_now(book: Book, record: Record) -> None:
    for name, now in record["now"].items():
        slot = book.slot(str(name))
        slot.line = [Entry(str(sha), int(change)) for sha, change in now["line"]]
        slot.file = str(now["file"])


_KINDS: Final = {
    "store": _store,
    "version": _version,
    "change": _change,
    "file": _file,
    "allow": _allow,
    "gone": _gone,
    "note": _note,
}


def book_of(found: Read) -> Book:
    """The book of a journal; records that are not understood are as good as none."""
    book = Book()
    for record in found.records:
        with suppress(LookupError, TypeError, ValueError, AttributeError):
            book.take(record)
    return book
