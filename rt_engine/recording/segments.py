"""Parts of a recording that can be replayed each by itself: they begin at a checkpoint."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from rt_engine.recording.file import Piece
from rt_engine.recording.layout import Phase
from rt_engine.recording.rows import Rows


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows from `start` up to `stop` of a task, all of one boot, in files that other processes can open.

    `task = rt_engine.recording.open(segment.paths).task(segment.task)` has its records as
    `task.blocks(segment.start, segment.stop, "row")`, and its checkpoints as `task.checkpoints.of(segment)`: the first of them is that
    of its first row, unless `has_checkpoint` is False. Then nothing is known of what the task remembered, and no checkpoint follows.
    """

    paths: tuple[str, ...]
    task: str
    boot: str
    start: int
    stop: int
    first_ns: int
    last_ns: int
    has_checkpoint: bool

    def __len__(self) -> int:
        return self.stop - self.start


def segments(paths: tuple[str, ...], task: str, rows: Rows, checkpoints: Rows, most: int) -> Iterator[Segment]:
    """Up to `most`, and one more for each boot and for what comes before a boot's first checkpoint."""
    starts = _starts(rows, checkpoints, max(1, -(-len(rows) // max(1, most))))
    known = set(starts)
    begins = sorted({*known, *(rows.starts[first] for first, _ in rows.boots.values())})
    for start, stop in pairwise([*begins, len(rows)]):
        first, last = rows.tick(start, stop), rows.tick(start, stop, is_last=True)
        if first is not None and last is not None:
            boot = rows.pieces[rows.piece_of(start)].file.boot
            yield Segment(paths, task, boot, start, stop, first, last, start in known)


def _starts(rows: Rows, checkpoints: Rows, step: int) -> list[int]:
    """Rows at least `step` apart that have a checkpoint, the first of each boot among them."""
    found: list[int] = []
    boot, wanted = "", 0
    for piece in checkpoints.pieces:
        if piece.file.boot != boot:
            boot, wanted = piece.file.boot, 0
        if rows.after(boot, piece.last_ns) <= wanted and wanted:
            continue
        for row in _rows_of(rows, piece):
            if row >= wanted:
                found.append(row)
                wanted = row + step
    return found


def _rows_of(rows: Rows, piece: Piece) -> Iterator[int]:
    """The rows before which the checkpoints of a piece were written."""
    mine = Rows((piece,))
    for _, _, part in mine.blocks(0, len(mine)):
        for tick in part["tick_ns"][part["phase"] == Phase.BEFORE_READ]:
            row = rows.row_at(piece.file.boot, int(tick))
            if row is not None:
                yield row
