"""What is shown of the change of a slot's model, and what may be said to it.

The station makes one `ChangeView` for each slot; symbols and registers, `rt-engine status`, the live table and the report are
made from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rt_engine.change import ChangeState, Verdict


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one output of the new version lay from the old one's, on the same inputs: task outputs, in the tag's unit.

    `largest` is of finite values, and was found at the tick `largest_ns` (CLOCK_MONOTONIC; 0: never compared). `beyond`: values
    further apart than `tolerance` (None: none was given). `edges` and `counts`: the histogram of |difference|, bins that are not
    empty; a bin reaches from its edge to below the next one's, and the last has no end.
    """

    task: str
    output: str
    compared: int
    largest: float
    largest_ns: int
    tolerance: float | None
    beyond: int
    not_finite: int
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeView:
    """The newest change of one slot. `state` NONE: there was none since the start.

    `version`: the number of the live version (`ModelSlot.version`). `candidate`: the number of the one that the change brings; 0:
    it has none yet. `sha256`, `file`: of the candidate. `change`: names the change in the journal; slots that change together
    have the same. `since`: UTC seconds since 1970 when `state` began; `left_ns`: how long it lasts still (-1: until something
    happens, or so many cycles). `reason`: why it is in that state, in words. `cycles`, `skipped`: in which the second version
    computed beside the live one, and which were too short for it; `disagreements`: values beyond tolerance, or not finite.
    `verdict`, `verdict_task`, `verdict_ns`: what a task found in trial, and the tick (CLOCK_MONOTONIC).
    """

    slot: str
    state: ChangeState = ChangeState.NONE
    version: int = 1
    candidate: int = 0
    since: float = 0.0
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    file: str = ""
    sha256: str = ""
    change: str = ""
    who: str = ""
    left_ns: int = -1
    cycles: int = 0
    skipped: int = 0
    disagreements: int = 0
    verdict: Verdict = Verdict.NONE
    verdict_task: str = ""
    verdict_ns: int = 0

    @property
    def largest(self) -> Difference | None:
        """The output that lay furthest apart, measured by its tolerance where it has one."""
        return max(self.differences, key=lambda d: (d.not_finite > 0, d.beyond, d.largest), default=None)


class Changes(Protocol):
    """What the servers ask, and tell, of the changes of a station. Any thread; `views` returns at once."""

    def views(self) -> Sequence[ChangeView]:
        """One for each slot, in the order of the station file."""

    def commit(self, slot: str, who: str) -> str:
        """Let the change of a slot go on to its next state: shadow to trial, trial to committed. What was done, in words.

        Raises:
            Exception: it cannot; the message says why. May take as long as a cycle of the slowest task.
        """

    def roll_back(self, slot: str, who: str) -> str:
        """Take a change back: one under way, or the newest that was committed. What was done, in words.

        Raises:
            Exception: as `commit`.
        """
