"""Is a hash chain whole? If not, the first line that was changed, removed, inserted or moved.

lines -> where the chain begins -> record after record -> Verified

| what is found                                                       | what it means                                         |
|---------------------------------------------------------------------|-------------------------------------------------------|
| a hash that is not that of its record's content                     | changed; inserted, when the next one passes over it   |
| no record, and the next one tells of no cut                         | changed; inserted, when no number is missing          |
| no record at the end, and whole                                     | changed                                               |
| the record that belongs here stands further on                      | moved                                                 |
| a number that is too high                                           | those between were removed                            |
| a number that was there already                                     | inserted; of two, the one that nothing follows        |
| the next number, but not after this hash                            | the record before was changed, and its hash too       |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plc_bindings.security.chain import START, Head, Line, is_cut, lines, sha256


@dataclass(frozen=True, slots=True)
class Break:
    """The first line that is not as it was written. `number` and `time` are what its record, or the next one, states."""

    kind: str
    file: str
    line: int
    number: int
    time: str
    why: str

    def __str__(self) -> str:
        record = f" (record {self.number} of {self.time or 'no time'})" if self.number else ""
        return f"{self.file}, line {self.line}{record}: {self.kind}: {self.why}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a log proves. `records`: of the chain, up to the break; `older`: lines from before there was one."""

    records: int
    older: int
    head: Head
    broken: Break | None
    notes: tuple[str, ...]
    known: str = ""
    """What is wrong about the head that was known before; empty: nothing."""

    @property
    def is_whole(self) -> bool:
        """Is every line as it was written, as far as can be told?"""
        return self.broken is None and not self.known


def verify(path: Path, head: str = "") -> Verified:
    """Walk the log that is written at `path`, with all its files.

    `head`: a hash that was the newest once, if somebody kept it; what was cut off behind it can then be told.

    Raises:
        OSError: a file cannot be read.
    """
    return verified(lines(path), head)


def verified(found: Sequence[Line], head: str = "") -> Verified:
    """The same of lines that were read."""
    first = next((i for i, line in enumerate(found) if line.entry is not None), len(found))
    walk = _Walk(found, first)
    walk.run()
    notes = tuple(walk.notes)
    if not walk.broken and first == len(found) and found:
        notes += ("no line has a hash yet: the chain begins with the next change",)
    known = "" if not head else _known(walk, head.lower())
    return Verified(walk.count, first, walk.head, walk.broken, notes, known)


def _known(walk: _Walk, head: str) -> str:
    if head in walk.hashes:
        return ""
    cut = "the log was cut off before it, or written anew" if not walk.broken else "it may lie behind the break"
    return f"no record has the hash {head}: {cut}"


class _Walk:
    """From record to record, up to the first that is not as it was written."""

    def __init__(self, found: Sequence[Line], first: int) -> None:
        self._found, self._first = found, first
        self.head, self.count = START, 0
        self.broken: Break | None = None
        self.notes: list[str] = []
        self.hashes: set[str] = set()
        self._before: Line | None = None
        self._between: list[Line] = []
        """Lines since the newest record that are none."""

    def run(self) -> None:
        """Walk."""
        if self._first < len(self._found):
            self.broken = self._begin(self._found[self._first])
        for i in range(self._first, len(self._found)):
            if self.broken is None:
                self._step(i, self._found[i])
        if self.broken is None:
            self._end()

    def _end(self) -> None:
        """What lies behind the newest record."""
        if self._between and not is_cut(b"".join(line.raw for line in self._between)):
            why = "it is no record, and no line that a power failure has cut"
            self.broken = _at(self._between[0], "changed", why)
        elif self._between:
            line = self._between[0]
            self.notes.append(
                f"{line.file}, line {line.at}: the last line is cut: by a power failure, or it is being written now; "
                "the next record will tell of it"
            )

    def _begin(self, first: Line) -> Break | None:
        """Where the chain begins: at record 1, or behind files that were dropped because of their age."""
        assert first.entry is not None
        older = b"".join(line.raw for line in self._found[: self._first])
        number, previous = first.entry["number"], first.entry["previous"]
        dropped = self._dropped()
        if number > 1:
            if Head(number - 1, previous) not in dropped:
                return _at(
                    first,
                    "removed",
                    f"records 1 to {number - 1} are not there, and no record tells that they were dropped",
                )
        elif previous != (sha256(older) if older else START.hash) and not any(head.number == 0 for head in dropped):
            return _at(
                self._found[0], "changed", "what the log held before its chain began is not what record 1 was linked to"
            )
        self.head = Head(number - 1, previous)
        return None

    def _dropped(self) -> set[Head]:
        """The heads of files that records tell of as dropped."""
        entries = [line.entry for line in self._found if line.entry is not None and line.is_sound]
        found = {
            Head(int(e["through"]), str(e["head"]))
            for e in entries
            if "dropped" in e and {"through", "head"} <= e.keys()
        }
        self.hashes |= {head.hash for head in found if head.number}
        return found

    def _step(self, i: int, line: Line) -> None:
        if line.entry is None:
            self._between.append(line)
            return
        self.broken = self._objection(i, line)
        if self.broken is not None:
            return
        if self._between:
            cut = self._between[0]
            self.notes.append(f"{cut.file}, line {cut.at}: cut by a power failure, as record {line.head.number} tells")
        if "dropped" in line.entry:
            self.notes.append(
                f"{line.file}, line {line.at} (record {line.head.number} of {line.time}): {line.entry.get('outcome', '')}"
            )
        self.head, self._before, self._between = line.head, line, []
        self.count += 1
        self.hashes.add(self.head.hash)

    def _objection(self, i: int, line: Line) -> Break | None:
        assert line.entry is not None
        follows = line.entry["previous"] == self.head.hash and line.entry["number"] == self.head.number + 1
        if self._between:
            raw = b"".join(part.raw for part in self._between)
            if line.entry.get("cut") != sha256(raw):
                return self._garbled(line)
        elif follows and line.is_sound and "cut" in line.entry:
            return _at(
                line, "removed", "the line that was cut by a power failure, of which this record tells, is not there"
            )
        if not line.is_sound:
            return self._unsound(i, line)
        return None if follows else self._elsewhere(i, line)

    def _garbled(self, line: Line) -> Break:
        first, number = self._between[0], line.head.number
        missing = number - self.head.number - 1
        if missing > 0:
            why = f"it is no record any more; record {self.head.number + 1} belongs here"
            return Break("changed", first.file, first.at, self.head.number + 1, line.time, why)
        why = "it is no record of the chain, and the next one tells of no line that a power failure has cut"
        return Break("inserted", first.file, first.at, 0, "", why)

    def _unsound(self, i: int, line: Line) -> Break:
        after = self._next(i)
        if (
            after is not None
            and after.entry is not None
            and after.is_sound
            and after.entry["previous"] == self.head.hash
        ):
            return _at(line, "inserted", f"the next record follows record {self.head.number}, not this one")
        return _at(line, "changed", "its hash is not that of its content")

    def _elsewhere(self, i: int, line: Line) -> Break:
        """A sound record that does not follow the one before."""
        assert line.entry is not None
        number, wanted = line.entry["number"], self.head.number + 1
        before = self._before
        if before is not None and number == self.head.number and line.head != self.head:
            after = self._next(i)
            if after is not None and after.entry is not None and after.entry["previous"] == line.entry["hash"]:
                return _at(before, "inserted", f"there are two records {number}, and the next one follows the other")
        if number < wanted:
            return _at(line, "inserted", f"record {number} is there already")
        later = any(
            other.entry is not None and other.entry["number"] == wanted and other.entry["previous"] == self.head.hash
            for other in self._found[i + 1 :]
        )
        if later:
            return _at(line, "moved", f"record {wanted} belongs here, and stands further on")
        if number > wanted:
            gone = f"record {wanted} was" if number == wanted + 1 else f"records {wanted} to {number - 1} were"
            return _at(line, "removed", f"before this line {gone} taken out")
        if before is None:
            return _at(line, "changed", "it is not linked to what lies before it")
        return _at(before, "changed", "its content and its hash: the next record was linked to another hash")

    def _next(self, i: int) -> Line | None:
        return next((line for line in self._found[i + 1 :] if line.entry is not None), None)


def _at(line: Line, kind: str, why: str) -> Break:
    number = line.head.number if line.entry is not None else 0
    return Break(kind, line.file, line.at, number, line.time, why)
