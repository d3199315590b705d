"""Why an interval had a long cycle: from what the kernel counted in it, against what it counts in the others. Pure.

A counter is of a whole interval, a long cycle of an instant: what is found is a probable cause, named in the order in which one
explains the others away. A cause is asked for by a rule, one function each:

    steal        the host took the core (of a virtual machine)
    firmware     a system management interrupt
    fault        the thread waited for a page
    preempted    the thread was ready, and another of its priority or above ran
    held         the thread was ready, and the kernel did not give way to it
    throttle, frequency, sleep      the core was slow, or slept deeply
    interrupt, softirq              many more of one name than usual
    unknown      none of these; on a virtual machine the host is the next to ask
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.latency.result import Why
from station.latency.sources import Counter
from station.terms.durations import format_duration

MOSTLY: Final = 0.5
"""A wait explains a long cycle when it is this part of what that was longer than usual."""
FAR: Final = 5.0
"""So many times the usual spread above the usual: stands out."""
MUCH: Final = 2.0
"""And so many times the usual."""
LEAST_MORE: Final = 20.0
"""Interrupts that are fewer more than this are no cause."""
FAIR_NS: Final = 40e6, 60e6
"""Since Linux 6.12 threads of normal priority have 50 ms of each second before real-time ones, where these leave them none."""
MOST_COUNTERS: Final = 512
MANY: Final = "interrupt", "softirq"
"""Kinds with hundreds of counters on a computer of many cores: others have their places first, and `ROOM` to come."""
ROOM: Final = 128
MHZ: Final = 50.0


@dataclass(frozen=True, slots=True)
class Usual:
    """What a counter is in most intervals: its median, and how far most lie from it (median of distances, as a deviation)."""

    middle: float
    spread: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Usual:
        """Of all intervals."""
        middle = float(np.median(values))
        return cls(middle, 1.4826 * float(np.median(np.abs(values - middle))))

    def stands_out(self, value: float) -> bool:
        """Is it much more than usual?"""
        return value > self.middle + FAR * self.spread and value > MUCH * max(self.middle, 0.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """One interval with a long cycle. `excess_ns`: what it was longer than usual; `is_first`: the task has real-time priority, so that
    only its rivals may run before it.
    """

    excess_ns: float
    counted: Mapping[Counter, float]
    usual: Mapping[Counter, Usual]
    is_first: bool = True

    def of(self, source: str) -> Iterator[tuple[Counter, float, Usual]]:
        """The counters of a kind."""
        for counter, value in self.counted.items():
            if counter.source == source:
                yield counter, value, self.usual[counter]

    def more(self, source: str) -> float:
        """How much more than usual a kind counted, of its counter that did most."""
        return max((value - usual.middle for _, value, usual in self.of(source)), default=0.0)


def _steal(scene: Scene) -> Iterator[Why]:
    for counter, value, usual in scene.of("steal"):
        if value > 0 and value > usual.middle + FAR * usual.spread:
            yield Why("steal", f"the host took {counter.where} for about {value:.0f} ms (steal)")


def _firmware(scene: Scene) -> Iterator[Why]:
    for counter, value, usual in scene.of("smi"):
        if value > usual.middle:
            yield Why("smi", f"firmware: {value:.0f} system management interrupts on {counter.where}")


def _fault(scene: Scene) -> Iterator[Why]:
    for counter, value, usual in scene.of("fault"):
        if value > usual.middle:
            yield Why("fault", f"{value:.0f} {counter.name} of the task's thread")


def _waited(scene: Scene) -> Iterator[Why]:
    """`waited` counts the short waits of every wake-up too: what is above the usual is compared."""
    waited = scene.more("waited")
    if waited < MOSTLY * scene.excess_ns:
        return
    rivals = [(value - usual.middle, counter.name) for counter, value, usual in scene.of("rival")]
    ran, name = max(rivals, default=(0.0, ""))
    long = format_duration(waited, 2)
    if ran >= MOSTLY * scene.excess_ns:
        yield Why("preempted", f"preempted by {name}, which ran {format_duration(ran, 2)}; the task waited {long}")
    elif not scene.is_first:
        yield Why(
            "preempted", f"the task was ready and waited {long}: without real-time priority any program runs before it"
        )
    else:
        fair = FAIR_NS[0] <= waited <= FAIR_NS[1]
        how = "as long as its fair server runs for starved programs in a second" if fair else "no rival ran that long"
        yield Why("held", f"the task was ready and waited {long}: the kernel did not give way ({how})")


def _throttle(scene: Scene) -> Iterator[Why]:
    for counter, value, usual in scene.of("throttle"):
        if value > usual.middle:
            yield Why("throttle", f"{counter.where} was throttled by heat ({counter.name} +{value:.0f})")


def _frequency(scene: Scene) -> Iterator[Why]:
    for counter, value, usual in scene.of("frequency"):
        if value > usual.middle + max(FAR * usual.spread, MHZ):
            yield Why("frequency", f"{counter.where} ran at {-value:.0f} MHz, usually {-usual.middle:.0f}")


def _interrupts(scene: Scene) -> Iterator[Why]:
    """The one that is most above its usual, of each of the two kinds."""
    for kind in ("interrupt", "softirq"):
        found = [
            (value - usual.middle, counter, value, usual)
            for counter, value, usual in scene.of(kind)
            if usual.stands_out(value) and value - usual.middle >= LEAST_MORE
        ]
        if found:
            _, counter, value, usual = max(found, key=lambda entry: entry[0])
            yield Why(
                kind,
                f"{kind} {counter.name}: {value:.0f} on {counter.where} in that interval, usually {usual.middle:.0f}",
            )


def _sleep(scene: Scene) -> Iterator[Why]:
    for counter, value, usual in scene.of("sleep"):
        if usual.stands_out(value):
            yield Why("sleep", f"{counter.where} went to sleep state {counter.name} {value:.0f} times")


RULES: Final[tuple[Callable[[Scene], Iterator[Why]], ...]] = (
    _steal,
    _firmware,
    _fault,
    _waited,
    _throttle,
    _frequency,
    _interrupts,
    _sleep,
)


def why(scene: Scene) -> tuple[Why, ...]:
    """All causes that are probable, the likeliest first; one that says unknown where there is none."""
    found = tuple(cause for rule in RULES for cause in rule(scene))
    return found or (Why("unknown", "nothing that the kernel counts stood out"),)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted in each interval: a row for each, a column for each counter."""

    counters: tuple[Counter, ...]
    values: NDArray[np.float64]

    def about(self, places: set[str]) -> Counted:
        """The columns of some places, and of the whole machine."""
        kept = [i for i, counter in enumerate(self.counters) if counter.where in places | {""}]
        return Counted(tuple(self.counters[i] for i in kept), self.values[:, kept])

    def usual(self) -> dict[Counter, Usual]:
        """Of each column."""
        return {counter: Usual.of(self.values[:, i]) for i, counter in enumerate(self.counters)}

    def row(self, number: int) -> dict[Counter, float]:
        """One interval."""
        return dict(zip(self.counters, map(float, self.values[number]), strict=True))


class Counting:
    """Rows of `Counted` as they come: a day of seconds in 44 MB for each 64 counters. One that has counted nothing so far takes no
    place; those beyond `MOST_COUNTERS` are not kept, and are in `left`.
    """

    def __init__(self) -> None:
        self._places: dict[Counter, int] = {}
        self.left: dict[Counter, None] = {}
        self._values = np.zeros((64, 64))
        self.count = 0

    def add(self, row: Mapping[Counter, float]) -> None:
        """The differences of one interval; what it lacks is 0."""
        new = [counter for counter, value in row.items() if value and counter not in self._places]
        for counter in sorted(new, key=lambda counter: counter.source in MANY):
            if len(self._places) < MOST_COUNTERS - ROOM * (counter.source in MANY):
                self._places[counter] = len(self._places)
            else:
                self.left[counter] = None
        rows, columns = self._values.shape
        if self.count == rows or len(self._places) > columns:
            grown = np.zeros((2 * rows if self.count == rows else rows, max(columns, 64 * -(-len(self._places) // 64))))
            grown[:rows, :columns] = self._values
            self._values = grown
        for counter, value in row.items():
            if counter in self._places:
                self._values[self.count, self._places[counter]] = value
        self.count += 1

    def counted(self) -> Counted:
        """All rows so far."""
        return Counted(tuple(self._places), self._values[: self.count, : len(self._places)])


def counted(rows: Sequence[Mapping[Counter, float]]) -> Counted:
    """Of rows that are all there."""
    counting = Counting()
    for row in rows:
        counting.add(row)
    return counting.counted()
