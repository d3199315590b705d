"""Stations of a simulation: the real agent and its driver on a real broker, without an engine."""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field

from plc_bindings.mqtt.broker import BrokerOptions
from station.fleet.agent import Agent, Self
from station.fleet.documents import Health, Topics
from station.fleet.driver import Runner
from station.fleet.events import After, Memory
from station.fleet.sealed import public_of
from station.fleet.web import ArtifactError
from tests.station.fleet.world import COMMANDER, Plant, own_key


class Killed(Exception):
    """The station is killed now."""


@dataclass
class SimDisk:
    """What a write leaves; killed, it leaves what was there before or what was to be there."""

    text: bytes = field(default_factory=lambda: Memory().text())
    dies: random.Random | None = None
    chance: float = 0.0
    writes: int = 0

    def write(self, memory):
        self.writes += 1
        if self.dies is not None and self.dies.random() < self.chance:
            if self.dies.random() < 0.5:
                self.text = memory.text()
            raise Killed
        self.text = memory.text()


@dataclass
class SimFiles:
    """Files that come at once, or not at the first attempt. `got` outlives a restart."""

    chance: float = 0.0
    dice: random.Random = field(default_factory=random.Random)
    got: set = field(default_factory=set)

    async def fetch(self, wanted):
        if wanted.sha256 not in self.got and self.dice.random() < self.chance:
            raise ArtifactError("the server is busy")
        self.got.add(wanted.sha256)

    def read(self, sha256):
        return b""


class SimPlant:
    """`world.Plant` as the driver asks it. `step_s`: how long a state of a change takes, on the station's own wrong clock."""

    avoid = frozenset()

    def __init__(self, plant, step_s, clock):
        self.plant, self._step_s, self._clock, self._next = plant, step_s, clock, clock()

    def look(self):
        if self._clock() >= self._next:
            self._next = self._clock() + self._step_s
            self._slots = self.plant.look()
        return self._slots, Health(reaction_ns=900_000, limit_ns=2_000_000)

    def apply(self, slot, wanted, data, who):
        why = self.plant.apply(slot, wanted.sha256)
        self._next = self._clock() + self._step_s
        self._slots = {**self._slots, slot: self.plant._seen(slot, self.plant.committed[slot])}
        return why, After.AGAIN


class SimStation:
    """One station, over its restarts.

    Args:
        kills: chance that a write to the disk is its last.
        fails: chance that a file is not had at once.
        drift: how fast its clock goes; also where it begins differs.
    """

    def __init__(
        self, name, port, topics=None, kills=0.0, fails=0.0, drift=1.0, step_s=0.2, look_s=0.2, bad=frozenset()
    ):
        self.name, self.port, self.topics = name, port, topics or Topics()
        self.dice = random.Random(name)
        self.plant = Plant(bad=bad)
        self.disk, self.files = SimDisk(dies=self.dice, chance=kills), SimFiles(fails, self.dice)
        self._look_s, self._step_s, self._drift = look_s, step_s, drift
        self.kills = self.notes = 0
        self._before, self._dies = dict.fromkeys(("sent", "sent_bytes", "received", "connects"), 0), asyncio.Event()
        self.runner, self.changes = None, []

    def clock(self):
        """Monotonic within a life, of any rate; in the next life it begins elsewhere."""
        return self._zero + (time.monotonic() - self._born) * self._drift

    async def live(self):
        """Until cancelled; killed, it starts again after a pause."""
        while True:
            self._zero, self._born = self.dice.uniform(-1e6, 1e6), time.monotonic()
            try:
                await self._one_life()
            except* Killed:
                self.kills += 1
            await asyncio.sleep(self.dice.uniform(0.1, 1.0))

    async def _one_life(self):
        self.plant.restart()
        me = Self(self.name, (public_of(COMMANDER),), own_key(self.name), {}, "1.0", self.topics)
        agent = Agent(me, Memory.read(self.disk.text), self.clock)
        options = BrokerOptions("127.0.0.1", self.port, f"s-{self.name}", retry_s=0.3, retry_most_s=5, keepalive_s=30)
        plant = SimPlant(self.plant, self._step_s, self.clock)
        self.runner = runner = Runner(
            agent, options, self.topics, plant, self.disk, self.files, self._note, self._changed, self._look_s, _at_once
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(runner.run())
                group.create_task(self._until_killed())
        finally:
            self._before = self.counts()
            self.runner = None

    async def _until_killed(self):
        await self._dies.wait()
        self._dies.clear()
        raise Killed

    def kill(self):
        """End this life."""
        self._dies.set()

    def counts(self):
        """Of all lives."""
        now = self.runner.broker.counts if self.runner is not None else None
        return {key: before + (getattr(now, key) if now is not None else 0) for key, before in self._before.items()}

    def _changed(self, who, what, outcome, **more):
        self.changes.append((what, outcome))

    def _note(self, who, what, outcome):
        self.notes += 1


async def _at_once(work, name):
    """Instead of a thread: a thousand stations share one loop."""
    return work()


@contextlib.asynccontextmanager
async def alive(stations):
    """They live inside."""
    tasks = [asyncio.create_task(station.live()) for station in stations]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                raise AssertionError("a station's agent has ended") from ended
