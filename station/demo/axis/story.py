"""The acts of the demo on EtherCAT, played with a running station and simulated slaves.

bring-up, hold -> better network -> the drive loses power for a second -> the station ends
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from station.demo import checks as common
from station.demo.acts import Acts
from station.demo.axis import checks
from station.demo.axis.facts import AXIS_TAGS, FAULT, OTHER_TAGS, AxisLook
from station.demo.checks import Check
from station.demo.facts import Answer
from station.demo.processes import DemoError, PlantProcess, StationProcess
from station.demo.screen import Screen
from station.demo.trajectory import Moment
from station.errors import ExitCode

SLOT: Final = "hold"
DRIVE: Final = 3
"""The drive's place on the bus."""
FIND_TOGETHER_S: Final = 30.0
SETTLE_S: Final = 1.0
MEASURE_S: Final = 3.0
"""One turn of the reference."""
POWER_S: Final = 1.0


class AxisStory(Acts[AxisLook]):
    """The acts, with the network that comes."""

    tries, every_s = 4, 0.05

    def __init__(self, bus: PlantProcess, station: StationProcess, screen: Screen, first: str, better: str) -> None:
        super().__init__(station, screen)
        self.looks: list[AxisLook] = []
        self._bus = bus
        self._first, self._better, self._is_updated = first, better, False
        self._usual: list[AxisLook] = []

    async def play(self) -> None:
        """All acts, in order.

        Raises:
            DemoError: a process ended, or the axis never gets going.
        """
        await self._take_off()
        for title, act in (
            ("A neural network holds an axis, 1,000 times a second, over EtherCAT", self._hold),
            ("A better network takes over while it runs", self._update),
            ("The drive loses its power for a second", self._lose_power),
        ):
            self._screen.act(title)
            await self._attempt(act)

    async def _excuse(self, before: AxisLook, known: int) -> str:
        return checks.disturbance(before, await self._look())

    async def _gather(self) -> None:
        """The drive takes a computer that stood still for a master that is gone, and stays in that fault until it is reset."""
        until_s = time.monotonic() + FIND_TOGETHER_S
        while not (look := await self._look()).holds and time.monotonic() < until_s:
            if look.drive == FAULT:
                self._screen.say("the drive has a fault: rt-engine reset-drive x", "yellow")
                await self._station.command("reset-drive", "x")
            await self._watch(SETTLE_S)

    async def _take_off(self) -> None:
        first = await self._station.first_cycle()
        self._introduce(first)
        held = await self._until_held()
        if held is None:
            await self._gather()
            held = await self._until_held()
        if held is None:
            note = self.looks[-1].link.note or self.looks[-1].link.last_error
            raise DemoError(f"the axis was not enabled within {FIND_TOGETHER_S:g} s; the link says: {note}")
        took_s = (held.answered_ns - self._station.begun_ns) / 1e9
        self.record.numbers["from `rt-engine run` to an enabled axis"] = f"{took_s:.2f} s"
        await self._watch(SETTLE_S)

    async def _hold(self) -> AsyncIterator[Check]:
        self._moment("held by the first network")
        self._usual = await self._watch(MEASURE_S)
        yield checks.held("the first network", self._usual)

    async def _update(self) -> AsyncIterator[Check]:
        if self._is_updated:  # played again: the same file once more would be no update
            await self._station.command("update", SLOT, self._first)
            await self._watch(SETTLE_S)
            self._usual = await self._watch(MEASURE_S)
        _, calm = await self._watch_closely("status")  # the same work as an update, without one
        answer, looks = await self._watch_closely("update", SLOT, self._better)
        yield Check("the better network is live", answer.code == ExitCode.OK, answer.text)
        if answer.code != ExitCode.OK:
            return
        self._is_updated = True
        self._moment("better network")
        yield checks.taken_at_a_tick(looks[0], looks[-1])
        yield common.no_tick_missed(calm, looks, looks[-1].task("axis").switched_ns)
        await self._watch(SETTLE_S)
        after = await self._watch(MEASURE_S)
        yield checks.held("the better network", after)
        yield checks.tracks_better(self._usual, after)
        self._usual = after

    async def _lose_power(self) -> AsyncIterator[Check]:
        before = await self._look()
        off_ns = time.monotonic_ns()
        await self._power(False)
        self._moment("drive without power")
        looks = await self._watch(POWER_S)
        on_ns = time.monotonic_ns()
        await self._power(True)
        self._moment("power back")
        yield checks.drive_known_lost(off_ns, on_ns, looks)
        yield checks.others_live(before, off_ns, on_ns, looks)
        yield checks.outputs_safe(before, looks)
        back = await self._until_held()
        yield checks.named(self._since(before))
        yield checks.back_by_itself(on_ns, back)
        if back is not None:
            self._moment("enabled again")
            await self._watch(SETTLE_S)
            yield checks.tracks_again(self._usual, await self._watch(MEASURE_S))

    async def end(self) -> None:
        """Stop the station, and see what the slaves were left with."""
        last = await self._look()
        answer = await self._station.stop()
        drive = (await self._order("axis"))["answer"]["state"]
        check = checks.ended(answer, str(drive), (await self._bus.ask('{"do": "state"}'))["slaves"])
        self._screen.show(check)
        self.record.claims.append(check)
        for task in last.station.tasks:
            self.record.numbers[f"task {task.name}"] = (
                f"{task.cycles:,} cycles, {task.counters['missed']:,} ticks missed, "
                f"wake-up p50 / p99 {task.wake_up.p50_ns / 1000:.0f} / {task.wake_up.p99_ns / 1000:.0f} us"
            )
        reaction = last.task("axis").reaction
        self.record.numbers["from the bus's answer to the torque that was computed from it p50 / p99"] = (
            f"{reaction.p50_ns / 1000:.0f} / {reaction.p99_ns / 1000:.0f} us"
        )
        link = last.link
        self.record.numbers["exchange with the bus p50 / p99"] = (
            f"{link.round_trip.p50_ns / 1000:.0f} / {link.round_trip.p99_ns / 1000:.0f} us"
        )

    # --- looking ------------------------------------------------------------------------------------------------------

    async def _order(self, what: str, **more: object) -> dict[str, Any]:
        return await self._bus.ask(json.dumps({"do": what, "slave": DRIVE, **more}))

    async def _power(self, is_on: bool) -> None:
        await self._order("power", on=is_on)

    async def _look(self) -> AxisLook:
        asked_ns = time.monotonic_ns()
        station, tags, axis = await asyncio.gather(
            self._station.status(), self._station.tags(*AXIS_TAGS, *OTHER_TAGS), self._order("axis")
        )
        answer = axis["answer"]
        turned = math.tau * float(answer["turns"])
        look = AxisLook(asked_ns, time.monotonic_ns(), station, tags, turned, str(answer["state"]))
        self.looks.append(look)
        off = look.reference_rad - turned
        self._screen.line(f"off the reference {off * 1000:+5.0f} mrad  bus {look.link.state}  missed {look.missed}")
        return look

    async def _watch_closely(self, *words: str) -> tuple[Answer, list[AxisLook]]:
        """Run a command of `rt-engine`, looking meanwhile, and a while behind it."""
        answer, looks = await self._watch_command(SETTLE_S, *words, every_s=self.every_s)
        return answer, looks + await self._watch(2 * common.AROUND_S)

    async def _until_held(self) -> AxisLook | None:
        look = await self._until(lambda look: look.holds, FIND_TOGETHER_S, self.every_s)
        return look if look.holds else None

    def _since(self, look: AxisLook) -> list[AxisLook]:
        return [one for one in self.looks if one.asked_ns >= look.asked_ns]

    def _moment(self, text: str) -> None:
        self.record.moments.append(Moment(self.time_s(time.monotonic_ns()), text))

    def time_s(self, at_ns: int) -> float:
        """Seconds since the first look."""
        return (at_ns - self.looks[0].asked_ns) / 1e9

    def history(self) -> dict[str, Any]:
        """For the picture: where the axis should be and was, and when it had no power."""
        rows, reference = [], 0.0
        for look in self.looks:
            reference = look.reference_rad if math.isfinite(look.reference_rad) else reference
            rows.append([self.time_s(look.answered_ns), look.position_rad, reference, 0.0 if look.holds else 1.0])
        return {"columns": ["time_s", "x.position", "x.reference", "x.hold"], "rows": rows}
