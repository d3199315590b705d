"""What another model would have put out: what a task did as it was recorded, and what it does with a new model, cycle by cycle.

    Comparison(terms) --add(old, new)--> piece by piece --result()--> WhatIf

Pure: arrays in, figures out. Nothing here knows files, models or tasks. Compared are the outputs before the guard, as a shadow
does (`scheduler.second`), in the unit of their tags, in the cycles in which both models have computed. What was published is
compared beside it, in all cycles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scheduler.status import Action, TaskStatus, describe
from station.replay.apart import Apartness, Furthest
from station.replay.trends import Moment, Moments, Trend, Trends

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

COMPUTED: Final = tuple(map(int, (TaskStatus.OK, TaskStatus.OVERRUN, TaskStatus.NAN_OUTPUT, TaskStatus.BAD_STATE)))
"""With these a cycle's `raw` is its model's own."""
SPOKEN: Final = int(TaskStatus.MONITOR)
FAULTS: Final = tuple(map(int, (TaskStatus.NAN_OUTPUT, TaskStatus.BAD_STATE, TaskStatus.STEP_FAILED)))
"""Of what was computed; those below 100 are the model's own."""
FIRST_OF_TASKS: Final = 100
PICTURED: Final = 1024
"""Outputs of which trends are kept: the first."""
_SMALL: Final = 4096


@dataclass(frozen=True, slots=True)
class OutputTerms:
    """One value that the task puts out.

    Args:
        name: its tag; of one of several cells, with its number: `force[2]`.
        low, high: the guard's limits; `least`, `most`: what the new model's contract allows, before the guard.
        tolerance: further apart is beyond it; None: nothing is judged by the difference.
    """

    name: str
    unit: str = ""
    low: float = -np.inf
    high: float = np.inf
    least: float = -np.inf
    most: float = np.inf
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What is compared: a task, the span of its ticks, its outputs in the order of the record.

    Args:
        utc_ns: so much after its tick was the time of day (UTC, nanoseconds); 0: not known.
        monitor_limit: above it the task's monitor is over; None: it has none.
        disagreements: so many values may lie beyond their tolerance.
    """

    task: str
    period_ns: int
    first_ns: int
    last_ns: int
    outputs: tuple[OutputTerms, ...]
    utc_ns: int = 0
    monitor_limit: float | None = None
    disagreements: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Cycles:
    """What a task did in cycles that follow each other: of each its tick, outputs before and after the guard [n, outputs], status,
    action, the monitor's value (NaN: none), and whether a smaller model computed, for lack of time."""

    tick_ns: Ints
    raw: Floats
    published: Floats
    status: Ints
    action: Ints
    monitor: Floats
    smaller: Flags

    def __len__(self) -> int:
        return len(self.tick_ns)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one of the two did, in all cycles: so many of each action and status; of its monitor how often it was over its limit."""

    actions: Mapping[str, int]
    statuses: Mapping[str, int]
    over_limit: int = 0
    monitor: float | None = None
    """The largest value; None: there was none."""


@dataclass(frozen=True, slots=True)
class OutputFound:
    """How far the new model's output lies from the old one's.

    `largest` at the tick `largest_ns`; `beyond` its tolerance so often, first at `first_beyond_ns`. `quantiles`: of |difference|, at
    most so much (within 3 %). `not_finite`: NaN or infinite where the old one was a number; `outside`: beyond the new model's
    contract; the first of both at `first_bad_ns`. `clamped`, `limited`: by the guard, (old, new). `published`: the same differences
    behind the guard, in all cycles.
    """

    terms: OutputTerms
    compared: int
    equal: int
    largest: float
    largest_ns: int
    beyond: int
    first_beyond_ns: int
    quantiles: Mapping[str, float]
    not_finite: int
    old_not_finite: int
    outside: int
    first_bad_ns: int
    clamped: tuple[int, int]
    limited: tuple[int, int]
    published: Furthest
    bins: Mapping[int, int] = field(default_factory=dict, repr=False)
    """See `station.replay.apart.Apartness.bins`."""

    @property
    def rank(self) -> tuple[float, ...]:
        """Greater: more to look at."""
        terms = self.terms
        return self.not_finite + self.outside, self.beyond, self.largest / (terms.tolerance or 1.0)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The figures of one task. `apart`: why cycles could not be compared -> how many. `both`: (old action, new action) -> cycles.

    `faults`: cycles in which the new model, or what stands behind it, failed where the old one did not; the first at `fault_ns`.
    """

    terms: Terms
    cycles: int
    compared: int
    apart: Mapping[str, int]
    old: Behaviour
    new: Behaviour
    both: Mapping[tuple[str, str], int]
    faults: int
    fault_ns: int
    outputs: tuple[OutputFound, ...]
    trends: tuple[Trend, ...] = ()
    moments: tuple[tuple[Moment, ...], ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader has to know besides: where states began fresh, what was left out."""
    recorded: int = 0
    """Cycles that the recording has."""
    seconds: float = 0.0
    """That it took."""

    @property
    def beyond(self) -> int:
        """Values beyond their tolerance, of all outputs."""
        return sum(output.beyond for output in self.outputs)

    @property
    def not_finite(self) -> int:
        """Values that are numbers only of the old model."""
        return sum(output.not_finite for output in self.outputs)

    @property
    def outside(self) -> int:
        """Values beyond the new model's contract."""
        return sum(output.outside for output in self.outputs)

    @property
    def is_equal(self) -> bool:
        """Was every value before the guard the same bits, in every cycle?"""
        same = all(output.equal == output.compared == self.compared for output in self.outputs)
        return same and self.old == self.new and all(output.published.largest == 0 for output in self.outputs)

    def to_json(self) -> dict[str, Any]:
        """For programs; times are ticks in nanoseconds, a number that is none is null."""
        outputs = [_output_json(output) for output in self.outputs]
        plain = {
            "task": self.terms.task,
            "period_ns": self.terms.period_ns,
            "first_ns": self.terms.first_ns,
            "last_ns": self.terms.last_ns,
            "utc_minus_tick_ns": self.terms.utc_ns,
            "cycles": self.cycles,
            "compared": self.compared,
            "not_compared": dict(self.apart),
            "old": asdict(self.old),
            "new": asdict(self.new),
            "actions": [{"old": old, "new": new, "cycles": count} for (old, new), count in self.both.items()],
            "faults": self.faults,
            "first_fault_ns": self.fault_ns,
            "outputs": outputs,
            "notes": list(self.notes),
            "recorded": self.recorded,
            "seconds": self.seconds,
        }
        return plain


def _output_json(found: OutputFound) -> dict[str, Any]:
    data = asdict(found)
    del data["bins"]
    terms = {key: value if _is_number(value) else None for key, value in data.pop("terms").items()}
    return terms | data


def _is_number(value: object) -> bool:
    return not isinstance(value, float) or bool(np.isfinite(value))


class Comparison:
    """Takes pieces of both, in the order of time, and keeps figures and pictures; its memory does not grow with the cycles."""

    def __init__(self, terms: Terms) -> None:
        self._terms, count = terms, len(terms.outputs)
        self._raw = Apartness(count, _of(terms, "tolerance"))
        self._published = Apartness(count, np.full(count, np.inf))
        self._clamped, self._limited = np.zeros((2, count), np.int64), np.zeros((2, count), np.int64)
        self._outside, self._first_bad = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._apart: Counter[str] = Counter()
        self._both: Counter[tuple[int, int]] = Counter()
        self._statuses: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        self._over, self._monitor = [0, 0], [-np.inf, -np.inf]
        self._cycles = self._compared = self._faults = self._fault_ns = 0
        self._trends = Trends(min(count, PICTURED), terms.first_ns, terms.last_ns)
        self._moments = Moments(min(count, PICTURED), terms.period_ns)

    def add(self, old: Cycles, new: Cycles) -> None:
        """A piece of both: the same cycles.

        Raises:
            ValueError: they are not of the same ticks.
        """
        if not np.array_equal(old.tick_ns, new.tick_ns):
            raise ValueError("the two are of other cycles")
        if not len(old):
            return
        both = _computed(old) & _computed(new)
        self._cycles += len(old)
        self._compared += int(both.sum())
        self._reasons(old, new, both)
        self._behaviour(old, new)
        shown = [np.where(both[:, None], one.raw[:, :PICTURED], np.nan) for one in (old, new)]
        self._raw.add(old.tick_ns, old.raw, new.raw, both)
        self._published.add(old.tick_ns, old.published, new.published, np.ones(len(old), np.bool_))
        self._limits(new, both)
        self._guards(old, new)
        self._trends.add(old.tick_ns, *shown)
        self._moments.add(old.tick_ns, *shown)

    def result(self, notes: Sequence[str] = ()) -> WhatIf:
        """All figures of what was added."""
        olds, news = (_named(statuses) for statuses in self._statuses)
        pairs = {(_action(old), _action(new)): count for (old, new), count in sorted(self._both.items())}
        actions: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        for (one, other), count in pairs.items():
            actions[0][one] += count
            actions[1][other] += count
        values = [None if value == -np.inf else float(value) for value in self._monitor]
        return WhatIf(
            terms=self._terms,
            cycles=self._cycles,
            compared=self._compared,
            apart=dict(self._apart.most_common()),
            old=Behaviour(dict(actions[0]), olds, self._over[0], values[0]),
            new=Behaviour(dict(actions[1]), news, self._over[1], values[1]),
            both=pairs,
            faults=self._faults,
            fault_ns=self._fault_ns,
            outputs=tuple(map(self._output, range(len(self._terms.outputs)))),
            trends=self._trends.result(),
            moments=self._moments.result(),
            notes=tuple(notes),
        )

    def _output(self, i: int) -> OutputFound:
        raw, firsts = self._raw, [ns for ns in (self._raw.first_bad_ns[i], self._first_bad[i]) if ns]
        return OutputFound(
            terms=self._terms.outputs[i],
            compared=int(raw.compared[i]),
            equal=int(raw.equal[i]),
            largest=float(raw.largest[i]),
            largest_ns=int(raw.largest_ns[i]),
            beyond=int(raw.beyond[i]),
            first_beyond_ns=int(raw.first_beyond_ns[i]),
            quantiles=raw.quantiles(i),
            not_finite=int(raw.not_finite[i]),
            old_not_finite=int(raw.old_not_finite[i]),
            outside=int(self._outside[i]),
            first_bad_ns=int(min(firsts, default=0)),
            clamped=(int(self._clamped[0, i]), int(self._clamped[1, i])),
            limited=(int(self._limited[0, i]), int(self._limited[1, i])),
            published=self._published.furthest(i),
            bins=raw.bins(i),
        )

    def _reasons(self, old: Cycles, new: Cycles, both: Flags) -> None:
        """Why cycles cannot be compared."""
        for who, one, mine in (("recorded", old, ~_computed(old)), ("new", new, _computed(old) & ~both)):
            stood, smaller = (
                mine & (one.action == Action.FALLBACK),
                mine & one.smaller & (one.action != Action.FALLBACK),
            )
            for why, which in (("a fallback stood in", stood), ("a smaller model computed", smaller)):
                if count := int(which.sum()):
                    self._apart[f"{who}: {why}"] += count
            for status, count in _counted(one.status[mine & ~stood & ~smaller]).items():
                self._apart[f"{who}: {describe(status)}"] += count

    def _behaviour(self, old: Cycles, new: Cycles) -> None:
        for one in _counted(old.action):
            mine = new.action[old.action == one]
            self._both.update({(one, other): count for other, count in _counted(mine).items()})
        for i, cycles in enumerate((old, new)):
            self._statuses[i].update(_counted(cycles.status))
            known = cycles.monitor[~np.isnan(cycles.monitor)]
            if known.size:
                self._monitor[i] = max(self._monitor[i], float(known.max()))
                limit = self._terms.monitor_limit
                self._over[i] += 0 if limit is None else int((known > limit).sum())
        failed = _failed(new) & ~_failed(old)
        if failed.any():
            self._fault_ns = self._fault_ns or int(new.tick_ns[failed.argmax()])
            self._faults += int(failed.sum())

    def _limits(self, new: Cycles, both: Flags) -> None:
        """What the new model gives beyond its contract."""
        with np.errstate(invalid="ignore"):
            out = (new.raw < _of(self._terms, "least")) | (new.raw > _of(self._terms, "most"))
        out &= both[:, None] & np.isfinite(new.raw)
        self._outside += out.sum(axis=0)
        first = np.where(out.any(axis=0), new.tick_ns[out.argmax(axis=0)], 0)
        self._first_bad = np.where(self._first_bad == 0, first, self._first_bad)

    def _guards(self, old: Cycles, new: Cycles) -> None:
        """What the guard did to values that went out: clamped to limits, then kept to a rate."""
        low, high = _of(self._terms, "low"), _of(self._terms, "high")
        for i, one in enumerate((old, new)):
            live = ((one.action == Action.LIVE) | (one.action == Action.FALLBACK))[:, None]
            with np.errstate(invalid="ignore"):
                kept = np.minimum(np.maximum(one.raw, low), high)
                self._clamped[i] += (live & (kept != one.raw) & ~np.isnan(one.raw)).sum(axis=0)
                self._limited[i] += (live & (kept != one.published) & ~np.isnan(kept)).sum(axis=0)


def _of(terms: Terms, name: str) -> Floats:
    values = [getattr(output, name) for output in terms.outputs]
    return np.array([np.inf if value is None else value for value in values], np.float64)


def _computed(cycles: Cycles) -> Flags:
    """Is `raw` the model's own?"""
    ran: Flags = np.isin(cycles.status, (*COMPUTED, SPOKEN)) & (cycles.action != Action.FALLBACK) & ~cycles.smaller
    return ran


def _failed(cycles: Cycles) -> Flags:
    """Did what was computed fail?"""
    own: Flags = (cycles.status > 0) & (cycles.status < FIRST_OF_TASKS)
    return own | np.isin(cycles.status, FAULTS)


def _counted(values: Ints) -> dict[int, int]:
    """Each value, and how often it comes; small ones without sorting."""
    if len(values) and values.min() >= 0 and values.max() < _SMALL:
        counts = np.bincount(values)
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    kinds, counts = np.unique(values, return_counts=True)
    return dict(zip(kinds.tolist(), counts.tolist(), strict=True))


def _named(statuses: Mapping[int, int]) -> dict[str, int]:
    return {describe(status): count for status, count in sorted(statuses.items())}


def _action(number: int) -> str:
    return Action(number).name if number in Action._value2member_map_ else str(number)
