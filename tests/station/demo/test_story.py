"""The demo's patience: an act that fails is played again only when the computer was seen to be busy."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console

from station.demo.acts import TRIES
from station.demo.checks import Check
from station.demo.demo import networks
from station.demo.facts import AxisInterval, Interval, Look
from station.demo.plc_story import PlcProcess, PlcStory
from station.demo.processes import PlantProcess, StationProcess
from station.demo.screen import Screen, one_line
from station.demo.story import Story
from tests.station.demo.test_checks import look, missing

GOOD, BAD = Check("it happened", True, "seen"), Check("it happened", False, "not seen")


class Rehearsal(Story):
    """A story without processes: its looks show a computer that misses so many ticks in each act."""

    def __init__(self, missed_per_act: int) -> None:
        self.output = io.StringIO()
        nobody = (cast(PlantProcess, None), cast(StationProcess, None))
        super().__init__(*nobody, Screen(Console(file=self.output, width=80), 1.0), networks())
        self._missed_per_act, self.played = missed_per_act, 0

    async def _look(self) -> Look:
        return missing(1_000 * (self.played + 1), self._missed_per_act * self.played)

    async def _watch(self, seconds: float, every_s: float = 0.0) -> list[Look]:
        return [await self._look()]

    def attempt(self, *results: Check) -> None:
        """Play an act that gives these results in turn, the last one for ever."""

        async def act() -> AsyncIterator[Check]:
            self.played += 1
            yield results[min(self.played, len(results)) - 1]

        asyncio.run(self._attempt(act))


@pytest.mark.parametrize(
    ("missed", "results", "played", "ok"),
    [
        (0, [GOOD], 1, True),
        (5, [GOOD], 1, True),
        (0, [BAD, GOOD], 1, False),
        (5, [BAD, GOOD], 2, True),
        (5, [BAD], TRIES, False),
    ],
    ids=["good", "good though busy", "bad on a quiet computer", "bad, then good", "always bad"],
)
def test_attempts(missed: int, results: list[Check], played: int, ok: bool) -> None:
    """Only a failure on a busy computer is tried again, a few times; what counts is the last try; all is told."""
    story = Rehearsal(missed)
    story.attempt(*results)
    assert story.played == played
    assert [claim.ok for claim in story.record.claims] == [ok]
    assert len(story.record.retold) == played - 1
    assert story.output.getvalue().count("once more") == played - 1
    assert story.output.getvalue().count("✗ it happened: not seen") == played - ok


@pytest.mark.parametrize(("held_s", "played"), [(0.1, 1), (0.3, 2)])
def test_who_did_not_look_in_time_tries_again(held_s: float, played: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's own process stood still in its first try, and nobody missed a tick."""
    story, now_s = Rehearsal(0), [0.0]
    clock = SimpleNamespace(monotonic=lambda: now_s[0], monotonic_ns=lambda: round(now_s[0] * 1e9))
    monkeypatch.setattr("station.demo.acts.time", clock)

    async def seen() -> Look:
        now_s[0] += held_s if story.played == 1 else 0.0
        return replace(missing(1_000 * (story.played + 1), 0), answered_ns=clock.monotonic_ns())

    async def act() -> AsyncIterator[Check]:
        story.played += 1
        await Story._watch(story, 0.0, 0.04)
        yield GOOD if story.played == 2 else BAD

    monkeypatch.setattr(story, "_look", seen)
    asyncio.run(story._attempt(act))
    assert story.played == played
    assert [told.rpartition("; ")[2] for told in story.record.retold] == ["a look came 260 ms late"] * (played - 1)


class PlcRehearsal(PlcStory):
    """A story without processes: the brake engages, in turn, for these reasons."""

    def __init__(self, holds: list[dict[str, int]]) -> None:
        self.output = io.StringIO()
        nobody = (cast(PlantProcess, None), cast(StationProcess, self), cast(PlcProcess, None))
        super().__init__(*nobody, Screen(Console(file=self.output, width=80), 1.0), Path(), Path())
        self._holds = holds

    async def command(self, *words: str) -> None:
        """Of the station."""

    async def _moment(self, text: str) -> None: ...

    async def _until_held(self) -> None: ...

    async def _mark(self, name: str) -> Interval:
        axis = AxisInterval(10.0, 0.01, 0.1, {} if name != "first network" or not self._holds else self._holds.pop(0))
        self.record.intervals.append(Interval(name, 0.0, 10.0, {"x": axis}))
        return self.record.intervals[-1]


@pytest.mark.parametrize(
    ("holds", "ok", "retold"),
    [
        ([], True, 0),
        ([{"communication": 1}], True, 1),
        ([{"angle": 1}], False, 0),
        ([{"communication": 1}] * TRIES, False, TRIES - 1),
    ],
    ids=["good", "silent once", "it fell", "always silent"],
)
def test_holding_by_a_plc_is_tried_again_where_modbus_fell_silent(
    holds: list[dict[str, int]], ok: bool, retold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few times, and told; an axis that fell has no excuse."""
    for wait in ("SETTLE_S", "MEASURE_S"):
        monkeypatch.setattr(f"station.demo.plc_story.{wait}", 0.0)
    story = PlcRehearsal(holds)
    asyncio.run(story._hold())
    assert [claim.ok for claim in story.record.claims] == [ok]
    assert len(story.record.retold) == story.output.getvalue().count("once more") == retold


def test_screen_without_a_terminal() -> None:
    """Elsewhere than on a terminal a line is never broken, and there is no bar."""
    output = io.StringIO()
    screen = Screen(Console(file=output, width=40), 1.0)
    with screen.live():
        screen.act("The first")
        screen.look(look(1_000))
        screen.show(Check("it " * 30, True, "yes " * 30))
    assert output.getvalue().splitlines()[1:] == ["1. The first", f"   ✓ {'it ' * 30}: {'yes ' * 30}"]


def test_screen_on_a_terminal() -> None:
    """On a terminal there is a bar with the newest numbers, and long lines go on below their beginning."""
    output = io.StringIO()
    environment = {"TERM": "xterm"}  # the tests' own is a terminal that cannot move its cursor
    console = Console(file=output, width=100, force_terminal=True, color_system=None, _environ=environment)
    screen = Screen(console, 1.0)
    with screen.live():
        screen.look(look(1_000))
        screen.show(Check("claim", False, "word " * 40))
        screen.whole("rt-engine replay " + "folder/" * 20)
    assert "machine up" in output.getvalue()
    assert "   ✗ claim: word" in output.getvalue()
    assert "\n   word" in output.getvalue()
    assert "   rt-engine replay " + "folder/" * 20 + "\n" in output.getvalue()


def test_one_line() -> None:
    """The live numbers: how far off each axis is, the link, missed ticks, the score."""
    words = one_line(look(1_000, errors_m={"x": 0.0123, "y": -0.004}))
    assert "x +12.3 mm" in words
    assert "y  -4.0 mm" in words
    assert "machine up  missed 0  anomaly 0.5" in words


def test_what_a_slow_command_did_at_its_end_has_looks_behind_it():
    """On a first start an update compiles; a watch that ended with it saw nothing after the switch."""
    story, events = Rehearsal(0), []

    class Slow:
        async def command(self, *words: str) -> str:
            for _ in range(5):
                await asyncio.sleep(0)
            events.append("done")
            return " ".join(words)

    async def watch(seconds: float, every_s: float = 0.0) -> list[str]:
        events.append("looked")
        await asyncio.sleep(0)
        return ["look"]

    story._station, story._watch = Slow(), watch
    answer, looks = asyncio.run(story._watch_command(1.5, "update", every_s=0.0))
    assert answer == "update" and len(looks) > 2
    assert "looked" in events[events.index("done") + 1 :]
