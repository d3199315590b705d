"""Stations without an engine, for tests and the simulation: the real agent, a disk, a pretended way for new versions."""

import hashlib
from collections import deque
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rt_engine.change import ChangeState
from station.fleet.agent import Agent, Self
from station.fleet.documents import Desired, Health, Topics, Wanted
from station.fleet.events import After, Apply, Fetch, Keep, Memory, Note, Publish, SlotSeen
from station.fleet.sealed import public_of

COMMANDER = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"commander").digest())
OTHER = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"somebody else").digest())
TOPICS = Topics("rt-engine")


def sha_of(name):
    return hashlib.sha256(name.encode()).hexdigest()


OLD = sha_of("old")


def wanted(name, serial=1, **more):
    return Wanted(sha256=sha_of(name), size=10, serial=serial, signature="00" * 72, sources=("https://x/",), **more)


def order(station, generation, slots, key=COMMANDER, of=None):
    """An order, sealed. `of`: whose it says it is."""
    desired = Desired(station=of or station, generation=generation, rollout="r", slots=slots)
    return desired.sealed(key, station)


def own_key(name):
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"own {name}".encode()).digest())


class Log:
    """An audit log of a test. `is_full`: its disk takes nothing."""

    def __init__(self):
        self.refused, self.changes, self.is_full = [], [], False

    def record(self, who, what, outcome):
        self.refused.append((who, what, outcome))

    def record_change(self, who, what, outcome, **more):
        self.changes.append((who, what, outcome))

    def settled(self):
        return not self.is_full


@dataclass
class Plant:
    """What a station does with versions: each look takes a change a step further. `committed`, `barred` and `commits` outlive it."""

    committed: dict = field(default_factory=lambda: {"policy": OLD})
    barred: set = field(default_factory=set)
    commits: list = field(default_factory=list)
    bad: frozenset = frozenset()
    """Versions that fail in trial."""
    views: dict = field(default_factory=dict)

    def restart(self):
        """What is under way is taken back, and not barred."""
        self.views = {}

    def apply(self, slot, sha256):
        """The reason of a refusal, or "" ."""
        if sha256 in self.barred:
            return "this version is barred"
        if slot in self.views and self.views[slot][0] in (ChangeState.SHADOW, ChangeState.TRIAL):
            return f"slot {slot} has a change that is in shadow"
        self.views[slot] = (ChangeState.SHADOW, sha256)
        return ""

    def look(self):
        """The slots; and time goes on."""
        for slot, (state, sha256) in list(self.views.items()):
            if state == ChangeState.SHADOW:
                self.views[slot] = (ChangeState.TRIAL, sha256)
            elif state == ChangeState.TRIAL and sha256 in self.bad:
                self.views[slot] = (ChangeState.ROLLED_BACK, sha256)
                self.barred.add(sha256)
            elif state == ChangeState.TRIAL:
                self.views[slot] = (ChangeState.COMMITTED, sha256)
                self.committed[slot] = sha256
                self.commits.append((slot, sha256))
        return {slot: self._seen(slot, runs) for slot, runs in self.committed.items()}

    def _seen(self, slot, runs):
        state, candidate = self.views.get(slot, (ChangeState.NONE, ""))
        return SlotSeen(candidate if state == ChangeState.TRIAL else runs, 1, state, candidate, "")


class Killed(Exception):
    """The station is killed now."""


class Box:
    """A station of a test. `disk`, `plant` and `cache` outlive a kill.

    `is_slow`: what the station is to take is `under_way` until `finish`.
    `dies_at`: before the effect of that number (from 0); each effect has two moments: before it, and after it before it is known.
    """

    def __init__(self, name="press", disk=None, keys=(COMMANDER,), plant=None):
        self.name, self.plant, self.cache = name, plant or Plant(), set()
        self.disk = disk or Memory().text()
        self.keys = tuple(public_of(key) for key in keys)
        self.now, self.moment, self.dies_at = 0.0, 0, -1
        self.published, self.notes, self.fetches = [], [], 0
        self.fetch_fails, self.disk_fails, self.health = "", "", Health()
        self.plant_fails, self.plant_after = "", After.AGAIN
        self.is_slow, self.under_way = False, []
        self.boot()

    def boot(self):
        me = Self(self.name, self.keys, own_key(self.name), {"line": "a"}, "1.0", TOPICS)
        self.plant.restart()
        self.agent = Agent(me, Memory.read(self.disk), lambda: self.now)
        self.do(self.agent.begin())

    def _moment(self):
        self.moment += 1
        if self.moment - 1 == self.dies_at:
            raise Killed

    def do(self, outs):
        """Do it all, and what follows from it, in the order in which it came."""
        queue = deque(outs)
        while queue:
            self._moment()
            queue.extend(self._done(queue.popleft()))

    def _done(self, out):
        match out:
            case Keep(memory):
                if self.disk_fails:
                    return self.agent.unkept(self.disk_fails)
                self.disk = memory.text()
                self._moment()
                return self.agent.kept()
            case Publish():
                self.published.append(out)
            case Fetch(want):
                self.fetches += want.sha256 not in self.cache
                if not self.fetch_fails:
                    self.cache.add(want.sha256)
                self._moment()
                return self.agent.fetched(want.sha256, self.fetch_fails)
            case Apply() if self.is_slow:
                self.under_way.append(out)
            case Apply(slot, want):
                why = self.plant_fails or self.plant.apply(slot, want.sha256)
                self._moment()
                return self.agent.applied(slot, want, why, self.plant_after)
            case Note():
                self.notes.append(out)
        return []

    def finish(self):
        """The station takes what is under way."""
        self.is_slow, outs, self.under_way = False, self.under_way, []
        self.do(outs)

    def order(self, *args, **more):
        self.do(self.agent.received(TOPICS.desired(self.name), order(self.name, *args, **more)))

    def look(self, times=1, every=1.0):
        for _ in range(times):
            self.now += every
            self.do(self.agent.seen(self.plant.look(), self.health))

    @property
    def reported(self):
        """The newest report."""
        from station.fleet.documents import Reported

        newest = [out for out in self.published if out.topic == TOPICS.reported(self.name)][-1]
        return Reported.unsealed(newest.payload, self.name, (public_of(own_key(self.name)),))[0]
