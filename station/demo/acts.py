"""What all demos have in common: acts are played with a running station, looked at closely, and leave a record."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, Final, Generic, TypeVar

from station.demo import recorded
from station.demo.checks import AROUND_S, Check
from station.demo.facts import Answer, Interval, StationLook
from station.demo.processes import StationProcess
from station.demo.screen import Screen
from station.demo.trajectory import Moment
from station.machine.computer import Computer
from station.machine.rights import rights_fix
from station.show.snapshot import Snapshot

TRIES: Final = 5
LOOK_CLOSELY_S: Final = 0.04
LATE_S: Final = 0.2
"""A look that comes so much later than it was meant to shows nothing of what happened meanwhile."""
LookT = TypeVar("LookT", bound=StationLook)
Act = Callable[[], AsyncIterator[Check]]


@dataclass(slots=True)
class Record:
    """What the acts leave behind."""

    claims: list[Check] = field(default_factory=list)
    retold: list[str] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)
    ticks: recorded.Ticks = field(default_factory=recorded.Ticks)

    def interval(self, name: str) -> Interval:
        """The newest interval of that name."""
        return next(interval for interval in reversed(self.intervals) if interval.name == name)


class Acts(ABC, Generic[LookT]):
    """Acts of a demo. An act yields its claims as soon as they are known.

    One that fails is played again only if the computer was seen not to run the processes on time; both are told.
    """

    tries: ClassVar[int] = TRIES
    """How often an act is played at most."""
    every_s: ClassVar[float]
    """How often is looked, where nothing else is said."""

    def __init__(self, station: StationProcess, screen: Screen) -> None:
        self.record = Record()
        self._station, self._screen = station, screen
        self._late_s = 0.0
        """How late the latest look of this try was."""

    @abstractmethod
    async def _look(self) -> LookT:
        """What is so now; shown, too."""

    @abstractmethod
    async def _excuse(self, before: LookT, known: int) -> str:
        """What the computer did not do on time since `before`, when there were `known` intervals; empty: nothing."""

    @abstractmethod
    async def _gather(self) -> None:
        """Wait until an act can be played again."""

    async def _attempt(self, act: Act) -> None:
        for left in reversed(range(self.tries)):
            before, known, results = await self._look(), len(self.record.intervals), []
            self._late_s = 0.0
            async for check in act():
                self._screen.show(check)
                results.append(check)
            failed = next((check for check in results if not check.ok), None)
            excuse = ", ".join(filter(None, (await self._excuse(before, known), self._lateness()))) if failed else ""
            if not (failed and excuse and left):
                break
            self.record.retold.append(f"{failed.claim}: {failed.evidence}; {excuse}")
            self._screen.say(f"but this computer was too busy for it ({excuse}): once more", "yellow")
            await self._gather()
        self.record.claims += results

    def _lateness(self) -> str:
        return f"a look came {self._late_s * 1000:.0f} ms late" if self._late_s >= LATE_S else ""

    def _introduce(self, first: Snapshot, more: str = "") -> None:
        """Say that the station runs, and what it was not granted."""
        self._screen.say(f"station process {self._station.pid}{more}")
        for line in not_granted(first):
            self._screen.say(line, "yellow")

    # --- looking ------------------------------------------------------------------------------------------------------

    async def _watch(self, seconds: float, every_s: float = 0.0) -> list[LookT]:
        """Look again and again for so long; gives all looks, one at least."""
        begin_ns, every_s = time.monotonic_ns(), every_s or self.every_s
        until_s = time.monotonic() + seconds
        looks = [await self._look()]
        while (left_s := until_s - time.monotonic()) > 0:
            await asyncio.sleep(min(every_s, left_s))
            looks.append(await self._look())
        longest_ns = max(b - a for a, b in pairwise((begin_ns, *(look.answered_ns for look in looks))))
        self._late_s = max(self._late_s, longest_ns / 1e9 - every_s)
        return looks

    async def _watch_command(self, seconds: float, *words: str, every_s: float) -> tuple[Answer, list[LookT]]:
        """Run a command of `rt-engine`, looking meanwhile, for so long at least, and a little longer than the command takes."""
        command = asyncio.create_task(self._station.command(*words))
        looks = await self._watch(seconds, every_s)
        has_ended = False
        while not has_ended:
            has_ended = command.done()
            looks += await self._watch(2 * AROUND_S, every_s)
        return await command, looks

    async def _until(self, is_so: Callable[[LookT], bool], patience_s: float, every_s: float) -> LookT:
        """The first look at which it is so; or the last one, where it never is."""
        until_s = time.monotonic() + patience_s
        while not is_so(look := await self._look()) and time.monotonic() <= until_s:
            await asyncio.sleep(every_s)
        return look


def not_granted(first: Snapshot) -> list[str]:
    """What a station could not set, in a line with the command that mends it; none where it has all."""
    if not first.rights:
        return []
    names = ", ".join(right.partition(":")[0] for right in first.rights)
    words = f"this system did not grant {names}: it runs all the same, less evenly; rt-engine doctor tells all. To get"
    return [f"{words} priority and locked memory: {rights_fix(Computer())}"]
