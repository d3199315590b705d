"""Which cycles are kept: from so long before a trigger to so long after it. Pure: time comes with each call.

ticks of a task   ------------------------------------------------------>
fired                            X        X
episode                 [ before | .......| after ]
                   dropped        kept              open until `before` has passed
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_FIRED: Final = 100
"""Triggers of an episode that wait to be written; of more it counts how many."""
EVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Fired:
    """A trigger, in the cycle of a tick. `kind`: one of `[recorder] on`, "when" or "command"; `task`: "" for a command."""

    tick_ns: int
    kind: str
    task: str
    text: str


@dataclass(eq=False, slots=True)
class Episode:
    """Ticks from `begin_ns` to `end_ns`, both included, are kept, in all tasks; and why."""

    number: int
    begin_ns: int
    end_ns: int
    why: str = ""
    """The kind of its first trigger."""
    fired: list[Fired] = field(default_factory=list)
    """Triggers that nobody has taken yet."""
    more: int = 0
    """Triggers that came when `MOST_FIRED` waited."""

    def fire(self, fired: Fired) -> None:
        """A trigger belongs to it."""
        self.why = self.why or fired.kind
        if len(self.fired) < MOST_FIRED:
            self.fired.append(fired)
        else:
            self.more += 1

    def taken(self) -> list[Fired]:
        """The triggers that wait; they wait no more."""
        fired, self.fired = self.fired, []
        return fired


@dataclass(frozen=True, slots=True)
class Part:
    """The next `count` cycles of a task are kept for an episode; None: they are dropped."""

    count: int
    episode: Episode | None


class Plan(Protocol):
    """Which cycles are kept."""

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """Those that may still get cycles."""

    def fire(self, fired: Fired) -> Episode:
        """A trigger: the episode that it belongs to."""

    def cut(self, ticks: NDArray[Any], look_ns: int) -> Iterator[Part]:
        """What becomes of the cycles of a task with these ticks (ascending), now; of those behind the parts nothing is decided yet."""

    def ended(self, look_ns: int) -> list[Episode]:
        """The episodes that are over; each is told once. Every task has been `cut` before."""


class Always:
    """Every cycle is kept, in one episode without an end."""

    def __init__(self) -> None:
        self._episode = Episode(0, -EVER, EVER, "continuous")

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """The one."""
        return (self._episode,)

    def fire(self, fired: Fired) -> Episode:
        """It is noted, no more."""
        self._episode.fire(fired)
        return self._episode

    def cut(self, ticks: NDArray[Any], look_ns: int) -> Iterator[Part]:
        """All."""
        if len(ticks):
            yield Part(len(ticks), self._episode)

    def ended(self, look_ns: int) -> list[Episode]:
        """Never."""
        return []


class Episodes:
    """So long before and after each trigger. What overlaps is one episode, as long as it is not over.

    Args:
        before_ns, after_ns: how much is kept.
        slack_ns: a cycle, and a trigger in it, is known so long after its tick at most.
    """

    def __init__(self, before_ns: int, after_ns: int, slack_ns: int) -> None:
        self._before_ns, self._after_ns, self._slack_ns = before_ns, after_ns, slack_ns
        self._episodes: list[Episode] = []
        self._last_end_ns = -EVER
        self._number = 0

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """Those that are not over."""
        return tuple(self._episodes)

    def fire(self, fired: Fired) -> Episode:
        """It lengthens the newest episode, or begins one. No tick belongs to two."""
        newest = self._episodes[-1] if self._episodes else None
        if newest is None or fired.tick_ns - self._before_ns > newest.end_ns:
            self._number += 1
            begin_ns = max(fired.tick_ns - self._before_ns, self._last_end_ns + 1)
            newest = Episode(self._number, begin_ns, max(begin_ns, fired.tick_ns + self._after_ns))
            self._episodes.append(newest)
        newest.end_ns = max(newest.end_ns, fired.tick_ns + self._after_ns)
        self._last_end_ns = max(self._last_end_ns, newest.end_ns)
        newest.fire(fired)
        return newest

    def cut(self, ticks: NDArray[Any], look_ns: int) -> Iterator[Part]:
        """See `Plan.cut`: what no trigger can reach any more is dropped."""
        at = 0
        for episode in self._episodes:
            first = max(at, int(ticks.searchsorted(episode.begin_ns, "left")))
            last = max(first, int(ticks.searchsorted(episode.end_ns, "right")))
            yield from self._parts(first - at, None)
            yield from self._parts(last - first, episode)
            at = last
        gone = int(ticks.searchsorted(look_ns - self._before_ns - self._slack_ns, "left"))
        yield from self._parts(gone - at, None)

    @staticmethod
    def _parts(count: int, episode: Episode | None) -> Iterator[Part]:
        if count > 0:
            yield Part(count, episode)

    def ended(self, look_ns: int) -> list[Episode]:
        """Those whose last cycles are known."""
        over = [one for one in self._episodes if one.end_ns < look_ns - self._slack_ns]
        self._episodes = [one for one in self._episodes if one not in over]
        return over
