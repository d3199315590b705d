"""What a measurement of latencies found, as values and as the JSON file. Times are nanoseconds; what is derived is not stored.

Result --> subjects   Subject     a task: three histograms, the longest of each interval, the longest of all and their causes
       --> peers      Peer        the same wake-up by another program, in turns with ours
       --> loads, rights, machine, sources, notes
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_native.histogram import Histogram
from station.errors import StationError
from station.latency.loading import Loaded

KIND: Final = "rt-engine latency"
VERSION: Final = 1
"""Of the file. One more where a reader of this version would misread it; a key that is added is no new version."""
KINDS: Final = ("wakeup", "execution", "reaction")
LONGEST_INTERVAL_NS: Final = 10**13
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("rights", "machine"), ("name", "level", "value", "meaning", "fix")),
    "sources": ("name", "what", "lacks"),
}
"""What entries of a list have, as text."""
Longs = NDArray[np.int64]


class LatencyFileError(StationError):
    """A file is not a result of `rt-engine latency`, or one of a version that is not understood."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A histogram. `bars`: (from, to below, count) of the bins that are not empty, in their order."""

    count: int
    min: int
    mean: float
    max: int
    bars: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, histogram: Histogram) -> Spread:
        """A copy."""
        edges, counts = histogram.bins()
        bars = tuple((int(edges[i]), int(edges[i + 1]), int(counts[i])) for i in counts.nonzero()[0])
        return cls(histogram.count, histogram.min, histogram.mean, histogram.max, bars)

    @classmethod
    def of_bars(cls, bars: Sequence[tuple[int, int, int]]) -> Spread:
        """Of a histogram that says no more than its bins: its times are known to a bin."""
        if not bars:
            return cls(0, 0, 0.0, 0, ())
        count = sum(bar[2] for bar in bars)
        mean = sum((low + high) / 2 * number for low, high, number in bars) / count
        return cls(count, min(bar[0] for bar in bars), mean, max(bar[0] for bar in bars), tuple(sorted(bars)))

    @classmethod
    def sum(cls, parts: Iterable[Spread]) -> Spread:
        """What several have counted, together."""
        some = [part for part in parts if part.count]
        if not some:
            return cls(0, 0, 0.0, 0, ())
        counts: dict[tuple[int, int], int] = {}
        for low, high, number in (bar for part in some for bar in part.bars):
            counts[low, high] = counts.get((low, high), 0) + number
        count = sum(part.count for part in some)
        return cls(
            count,
            min(part.min for part in some),
            sum(part.mean * part.count for part in some) / count,
            max(part.max for part in some),
            tuple((low, high, number) for (low, high), number in sorted(counts.items())),
        )

    def percentile(self, percent: float) -> int:
        """The time that so many percent were at or below; of the bin its upper edge, at most the maximum. 0 when empty."""
        rank, seen = self.count * percent / 100, 0
        for _, high, count in self.bars:
            seen += count
            if seen >= rank:
                return min(high, self.max)
        return 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time without a gap. `began`: of the first interval; the longest of each interval, and how many cycles it had."""

    began: datetime
    wakeup: Longs
    execution: Longs
    reaction: Longs
    cycles: Longs


@dataclass(frozen=True, slots=True)
class Why:
    """A probable cause. `kind`: steal, smi, fault, preempted, held, throttle, frequency, interrupt, softirq, sleep, unknown."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Long:
    """One of the longest: when it happened (the tick), how long each of its three times was, and probably why."""

    at: datetime
    reaction_ns: int
    wakeup_ns: int
    execution_ns: int
    why: tuple[Why, ...] = ()


@dataclass(frozen=True, slots=True)
class Tie:
    """Intervals in which a counter stood out had longer reactions. `p`: of no difference, for so many counters looked at."""

    source: str
    name: str
    intervals: int
    with_ns: float
    without_ns: float
    p: float


@dataclass(frozen=True, slots=True)
class Subject:
    """A task that was measured."""

    name: str
    about: str
    cpu: int | None
    priority: int
    period_ns: int
    missed: int
    spreads: Mapping[str, Spread]
    stretches: tuple[Stretch, ...]
    longest: tuple[Long, ...] = ()
    ties: tuple[Tie, ...] = ()

    def maxima(self, kind: str = "reaction") -> Longs:
        """The longest of every interval that had a cycle, in their order."""
        parts = [getattr(s, kind)[s.cycles > 0] for s in self.stretches]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    @property
    def cycles(self) -> int:
        """How many were measured."""
        return self.spreads["reaction"].count


@dataclass(frozen=True, slots=True)
class Peer:
    """Another program's wake-ups on a core; `turns`: of each of its turns p50, p99, p99.9 and maximum. `ours`: of ours, as long."""

    name: str
    where: str
    spread: Spread
    turns: tuple[tuple[int, int, int, int], ...]
    ours: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """A measurement. `complete` False: it still ran when this was written; where it stays so, the process was killed."""

    started: datetime
    ended: datetime
    complete: bool
    asked_s: float
    interval_ns: int
    turn_s: float
    title: str
    loads: tuple[Loaded, ...]
    subjects: tuple[Subject, ...]
    peers: tuple[Peer, ...] = ()
    rights: tuple[Mapping[str, str], ...] = ()
    machine: tuple[Mapping[str, str], ...] = ()
    sources: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    engine: str = ""
    verdicts: Mapping[str, Any] = field(default_factory=dict)
    """Task -> what the fit says; for programs, made anew by who reads the file."""

    @property
    def measured_s(self) -> float:
        """How long it took."""
        return (self.ended - self.started).total_seconds()


def to_json(result: Result) -> str:
    """The file."""
    plain = {"kind": KIND, "version": VERSION, **asdict(result)}
    return json.dumps(plain, default=_plain, separators=(",", ":")) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(type(value))


def write(result: Result, path: Path) -> None:
    """The whole file or the one before: never half of it."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(to_json(result), encoding="utf-8")
    os.replace(beside, path)


def read(path: Path) -> Result:
    """A result from its file.

    Raises:
        LatencyFileError: it is something else, or of a newer version.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LatencyFileError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise LatencyFileError(f"{path} is no JSON: {error}; expected what `rt-engine latency --json` wrote") from error
    if not isinstance(plain, dict) or plain.get("kind") != KIND:
        raise LatencyFileError(f"{path} is another kind of file; expected what `rt-engine latency --json` wrote")
    if plain.get("version") != VERSION:
        raise LatencyFileError(
            f"{path} has version {plain.get('version')}, this rt-engine reads {VERSION}; "
            "use the one that wrote it, or a newer one"
        )
    try:
        return _result(plain)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ZeroDivisionError) as error:
        raise LatencyFileError(f"{path} is damaged: {type(error).__name__} at {error}; measure again") from error


def _result(plain: dict[str, Any]) -> Result:
    known = {name: plain[name] for name in Result.__slots__ if name in plain}
    made: dict[str, Any] = {
        "started": datetime.fromisoformat(plain["started"]),
        "ended": datetime.fromisoformat(plain["ended"]),
        "loads": tuple(Loaded(**entry) for entry in plain["loads"]),
        "subjects": tuple(_subject(entry) for entry in plain["subjects"]),
        "peers": tuple(_peer(entry) for entry in plain["peers"]),
    }
    made |= {name: tuple(plain[name]) for name in ("rights", "machine", "sources", "notes")}
    result = Result(**{**known, **made})
    if not all(map(math.isfinite, (result.asked_s, result.turn_s, result.measured_s))):
        raise ValueError("a time that is no number")
    if not 0 < result.interval_ns <= LONGEST_INTERVAL_NS:
        raise ValueError(f"intervals of {result.interval_ns} ns")
    for name, keys in KEYS.items():
        for entry in made[name]:
            if any(not isinstance(entry[key], str) for key in keys):
                raise TypeError(f"an entry of {name} that is no text")
    return result


def _subject(plain: dict[str, Any]) -> Subject:
    return Subject(
        **{
            **plain,
            **{name: int(plain[name]) for name in ("priority", "period_ns", "missed")},
            "spreads": {kind: _spread(plain["spreads"][kind]) for kind in KINDS},
            "stretches": tuple(_stretch(entry) for entry in plain["stretches"]),
            "longest": tuple(_long(entry) for entry in plain["longest"]),
            "ties": tuple(Tie(**entry) for entry in plain["ties"]),
        }
    )


def _spread(plain: dict[str, Any]) -> Spread:
    whole = {name: int(plain[name]) for name in ("count", "min", "max")}
    return Spread(
        **{
            **plain,
            **whole,
            "mean": float(plain["mean"]),
            "bars": tuple((int(a), int(b), int(c)) for a, b, c in plain["bars"]),
        }
    )


def _stretch(plain: dict[str, Any]) -> Stretch:
    longs = {name: np.array(plain[name], np.int64) for name in (*KINDS, "cycles")}
    if len({len(values) for values in longs.values()}) != 1:
        raise ValueError("a stretch with intervals of different number")
    return Stretch(began=datetime.fromisoformat(plain["began"]), **longs)


def _long(plain: dict[str, Any]) -> Long:
    why = tuple(Why(**entry) for entry in plain["why"])
    return Long(**{**plain, "at": datetime.fromisoformat(plain["at"]), "why": why})


def _peer(plain: dict[str, Any]) -> Peer:
    turns: dict[str, Any] = {name: tuple(_four(entry) for entry in plain[name]) for name in ("turns", "ours")}
    return Peer(**{**plain, "spread": _spread(plain["spread"]), **turns})


def _four(entry: Iterable[int]) -> tuple[int, int, int, int]:
    p50, p99, p99_9, most = map(int, entry)
    return p50, p99, p99_9, most
