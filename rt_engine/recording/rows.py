"""All records of one kind of a task, from all files, as one time line."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np

from rt_engine.errors import RecordingError
from rt_engine.recording.file import Piece
from rt_engine.recording.layout import Records

MOST_NS = (1 << 63) - 1


def ordered(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """In order of time, each record once: boots by UTC, within a boot by the clock of the tasks.

    Files may overlap: what was saved from a ring after a crash may be in the file before, too. Where they do, what comes second is
    trimmed. What cannot be read is left out, and noted in its file.
    """
    boots: dict[str, list[Piece]] = {}
    for piece in pieces:
        boots.setdefault(piece.file.boot, []).append(piece)
    found: list[Piece] = []
    for boot in sorted(boots.values(), key=lambda boot: min(piece.chunk.head.start for piece in boot)):
        newest: int | None = None
        for piece in sorted(boot, key=lambda piece: (piece.first_ns, piece.last_ns)):
            if newest is None or piece.key(piece.first_ns, 0) > newest:
                found.append(piece)
                newest = piece.key(piece.last_ns, 1)
            elif (rest := _trimmed(piece, newest, found)) is not None:
                found.append(rest[0])
                newest = rest[1]
    return tuple(found)


def _trimmed(piece: Piece, newest: int, before: list[Piece]) -> tuple[Piece, int] | None:
    """What of a piece comes after those before it, and its last key; None: nothing."""
    try:
        keys = piece.keys(piece.read())
    except RecordingError as error:
        piece.file.damage(piece.chunk.at, error)
        return None
    # Times of a chunk are those of all that is in it: what came before may end earlier than they say.
    last = before[-1]
    if last.file.boot == piece.file.boot:
        try:
            newest = int(last.keys(last.read())[-1])
        except RecordingError as error:
            last.file.damage(last.chunk.at, error)
    skip = int(np.searchsorted(keys, min(max(newest, -MOST_NS), MOST_NS), side="right"))
    return (replace(piece, skip=skip), int(keys[-1])) if skip < len(keys) else None


class Rows:
    """Records one behind the other, read as they are asked for. A row of a damaged chunk has a number, and is not there."""

    def __init__(self, pieces: tuple[Piece, ...]) -> None:
        self.pieces = pieces
        self.starts = (0, *accumulate(piece.rows for piece in pieces))
        """Of each piece its first row, and at the end how many rows there are."""
        self.boots: dict[str, tuple[int, int]] = {}
        """Of each boot, its first piece and the one behind its last."""
        for number, piece in enumerate(pieces):
            first, _ = self.boots.get(piece.file.boot, (number, number))
            self.boots[piece.file.boot] = first, number + 1
        self._lasts: dict[str, list[int]] = {}
        self._newest: tuple[int, Records] | None = None

    def __len__(self) -> int:
        return self.starts[-1]

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, Piece, Records]]:
        """Rows from `start` up to `stop`, chunk by chunk, with the number of the first; views of what was read."""
        number = self.piece_of(start)
        while number < len(self.pieces) and self.starts[number] < stop:
            records = self._read(number)
            if records is not None:
                first = self.starts[number]
                part = records[max(0, start - first) : stop - first]
                if len(part):
                    yield max(start, first), self.pieces[number], part
            number += 1

    def find(self, value: int, what: str) -> int:
        """The first row whose "tick", "utc" or "number" is at least `value`; their number where none is.

        Raises:
            RecordingError: ticks or numbers begin anew in the recording, so that one may mean several rows.
        """
        if what not in ("tick", "utc", "number"):
            raise RecordingError(f"rows are found by tick, utc or number, not by {what!r}")
        lasts = self._last(what)
        if any(b < a for a, b in pairwise(lasts)):
            raise RecordingError(
                f"the recording has several runs, and each counts {what}s of its own; say when by utc, or open fewer files"
            )
        number = bisect_left(lasts, value)
        if number == len(self.pieces):
            return len(self)
        records, piece = self._read(number), self.pieces[number]
        if records is None:
            return self.starts[number]
        column = records["number" if what == "number" else "tick_ns"]
        wanted = value - (piece.file.offset_ns if what == "utc" else 0)
        within = np.searchsorted(column, min(max(wanted, -MOST_NS), MOST_NS))
        return self.starts[number] + int(within)

    def piece_of(self, row: int) -> int:
        """The number of the piece that has a row."""
        return max(0, bisect_right(self.starts, row) - 1)

    def after(self, boot: str, tick_ns: int) -> int:
        """A row of that boot not before the first one whose tick is later; found without reading records."""
        first, behind = self.boots.get(boot, (0, 0))
        number = bisect_right(self._last("tick"), tick_ns, first, behind)
        return self.starts[min(number + 1, behind)]

    def row_at(self, boot: str, tick_ns: int) -> int | None:
        """The row with that tick; None where there is none."""
        first, behind = self.boots.get(boot, (0, 0))
        number = bisect_left(self._last("tick"), tick_ns, first, behind)
        records = self._read(number) if number < behind else None
        if records is None:
            return None
        within = int(np.searchsorted(records["tick_ns"], min(max(tick_ns, -MOST_NS), MOST_NS)))
        is_there = within < len(records) and int(records["tick_ns"][within]) == tick_ns
        return self.starts[number] + within if is_there else None

    def tick(self, start: int, stop: int, is_last: bool = False) -> int | None:
        """The tick of the first, or of the last, row from `start` up to `stop` that is there."""
        numbers = range(self.piece_of(start), self.piece_of(max(start, stop - 1)) + 1)
        for number in reversed(numbers) if is_last else numbers:
            records = self._read(number)
            if records is not None:
                part = records[max(0, start - self.starts[number]) : stop - self.starts[number]]
                return int(part["tick_ns"][-1 if is_last else 0])
        return None

    def _last(self, what: str) -> list[int]:
        """Of each piece, its last tick, time or number, as far as can be said without reading it."""
        if what not in self._lasts:
            if what == "number":
                reads = (self._read(number) for number in range(len(self.pieces)))
                found = [0 if records is None else int(records["number"][-1]) for records in reads]
            else:
                offsets = (piece.file.offset_ns if what == "utc" else 0 for piece in self.pieces)
                found = [piece.last_ns + offset for piece, offset in zip(self.pieces, offsets, strict=True)]
            self._lasts[what] = found
        return self._lasts[what]

    def _read(self, number: int) -> Records | None:
        """A piece; None where it is damaged, which its file notes."""
        if self._newest is not None and self._newest[0] == number:
            return self._newest[1]
        piece = self.pieces[number]
        try:
            records = piece.read()
        except RecordingError as error:
            piece.file.damage(piece.chunk.at, error)
            return None
        self._newest = number, records
        return records
