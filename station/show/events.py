"""What happened to a station: events with their time, folded where they come in masses, and what a task's cycles tell.

note -- at most `MOST` of one kind and subject within `WITHIN_S` --> an event: kept, and told at once
     -- more -----------------------------------------------------> one event when that time is over: "214 changes in 9.8 s"
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from scheduler.status import Action
from scheduler.task import Task
from scheduler.trace import Cycle, blamed
from station.machine.computer import Level
from station.show.reasons import cause
from station.terms.durations import format_duration

EventKind = Literal["run", "station", "link", "task", "overrun", "update", "client", "recorder"]
MOST: Final = 6
WITHIN_S: Final = 10.0
MOST_KEPT: Final = 2000
NS: Final = 1e9
_RANK: Final[dict[Level, int]] = {"ok": 0, "warn": 1, "bad": 2}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened `at_s` seconds after the start (of a monotonic clock), at the time `when`, to `subject`."""

    at_s: float
    kind: EventKind
    subject: str
    text: str
    level: Level
    when: datetime = field(default_factory=lambda: datetime.now(UTC).astimezone())

    @property
    def good(self) -> bool:
        """Nothing to worry about?"""
        return self.level == "ok"

    def __str__(self) -> str:
        return f"{self.when.isoformat(sep=' ', timespec='milliseconds')} {self.level} {self.kind} {self.subject}: {self.text}"


@dataclass(slots=True)
class _Fold:
    begin_s: float
    end_s: float
    times: int
    subject: str
    text: str
    level: Level


class Diary:
    """Keeps events, the newest `MOST_KEPT`, and tells each once. Any thread; `tell` must not wait for anything."""

    def __init__(self, tell: Callable[[Event], None] = lambda event: None) -> None:
        self.tell = tell
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """Forget all; the start is now."""
        with self._lock:
            self.begin_s = time.monotonic()
            self._events: deque[Event] = deque(maxlen=MOST_KEPT)
            self._count = 0
            self._recent: dict[tuple[EventKind, str], deque[float]] = {}
            self._folds: dict[tuple[EventKind, str], _Fold] = {}

    @property
    def events(self) -> tuple[Event, ...]:
        """In their order."""
        with self._lock:
            return tuple(self._events)

    def after(self, number: int) -> tuple[int, tuple[Event, ...]]:
        """(Number of the newest event, those with a higher number than that which are still there, in their order); from 1."""
        with self._lock:
            most = min(max(self._count - number, 0), len(self._events))
            return self._count, tuple(self._events)[len(self._events) - most :]

    def note(
        self,
        kind: EventKind,
        subject: str,
        text: str,
        level: Level,
        monotonic_s: float | None = None,
        times: int = 1,
        among: str = "",
    ) -> None:
        """Something happened now, or at `monotonic_s`; `times` more than 1: so often, and this is the newest.

        `among`: of which a flood is folded, where that is more than the subject: who he is is for strangers to say.
        """
        now_s = time.monotonic()
        at_s = (now_s if monotonic_s is None else monotonic_s) - self.begin_s
        key = (kind, among or subject)
        with self._lock:
            recent = self._recent.setdefault(key, deque(maxlen=MOST))
            is_flood = len(recent) == MOST and at_s - recent[0] < WITHIN_S
            if kind not in ("run", "station", "update") and (is_flood or times > 1 or key in self._folds):
                fold = self._folds.setdefault(key, _Fold(at_s, at_s, 0, subject, text, level))
                fold.end_s, fold.times, fold.subject, fold.text = at_s, fold.times + times, subject, text
                fold.level = max(fold.level, level, key=_RANK.__getitem__)
                return
            recent.append(at_s)
        when = datetime.now(UTC).astimezone() - timedelta(seconds=now_s - self.begin_s - at_s)
        self._keep(Event(at_s, kind, subject, text, level, when))

    def flush(self, is_last: bool = False) -> None:
        """Tell what was folded and is over; the last time, all."""
        now_s = time.monotonic() - self.begin_s
        with self._lock:
            due = {key: fold for key, fold in self._folds.items() if is_last or now_s - fold.begin_s >= WITHIN_S}
            for key in due:
                del self._folds[key]
                self._recent[key].append(now_s)
        for (kind, _), fold in due.items():
            text = f"{fold.times:,} changes in {fold.end_s - fold.begin_s:.1f} s, the newest: {fold.text}"
            self._keep(Event(fold.end_s, kind, fold.subject, text if fold.times > 1 else fold.text, fold.level))

    def _keep(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)
            self._count += 1
        self.tell(event)


class Doings:
    """The cycles that a task noted (`scheduler.trace`) -> what happened to its outputs, in words. Pure."""

    def __init__(self, task: Task, begin_s: float) -> None:
        self._task, self._begin_s = task, begin_s
        self._now: tuple[Action, int, int] | None = None
        self._since_s, self._why, self._was_live = 0.0, "", False

    def of(self, cycle: Cycle) -> Iterator[tuple[EventKind, str, Level]]:
        """(kind, text, level) of what this cycle changed: nothing, one thing or two."""
        if cycle.missed:
            ticks = "1 tick" if cycle.missed == 1 else f"{cycle.missed:,} ticks"
            yield "overrun", f"{ticks} missed: {did(cycle)}", "warn"
        state = (cycle.action, cycle.status, cycle.blame)
        if state != self._now:
            yield ("task", *self._change(cycle))
            self._now = state

    def _change(self, cycle: Cycle) -> tuple[str, Level]:
        at_s = cycle.tick_ns / NS - self._begin_s
        was, before = self._why, self._now[0] if self._now else Action.LIVE
        if cycle.action == Action.LIVE:
            self._why, self._was_live, first = "", True, not self._was_live
            if not was:
                return "outputs live", "ok"
            words = f"from {self._since_s:.1f} to {at_s:.1f} s {_ACTION[before]}: {was}"
            return ("outputs live for the first time" if first else f"outputs live again; {words}"), "ok"
        why = cause(cycle, blamed(self._task, cycle))
        if not was or before != cycle.action:
            self._since_s, self._why = at_s, why
            return f"outputs {_ACTION[cycle.action]}: {why}", "warn" if self._was_live else "ok"
        return f"outputs still {_ACTION[cycle.action]}: {why}", "warn" if self._was_live else "ok"


_ACTION: Final = {Action.LIVE: "live", Action.HOLD: "held", Action.SAFE: "safe", Action.FALLBACK: "the fallback's"}


def did(cycle: Cycle) -> str:
    """What made a cycle late: `woke 1.2 ms late, worked 30 us, took over a new version of the model`."""
    late, worked = format_duration(cycle.wakeup_ns, 3), format_duration(cycle.execution_ns, 3)
    return f"woke {late} late, worked {worked}" + (", took over a new version of the model" if cycle.switched else "")
