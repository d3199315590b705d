"""The cycles of one task in a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import RecordingError
from rt_engine.recording.columns import Column, column, columns
from rt_engine.recording.file import Piece
from rt_engine.recording.layout import CHECKPOINT_HEAD, Phase, Records, TaskLayout
from rt_engine.recording.rows import Rows
from rt_engine.recording.segments import Segment, segments

By = Literal["tick", "utc", "number", "row"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two rows something is missing, or begins anew.

    Args:
        row: the first behind it.
        before_ns, after_ns: ticks on both sides.
        lost: cycles that ran and are not here; -1: the task began anew, and nobody knows.
    """

    row: int
    before_ns: int
    after_ns: int
    lost: int


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """All that a task remembered: `record` has the dtype `layout.checkpoint_dtype`, and the shape (1,)."""

    layout: TaskLayout
    record: Records

    def __getattr__(self, name: str) -> int:
        if name in (CHECKPOINT_HEAD.names or ()):
            return int(self.record[name][0])
        raise AttributeError(name)

    def region(self, number: int) -> NDArray[np.uint8]:
        """The bytes of a region, by its place in `layout.regions`."""
        dtype = self.layout.checkpoint_dtype
        name = (dtype.names or ())[len(CHECKPOINT_HEAD.names or ()) + number]
        bytes_of: NDArray[np.uint8] = self.record[name][0]
        return bytes_of


class TaskRecording:
    """A task's cycles and checkpoints, read from the files as they are asked for.

    Rows count from 0, over all files; a row in a damaged chunk keeps its number, and is not there (`Recording.damaged`).
    """

    def __init__(
        self, name: str, paths: tuple[str, ...], layouts: Iterable[TaskLayout], records: Rows, checkpoints: Rows
    ) -> None:
        self.name, self._paths = name, paths
        self.record_rows, self.checkpoint_rows = records, checkpoints
        used = [piece.layout for piece in (*records.pieces, *checkpoints.pieces)]
        self.layouts: tuple[TaskLayout, ...] = tuple(dict.fromkeys(used or layouts))
        """All that there are: after a change of the station file there may be several."""

    def __len__(self) -> int:
        return len(self.record_rows)

    @property
    def layout(self) -> TaskLayout:
        """The layout of the records.

        Raises:
            RecordingError: there are several.
        """
        alike = {layout.dtype: layout for layout in reversed(self.layouts)}
        if len(alike) != 1:
            raise RecordingError(
                f"task '{self.name}' changed its inputs or outputs in these files: open those before and after apart"
            )
        return next(iter(alike.values()))

    @property
    def span(self) -> tuple[int, int, int, int]:
        """(first tick, last tick, the same in UTC, ns); of a task without records 0."""
        if not self.record_rows.pieces:
            return 0, 0, 0, 0
        first, last = self.record_rows.pieces[0], self.record_rows.pieces[-1]
        return first.first_ns, last.last_ns, first.chunk.head.start, last.chunk.head.end

    @property
    def checkpoints(self) -> Checkpoints:
        """In order of time."""
        return Checkpoints(self.checkpoint_rows)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What a record has."""
        return columns(self.layout)

    def rows(self, start: int | None = None, stop: int | None = None, by: By = "tick") -> tuple[int, int]:
        """The rows from `start` up to `stop`, without it: ticks, UTC in ns, numbers of cycles, or rows.

        Raises:
            RecordingError: it cannot be said, as the recording has several runs of the task.
        """
        if by == "row":
            first, last, _ = slice(start, stop).indices(len(self))
            return first, max(first, last)
        first = 0 if start is None else self.record_rows.find(start, by)
        return first, len(self) if stop is None else max(first, self.record_rows.find(stop, by))

    def blocks(self, start: int | None = None, stop: int | None = None, by: By = "tick") -> Iterator[Records]:
        """The records of `rows`, chunk by chunk: arrays of `layout.dtype`, read-only in memory that is used again by nobody."""
        assert self.layout
        for _, _, part in self.record_rows.blocks(*self.rows(start, stop, by)):
            yield part

    def __iter__(self) -> Iterator[np.void]:
        """Cycle by cycle: slow, and simple."""
        for block in self.blocks():
            yield from block

    def records(self, start: int | None = None, stop: int | None = None, by: By = "tick") -> Records:
        """All records of `rows` in one array."""
        first, last = self.rows(start, stop, by)
        return _joined(self.blocks(first, last, "row"), self.layout.dtype, last - first)

    def utc_ns(self, start: int | None = None, stop: int | None = None, by: By = "tick") -> NDArray[np.int64]:
        """When each record of `rows` was due, in UTC."""
        parts = [
            part["tick_ns"] + piece.file.offset_ns
            for _, piece, part in self.record_rows.blocks(*self.rows(start, stop, by))
        ]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def column(self, name: str, start: int | None = None, stop: int | None = None, by: By = "tick") -> NDArray[Any]:
        """A column of `rows`, by the name of its tag or its path: of shape (n,), or (n, count)."""
        wanted, layout = column(self.layout, name), self.layout
        parts = [np.ascontiguousarray(wanted.of(part)) for part in self.blocks(start, stop, by)]
        return np.concatenate([wanted.of(np.empty(0, layout.dtype)), *parts])

    def around(self, ticks: Iterable[int], before_ns: int, after_ns: int) -> list[Records]:
        """Of each tick, the records so long before and after it."""
        return [self.records(tick - before_ns, tick + after_ns + 1) for tick in ticks]

    def where(self, wanted: Callable[[Records], NDArray[np.bool_]]) -> NDArray[np.int64]:
        """The ticks of the cycles for which `wanted` (an array of records -> one truth for each) holds."""
        parts = [part["tick_ns"][wanted(part)] for part in self.blocks()]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def numpy(self, start: int | None = None, stop: int | None = None, by: By = "tick") -> dict[str, NDArray[Any]]:
        """The columns of `rows`: path -> values."""
        records = self.records(start, stop, by)
        return {each.path: np.ascontiguousarray(each.of(records)) for each in self.columns}

    def pandas(self, start: int | None = None, stop: int | None = None, by: By = "tick") -> Any:
        """`rows` as a `pandas.DataFrame`, a column for each value, the index their time in UTC.

        Raises:
            RecordingError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise RecordingError("data frames need a package: pip install pandas") from None
        records = self.records(start, stop, by)
        found = {path: np.ascontiguousarray(part) for each in self.columns for path, part in each.flat(records)}
        times = pandas.to_datetime(self.utc_ns(start, stop, by), utc=True)
        return pandas.DataFrame(found, index=pandas.Index(times, name="utc"))

    def gaps(self) -> tuple[Gap, ...]:
        """Where cycles are missing between two records, or the task began anew. Reads all records."""
        found: list[Gap] = []
        number, tick = None, 0
        for row, _, part in self.record_rows.blocks(0, len(self)):
            numbers, ticks = np.ascontiguousarray(part["number"]), np.ascontiguousarray(part["tick_ns"])
            if number is not None:
                row -= 1
                numbers, ticks = np.concatenate([[number], numbers]), np.concatenate([[tick], ticks])
            for at in np.flatnonzero(np.diff(numbers) != 1):
                lost = int(numbers[at + 1]) - int(numbers[at]) - 1
                found.append(Gap(row + int(at) + 1, int(ticks[at]), int(ticks[at + 1]), lost if lost > 0 else -1))
            number, tick = int(numbers[-1]), int(ticks[-1])
        return tuple(found)

    def segments(self, most: int = 1) -> tuple[Segment, ...]:
        """Up to `most` parts of about the same length that each begin at a checkpoint, for replay; see `Segment`."""
        return tuple(segments(self._paths, self.name, self.record_rows, self.checkpoint_rows, most))


class Checkpoints:
    """Checkpoints in order of time, read as they are asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Checkpoint:
        """The checkpoint of that number.

        Raises:
            IndexError: there is none.
            RecordingError: it is in a damaged chunk.
        """
        at = range(len(self))[number]
        for found in self._between(at, at + 1):
            return found
        raise RecordingError(f"checkpoint {at} is in a damaged chunk")

    def __iter__(self) -> Iterator[Checkpoint]:
        return self._between(0, len(self))

    def of(self, segment: Segment) -> Iterator[Checkpoint]:
        """Those of a segment, the one of its first row first."""
        for piece, part in self.blocks(segment.boot, segment.first_ns, segment.last_ns):
            for at in range(len(part)):
                yield Checkpoint(piece.layout, part[at : at + 1])

    def blocks(self, boot: str, first_ns: int, last_ns: int) -> Iterator[tuple[Piece, Records]]:
        """Those of a boot from one tick to another, as arrays of their layout's `checkpoint_dtype`."""
        pieces = (
            piece
            for piece in self._rows.pieces
            if piece.file.boot == boot and piece.last_ns >= first_ns and piece.first_ns <= last_ns
        )
        rows = Rows(tuple(pieces))
        for _, piece, part in rows.blocks(0, len(rows)):
            within = (part["tick_ns"] >= first_ns) & (part["tick_ns"] <= last_ns)
            if within.any():
                first, last = np.flatnonzero(within)[[0, -1]]
                yield piece, part[first : last + 1]

    def before(self, tick_ns: int) -> Checkpoint | None:
        """The newest of this tick or an earlier one, before its inputs were read: where a replay of that cycle begins."""
        for piece in reversed(self._rows.pieces):
            if piece.first_ns <= tick_ns:
                for _, _, part in Rows((piece,)).blocks(0, piece.rows):
                    wanted = np.flatnonzero((part["tick_ns"] <= tick_ns) & (part["phase"] == Phase.BEFORE_READ))
                    if len(wanted):
                        return Checkpoint(piece.layout, part[wanted[-1] : wanted[-1] + 1])
        return None

    def _between(self, start: int, stop: int) -> Iterator[Checkpoint]:
        for _, piece, part in self._rows.blocks(start, stop):
            for at in range(len(part)):
                yield Checkpoint(piece.layout, part[at : at + 1])


def _joined(blocks: Iterable[Records], dtype: np.dtype[np.void], most: int) -> Records:
    """All in one array; `most` of them."""
    plain = f"V{dtype.itemsize}"
    made, at = np.empty(most, plain), 0
    for block in blocks:
        made[at : at + len(block)] = block.view(plain)
        at += len(block)
    return made[:at].view(dtype)
