"""What a station has left that was killed becomes a recording: every cycle that was complete, up to the last.

A record counts from the moment that it is whole (`scheduler.ring_block`): what is lost is the cycle in which the process died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rt_engine.errors import RecordingError
from rt_engine.recording.contents import MODELS
from rt_engine.recording.writer import Writer
from scheduler.errors import RingError
from scheduler.ring import Ring
from station.recorder.home import Home, Left, forget, read_facts
from station.recorder.models import read_model
from station.recorder.shelf import SALVAGED, Shelf

AT_ONCE: Final = 4096


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was saved. `path` None: there was nothing in it. `words`: for people."""

    path: Path | None
    words: str


def salvage(home: Home, shelf: Shelf, compression: str, utc_ns: Callable[[], int]) -> list[Salvaged]:
    """Save what is left, and forget it. Raises OSError: a disk does not take it; what is left stays, for the next time."""
    return [saved for left in home.left() if (saved := _save(left, shelf, compression, utc_ns)) is not None]


def _save(left: Left, shelf: Shelf, compression: str, utc_ns: Callable[[], int]) -> Salvaged | None:
    notes: list[str] = []
    with ExitStack() as stack:
        rings = list(_opened(left, stack, notes))
        if not any(ring.head > ring.tail for ring in rings):
            forget(left)
            return Salvaged(None, "; ".join(notes)) if notes else None
        shelf.folder.mkdir(exist_ok=True)
        path = shelf.next_path(SALVAGED, utc_ns())
        try:
            told = _written(path, left, rings, compression)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        for ring in rings:
            ring.remove()
    forget(left)
    words = f"process {left.pid} had ended without writing it: {'; '.join(told)}; saved in {path.name}"
    return Salvaged(path, "; ".join((words, *notes)))


def _opened(left: Left, stack: ExitStack, notes: list[str]) -> Iterable[Ring]:
    """Those that can be read; of the others a note. None is read twice: two tasks of a name cannot be."""
    tasks: set[str] = set()
    for path in left.rings:
        try:
            ring = Ring.open(path)
        except RingError as error:
            notes.append(f"what it left cannot be read: {error}")
            continue
        stack.callback(ring.close)
        if ring.layout.task not in tasks:
            tasks.add(ring.layout.task)
            yield ring


def _written(path: Path, left: Left, rings: list[Ring], compression: str) -> list[str]:
    """Write the file; gives what of each task is in it."""
    facts = read_facts(left.facts)
    attached = {name: text.encode(errors="replace") for name, text in (facts.files or {}).items()}
    for sha256, place in (facts.models or {}).items():
        if (made := read_model(Path(place), sha256)) is not None:
            attached[f"{MODELS}{made[0]}"] = made[1]
    told = []
    try:
        writer = Writer(
            path,
            [ring.layout for ring in rings],
            offset_ns=rings[0].utc_offset_ns,
            about={**(facts.about or {}), "why": SALVAGED},
            station=facts.station,
            versions=facts.versions,
            attachments=attached,
            compression=compression,
        )
    except RecordingError as error:
        raise OSError(None, str(error)) from error
    with writer:
        for ring in rings:
            first, last, count = _copied(writer, ring)
            task, dropped = ring.layout.task, ring.dropped
            words = f"{count:,} cycles of task {task}" + (f", {dropped:,} found no room before" if dropped else "")
            told.append(words)
            writer.add_event(
                {
                    "tick_ns": last, "kind": "salvage", "task": task, "text": f"process {left.pid} ended: {words}",
                    "pid": left.pid, "first_ns": first, "last_ns": last, "cycles": count, "dropped": dropped,
                }
            )  # fmt: skip
        writer.sync()
    return told


def _copied(writer: Writer, ring: Ring) -> tuple[int, int, int]:
    """(tick of the first, of the last, how many) cycles; checkpoints too."""
    at = ring.checkpoint_tail
    while at < ring.checkpoint_head:
        checkpoints = ring.checkpoints(1, at)
        writer.add_checkpoints(ring.layout.task, checkpoints)
        at += len(checkpoints)
    at, first, last = ring.tail, 0, 0
    while at < ring.head:
        records = ring.records(AT_ONCE, at)
        first, last = first or int(records["tick_ns"][0]), int(records["tick_ns"][-1])
        writer.add_records(ring.layout.task, records)
        at += len(records)
    return first, last, at - ring.tail
