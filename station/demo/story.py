"""The demo's acts, played with a running plant and a running station.

    take off, hold -> better network -> power cut -> wrong shape, degrees, too slow: refused -> subtly bad: caught in shadow
        -> fails on trial: the old one in the same tick -> push -> cable pulled

Each act records facts, and yields the claims checked on them as soon as they are known. An act that fails is played
again only if the computer was seen not to run the processes on time (`station.demo.checks.disturbance`); both are told.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rt_engine.change import ChangeState
from station.demo import change_checks, checks, recorded, recording_checks
from station.demo.acts import LOOK_CLOSELY_S, Act, Acts
from station.demo.checks import Check
from station.demo.facts import Answer, Interval, Look, Mute, PlantView
from station.demo.processes import DemoError, PlantProcess, StationProcess
from station.demo.screen import Screen
from station.demo.trajectory import Moment
from station.errors import ExitCode

SLOT: Final = "policy"
TIMEOUT_S: Final = 0.1
"""The link's timeout in the demo's station.toml."""

FIND_TOGETHER_S: Final = 15.0
SETTLE_S: Final = 1.5
MEASURE_S: Final = 4.0
"""One period of axis x's reference."""
QUIET_S: Final = 0.5
QUIET_PATIENCE_S: Final = 8.0
PUSH: Final = "push x 5 0.2"
PUSH_SEEN_S: Final = 1.2
CABLE_S: Final = 1.0
CUT: Final = "cut"
"""The interval in which the cable is out, or the station is without power: the only ones in which silence is meant."""
HARD_PUSH: Final = "push x 10 0.2"
SHADOW: Final = ("--shadow", "1 s")
SHADOW_AND_TRIAL: Final = ("--shadow", "500 ms", "--trial", "2 min")
TRIAL: Final = ("--trial", "2 min")
CHANGE_PATIENCE_S: Final = 15.0
SAVED_PATIENCE_S: Final = 15.0
BARRED: Final = rf"rt-engine allow {SLOT} ([0-9a-f]+)"


@dataclass(frozen=True, slots=True)
class Networks:
    """Files of new versions. `better` is to stay; `newer` is on trial when the power fails; all others must not run.

    `shape`: other inputs. `degrees`: its angles are in degrees. `slow`: it needs more than a cycle. `biased`: 1 N too much.
    `brittle`: NaN when the rod turns quickly.
    """

    better: Path
    newer: Path
    shape: Path
    degrees: Path
    slow: Path
    biased: Path
    brittle: Path


class Story(Acts[Look]):
    """The acts, with the networks that come."""

    every_s = 0.1

    def __init__(self, plant: PlantProcess, station: StationProcess, screen: Screen, networks: Networks) -> None:
        super().__init__(station, screen)
        self._plant, self._networks = plant, networks
        self._calm: list[Look] = []
        self._usual = ""
        """The interval in which the axes were held as usual, before something happened to them."""

    async def play(self, only: Collection[str] = ()) -> None:
        """All acts, in order; or only those of these names.

        Raises:
            DemoError: a process ended, or the machine never gets going, so that there is nothing to show.
        """
        acts: dict[str, tuple[str, Act]] = {
            "hold": ("A neural network holds two axes of an unstable machine, over Modbus TCP", self._hold),
            "update": ("A better network takes over while it runs", self._update),
            "power": ("The power fails while a still newer network is on trial", self._cut_power),
            "shape": ("A network of the wrong shape is refused", self._refuse),
            "degrees": ("A network that takes degrees is refused by its contract", self._refuse_degrees),
            "slow": ("A network that is too slow is refused by the gate", self._refuse_slow),
            "shadow": ("A network that is subtly bad is caught in shadow", self._shadow),
            "trial": ("A network that fails on trial: the old one takes over in the same tick", self._trial),
            "push": ("Somebody bumps into axis x", self._push),
            "cable": ("The cable is pulled for a second", self._pull_cable),
        }
        await self._take_off()
        for name, (title, act) in acts.items():
            if not only or name in only:
                self._screen.act(title)
                await self._attempt(act)

    async def _excuse(self, before: Look, known: int) -> str:
        silence = any(i.was_cut_off for i in self.record.intervals[known:] if i.name != CUT)
        return checks.disturbance(before, await self._look(), silence)

    async def _gather(self) -> None:
        await self._until_whole(FIND_TOGETHER_S)
        await self._watch(SETTLE_S)

    # --- the acts -----------------------------------------------------------------------------------------------------

    async def _take_off(self) -> None:
        first = await self._station.first_cycle()
        start_s = (min(task.first_due_ns for task in first.tasks if task.cycles) - self._station.begun_ns) / 1e9
        self.record.numbers["from `rt-engine run` to its first cycle"] = f"{start_s:.2f} s"
        self._introduce(first, f", first cycle {start_s:.2f} s after its start")
        if await self._until_whole(FIND_TOGETHER_S) is None:
            raise DemoError(f"station and plant did not find together within {FIND_TOGETHER_S:g} s")
        await self._watch(SETTLE_S)
        await self._mark("take-off")

    async def _hold(self) -> AsyncIterator[Check]:
        self._moment("held by the first network", await self._look())
        _, self._calm = await self._watch_command(
            MEASURE_S, "status", every_s=LOOK_CLOSELY_S
        )  # the same work as an update, without one
        self._usual = "first network"
        yield checks.both_axes_held(await self._mark(self._usual))

    async def _update(self) -> AsyncIterator[Check]:
        words = ("update", SLOT, str(self._networks.better))
        answer, looks = await self._watch_command(SETTLE_S, *words, every_s=LOOK_CLOSELY_S)
        yield Check("the better network is live", answer.code == ExitCode.OK, answer.text)
        if answer.code != ExitCode.OK:
            return
        switched_ns = looks[-1].task(checks.POLICY_TASKS[0]).switched_ns
        self._moment("better network", looks[-1], at_ns=switched_ns)
        yield checks.taken_at_one_tick(looks[0], looks[-1])
        yield checks.no_tick_missed(self._calm, looks, switched_ns)
        await self._mark("change-over")
        await self._watch(MEASURE_S)
        before, self._usual = self.record.interval("first network"), "better network"
        yield checks.tracks_better(before, await self._mark(self._usual))

    async def _cut_power(self) -> AsyncIterator[Check]:
        newer = self._networks.newer
        answer = await self._change(newer, *TRIAL)
        yield change_checks.on_trial(await self._look(), SLOT, newer.name) if not answer.code else _said_no(answer)
        await self._mark("before the power cut")
        before = await self._look()
        self._moment("power cut", before)
        killed_ns = time.monotonic_ns()
        await self._station.cut_power()
        gone_ns = time.monotonic_ns()
        await self._station.start_again()
        await self._station.first_cycle()
        back = await self._until_whole(FIND_TOGETHER_S)
        yield change_checks.committed_runs(before, back, SLOT, self._networks.better.name)
        yield change_checks.says_so(self._station.said(), newer.name)
        saved = recorded.saved(await self._until_saved())
        yield recording_checks.saved_to_the_end(before, saved, killed_ns, gone_ns)
        await self._watch(SETTLE_S)
        await self._mark(CUT)
        await self._watch(SETTLE_S)
        yield checks.both_axes_held(await self._mark("after the power cut"))

    async def _refuse(self) -> AsyncIterator[Check]:
        async for check in self._refused(self._networks.shape, checks.refused_with_reason):
            yield check

    async def _refuse_degrees(self) -> AsyncIterator[Check]:
        async for check in self._refused(self._networks.degrees, change_checks.units_named):
            yield check

    async def _refuse_slow(self) -> AsyncIterator[Check]:
        async for check in self._refused(self._networks.slow, change_checks.time_named):
            yield check

    async def _refused(self, file: Path, claim: Callable[[Answer], Check]) -> AsyncIterator[Check]:
        await self._mark("before a network that is refused")
        before = await self._look()
        answer = await self._change(file)
        after = await self._look()
        self._moment("refused", after)
        yield claim(answer)
        yield checks.unharmed(before, after, await self._mark("refused network"))

    async def _shadow(self) -> AsyncIterator[Check]:
        await self._mark("before the shadow")
        before = await self._look()
        answer = await self._change(self._networks.biased, *SHADOW)
        after = await self._until_change(ChangeState.REJECTED)
        self._moment("caught in shadow", after)
        yield change_checks.caught_in_shadow(answer, after, SLOT)
        yield checks.unharmed(before, after, await self._mark("shadow"))

    async def _trial(self) -> AsyncIterator[Check]:
        await self._mark("before the trial")
        before, file = await self._look(), self._networks.brittle
        answer = await self._change(file, *SHADOW_AND_TRIAL)
        tried = await self._until_change(ChangeState.TRIAL, ChangeState.REJECTED, ChangeState.ROLLED_BACK)
        yield change_checks.on_trial(tried, SLOT, file.name) if not answer.code else _said_no(answer)
        await self._plant.ask(HARD_PUSH)
        self._moment("push on trial", tried)
        await self._watch(PUSH_SEEN_S)
        after = await self._until_change(ChangeState.ROLLED_BACK)
        self.record.ticks.trial = after.change(SLOT).verdict_ns
        yield change_checks.found_out(before, after, SLOT)
        yield change_checks.not_noticed(await self._mark("trial"))
        yield change_checks.old_one_again(before, after)
        yield change_checks.is_barred(await self._station.command("update", SLOT, str(file)))

    async def _push(self) -> AsyncIterator[Check]:
        quiet = await self._until_quiet()
        await self._mark("before the push")
        self.record.ticks.push = time.monotonic_ns()
        await self._plant.ask(PUSH)
        self._moment("push", await self._look())
        after = await self._watch(PUSH_SEEN_S, LOOK_CLOSELY_S)
        yield checks.push_seen(quiet, after, await self._mark("push"))

    async def _pull_cable(self) -> AsyncIterator[Check]:
        await self._mark("before the cut")
        before = await self._look()
        mute = Mute.of(await self._plant.ask(f"mute {CABLE_S}"))
        self._moment("cable pulled", before)
        during = await self._watch(CABLE_S, LOOK_CLOSELY_S)
        self._moment("cable back", during[-1])
        yield checks.told_in_time(mute, before, during, TIMEOUT_S)
        back = await self._until_whole(checks.RECOVERY_S)
        after = back or await self._look()
        yield checks.safe_values_out(mute, before, after, TIMEOUT_S)
        yield checks.braked_once(await self._mark(CUT))
        yield checks.kept_ticking(before, after)
        yield checks.recovered(mute, back)
        await self._watch(SETTLE_S)
        await self._mark("recovery")
        await self._watch(MEASURE_S / 2)
        again = await self._mark("after the cut")
        yield checks.tracks_again(self.record.interval(self._usual), again)

    async def _change(self, file: Path, *words: str) -> Answer:
        """`rt-engine update`; a version that was barred when this was played before is allowed first."""
        answer = await self._station.command("update", SLOT, str(file), *words)
        if answer.code and (barred := re.search(BARRED, answer.text)):
            await self._station.command("allow", SLOT, barred[1])
            answer = await self._station.command("update", SLOT, str(file), *words)
        return answer

    # --- looking ------------------------------------------------------------------------------------------------------

    async def _look(self) -> Look:
        asked_ns = time.monotonic_ns()
        station, plant = await asyncio.gather(self._station.status(), self._plant.ask("status"))
        look = Look(asked_ns, time.monotonic_ns(), station, PlantView.of(plant))
        self._screen.look(look)
        return look

    async def _until_whole(self, patience_s: float) -> Look | None:
        """The first look at which station and plant run together; None when that takes too long."""
        look = await self._until(checks.is_whole, patience_s, LOOK_CLOSELY_S)
        return look if checks.is_whole(look) else None

    async def _until_change(self, *states: ChangeState) -> Look:
        """The first look at which the slot's change is in one of these states; or the last one, where it never is."""
        return await self._until(lambda look: look.change(SLOT).state in states, CHANGE_PATIENCE_S, LOOK_CLOSELY_S)

    async def _until_saved(self) -> Path | None:
        """The recording of the killed station, when the new one says that it is whole; None, where it never does."""
        until_s = time.monotonic() + SAVED_PATIENCE_S
        while not (path := recorded.saved_in(self._station.folder, self._station.said())):
            if time.monotonic() > until_s:
                return None
            await asyncio.sleep(LOOK_CLOSELY_S)
        return path

    async def _until_quiet(self) -> list[Look]:
        """Looks at a machine at which the detector finds nothing; the newest ones, when it never comes to that."""
        until_s = time.monotonic() + QUIET_PATIENCE_S
        looks = await self._watch(QUIET_S)
        while max(look.plant.anomaly_score for look in looks) >= checks.ALARM_SCORE and time.monotonic() < until_s:
            looks = await self._watch(QUIET_S)
        return looks

    async def _mark(self, name: str) -> Interval:
        """End an interval of the plant's statistics, and give it its name."""
        interval = Interval.of(name, await self._plant.ask(f"mark after-{len(self.record.intervals)}"))
        self.record.intervals.append(interval)
        return interval

    def _moment(self, text: str, look: Look, at_ns: int | None = None) -> None:
        """Note what happened at `at_ns` (CLOCK_MONOTONIC), or at the look itself, by the plant's clock."""
        since_s = 0.0 if at_ns is None else (look.answered_ns - at_ns) / 1e9
        self.record.moments.append(Moment(look.plant.time_s - since_s, text))


def _said_no(answer: Answer) -> Check:
    return Check("it is live, on trial", False, answer.text)
