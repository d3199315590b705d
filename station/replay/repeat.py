"""A recording run again by the cycle itself: the same bits, or the first that is not, and why that may be.

recording --lives--> each task --restored, pieces_of--> scheduler.replay --> Repeated: a row of the table, and words
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from rt_engine.recording import Recording
from rt_native import version
from scheduler.errors import ReplayError
from scheduler.replay import Difference, Piece, Replayed, What, replay_task
from scheduler.replay_plan import Why
from scheduler.status import Action, describe
from station.replay.arithmetic import other_arithmetic
from station.replay.models import Missing, Search
from station.replay.pieces import lives, pieces_of
from station.replay.restored import WHAT_HELPS, Restored, restored

NS: Final = 1_000_000_000
Progress = Callable[[str, int, int], None]
"""(task, cycles done, cycles in all)."""


@dataclass(frozen=True, slots=True)
class How:
    """How a recording is run again.

    Args:
        models: folders in which models are looked for that are not attached.
        steps: a folder with steps of the user's own.
        trusted: run steps that came with the recording.
        tasks: which; all of them by default.
    """

    models: tuple[Path, ...] = ()
    steps: Path | None = None
    trusted: bool = False
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeated:
    """A task of a recording, run again. `why`: why it could not be; empty: it was."""

    task: str
    found: Replayed | None = None
    period_ns: int = 0
    offset_ns: int = 0
    missing: tuple[Missing, ...] = ()
    hints: tuple[str, ...] = ()
    why: str = ""
    paths: tuple[str, ...] = field(default=(), compare=False)
    arithmetic: str = ""
    """Why other bits are no fault; empty: they are one."""

    @property
    def is_equal(self) -> bool:
        """Was there something to repeat, and was it all the same?"""
        return self.found is not None and self.found.is_equal and self.found.cycles > 0

    @property
    def may_differ(self) -> bool:
        """Was there something to repeat, with other bits, as another arithmetic gives?"""
        return bool(self.arithmetic) and self.found is not None and not self.found.is_equal and self.found.cycles > 0

    @property
    def speed(self) -> float:
        """Cycles per second."""
        return self.found.cycles / self.found.seconds if self.found and self.found.seconds > 0 else 0.0

    @property
    def times_life(self) -> float:
        """How many times faster than the machine."""
        return self.speed * self.period_ns / NS

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        found, first = self.found, self.found.first if self.found else None
        return {
            "task": self.task,
            "files": list(self.paths),
            "recorded": found.recorded if found else 0,
            "repeated": found.cycles if found else 0,
            "equal": found.equal if found else 0,
            "is_equal": self.is_equal,
            "left_out": {why.name.lower(): count for why, count in found.left_out.items()} if found else {},
            "cycles_per_second": round(self.speed),
            "times_life": round(self.times_life, 1),
            "first_difference": None if first is None else difference_to_json(first, self.offset_ns),
            "arithmetic": self.arithmetic,
            "hints": list(self.hints),
            "missing": [{"model": m.slot, "version": m.number, "sha256": m.sha256} for m in self.missing],
            "why": self.why,
        }


def repeat(recording: Recording, how: How, progress: Progress | None = None) -> Iterator[Repeated]:
    """Run the tasks of a recording again; what one cannot be is told, and no reason to leave out the others.

    Raises:
        RecordingError: a task that is wanted is not in it.
    """
    for name in how.tasks:
        recording.task(name)
    for life in lives(recording):
        search = Search(life, how.models)
        for name in how.tasks or life.tasks:
            if name in life.tasks and len(life.task(name)):
                yield _repeat_task(life, name, search, how, progress)


def _repeat_task(recording: Recording, name: str, search: Search, how: How, progress: Progress | None) -> Repeated:
    offset_ns = int(recording.about.get("offset_ns") or 0)
    try:
        made = restored(recording, name, search, steps=how.steps, trusted=how.trusted)
        pieces = _told(pieces_of(recording.task(name)), name, len(recording.task(name)), progress)
        found = replay_task(made.task, made.models, made.layout, pieces, others=made.others)
    except ReplayError as error:
        return Repeated(name, why=str(error), paths=recording.paths)
    arithmetic = other_arithmetic(recording.about)
    hints = tuple(hints_of(found.first, made, recording)) if found.first is not None and not arithmetic else ()
    period_ns = made.layout.period_ns
    return Repeated(
        name, found, period_ns, offset_ns, made.missing, hints, paths=recording.paths, arithmetic=arithmetic
    )


def _told(pieces: Iterable[Piece], task: str, total: int, progress: Progress | None) -> Iterator[Piece]:
    done = 0
    for piece in pieces:
        yield piece
        done += len(piece.records)
        if progress is not None:
            progress(task, done, total)


# --- in words ----------------------------------------------------------------------------------------------------------

_WORDS: Final = {
    What.TICK: "it served another tick",
    What.STATE: "what it remembers, {name}, is another",
    What.RAW: "output {name} before the guard is another",
    What.STATUS: "its status is another",
    What.ACTION: "what was done with its outputs is another",
    What.PUBLISHED: "output {name} as published is another",
    What.MONITOR: "the monitor's value is another",
    What.MISSED: "it lost another number of ticks",
}


def difference_words(first: Difference, offset_ns: int) -> str:
    """The first difference: when, what, wanted and got, as numbers and as bits."""
    wanted, got = (_shown(first, value) for value in (first.wanted, first.got))
    bits = ""
    if first.what in (What.RAW, What.PUBLISHED, What.MONITOR, What.STATE):
        bits = f" (bits {_bits(first.wanted_bits)}, {_bits(first.got_bits)})"
    return (
        f"cycle {first.number}, tick {first.tick_ns} ns, {utc(first.tick_ns + offset_ns)}, version {first.version}: "
        f"{_WORDS[first.what].format(name=first.name)}: recorded {wanted}, now {got}{bits}"
    )


def _shown(first: Difference, value: float | int) -> str:
    if first.what is What.STATUS:
        return describe(int(value))
    if first.what is What.ACTION and value in Action._value2member_map_:
        return Action(int(value)).name
    return repr(value)


def _bits(bits: int) -> str:
    return f"0x{bits & (1 << 64) - 1:016x}"


def utc(ns: int) -> str:
    """A moment for people."""
    try:
        moment = datetime.fromtimestamp(ns // NS, UTC)
    except (OverflowError, OSError, ValueError):
        return f"{ns} ns UTC"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{ns % NS:09d} UTC"


def difference_to_json(first: Difference, offset_ns: int) -> dict[str, Any]:
    """The same for programs."""
    return {
        "tick_ns": first.tick_ns,
        "utc_ns": first.tick_ns + offset_ns,
        "cycle": first.number,
        "version": first.version,
        "what": first.what.name.lower(),
        "name": first.name,
        "recorded": first.wanted if np.isfinite(first.wanted) else str(first.wanted),
        "now": first.got if np.isfinite(first.got) else str(first.got),
        "recorded_bits": _bits(first.wanted_bits),
        "now_bits": _bits(first.got_bits),
    }


def hints_of(first: Difference, made: Restored, recording: Recording) -> Iterator[str]:
    """What the difference may come from."""
    software, mine = recording.about.get("software", ""), f"rt-engine {version.TEXT}"
    if software and software != mine:
        yield f"it was recorded by {software}, this is {mine}: run that version"
    if first.what is What.STATE:
        yield f"the outputs since the checkpoint before are equal; {first.name} became another on the way to this one"
    if made.task.step is not None and first.what in (What.RAW, What.STATUS):
        yield f"its step {made.task.step.name} may be another one than ran"
    if recording.damaged:
        yield "the recording is damaged: rt-engine recording info tells where"


def left_out_words(found: Replayed) -> Iterator[str]:
    """How many cycles were not repeated, and why."""
    for why, count in found.left_out.items():
        yield f"{count:,} cycles not repeated: {why.value}"


def missing_words(one: Repeated) -> Iterator[str]:
    """The models that would be needed; a recording names some, too, that never ran, as a gate refused them."""
    is_needed = one.found is not None and Why.NO_MODEL in one.found.left_out
    if is_needed:
        for missing in one.missing:
            yield f"not found: {missing}"
        yield f"{WHAT_HELPS}; --model FILE tries another model on the same inputs"
