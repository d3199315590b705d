"""While the exchange runs: slaves that left it are found again and brought back, each by itself, while the others go on.

lost       it does not answer at its address: it has no power, or a cable is out
away       one without an address is at its place again: is it the same? It gets its address, and the way from INIT on
fallen     it answers, in another state: from SAFE-OP it is asked to OP, from below it goes the whole way again
in OP      nothing to do
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from fieldbus.errors import ConnectionLostError, DeviceError, RefusedError, told
from fieldbus.ethercat.master import Master
from fieldbus.ethercat.protocol import AlState, Register
from fieldbus.ethercat.slaves.eeprom import read_identity, release
from fieldbus.ethercat.slaves.identity import WRONG_SLAVE
from fieldbus.ethercat.slaves.slave import Slave, set_up, to_preop, to_safeop
from fieldbus.ethercat.slaves.states import Status, Steps, go, statuses
from fieldbus.ethercat.wire.wire import Node

LOOK_S: Final = 1.0
"""So often states are looked at though nothing seems wrong."""
_FIND_S: Final = 0.05
_ROUND_S: Final = 0.008
_PAUSE_S: Final = 0.0005
_AGAIN_S: Final = (0.2, 2.0)
"""After a refusal the next try waits: the first time, and at most."""
_PHASE_S: Final = 3.0
_SHOWN: Final = 3
"""So many slaves are named in a sentence."""
_SHORT_FRAMES: Final = 300
"""Bytes of a frame beside the cyclic exchange: 25 us on the line."""


def returned(addresses: Sequence[int], expected: Sequence[int]) -> dict[int, int]:
    """Station address -> position now, of slaves that have none any more. Pure.

    Args:
        addresses: station address of whoever is at each position now; 0, or any that is not expected: it has none of ours.
        expected: station addresses in the order of the bus.

    A stranger between two that are known is whoever is missing between these; where fewer strangers than missing ones are, the first
    of them: behind it a line is still cut.
    """
    seats: dict[int, int] = {}
    known = [(p, expected.index(a)) for p, a in enumerate(addresses) if a in expected]
    known = [(-1, -1), *known, (len(addresses), len(expected))]
    for (position, order), (next_position, next_order) in pairwise(known):
        strangers = range(position + 1, next_position)
        missing = expected[order + 1 : next_order] if next_order > order else ()
        seats.update(zip(missing, strangers, strict=False))
    return seats


@dataclass(slots=True)
class Group:
    """Slaves that were lost at the same moment: so many, and so many are not back yet."""

    count: int = 1
    left: int = 1


@dataclass(slots=True)
class Job:
    """A slave on its way back."""

    slave: Slave
    steps: Steps
    since_s: float
    group: Group
    is_counted: bool = True
    """Was it in OP before?"""
    waits_s: float = 0.0
    due_s: float = 0.0
    said: str = ""
    """What is wrong with it, for people."""


@dataclass(slots=True)
class Tender:
    """Looks after the slaves of a bus while its exchange runs; for the thread of the link.

    Args:
        tell: is called with a sentence whenever something happens to a slave; True: it is good news.
    """

    master: Master
    tell: Callable[[str, bool], None]
    lost: int = 0
    """How often a slave did not answer any more, or fell back."""
    back: int = 0
    """How often one came back into OP."""
    _jobs: dict[int, Job] = field(default_factory=dict)
    _look_s: float = 0.0
    _addresses: list[int] = field(default_factory=list)
    _seats: dict[int, int] = field(default_factory=dict)
    _seats_s: float = 0.0

    @property
    def is_busy(self) -> bool:
        """Is somebody on the way?"""
        return bool(self._jobs)

    @property
    def is_beginning(self) -> bool:
        """Are there slaves that have only been asked to OP, and have not answered yet?"""
        return any(not job.is_counted for job in self._jobs.values())

    @property
    def sentence(self) -> str:
        """Who is not in OP, and why; empty: all are."""
        said = [job.said for job in self._jobs.values() if job.said]
        more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
        return "; ".join(said[:_SHOWN]) + more

    def troubled(self) -> dict[int, str]:
        """Station address -> what is wrong, of those on the way; any thread."""
        return {job.slave.address: job.said for job in list(self._jobs.values())}

    def begin(self) -> None:
        """The exchange runs, with safe values: everybody is asked to OP."""
        self.master.wire.most_bytes = _SHORT_FRAMES
        now_s = time.monotonic()
        for slave in self.master.slaves:
            self._jobs[slave.address] = Job(slave, self._up(slave), now_s, Group(), is_counted=False)

    def look(self, is_troubled: bool) -> None:
        """Go on with whoever is on the way, for some milliseconds; look for others where something seems wrong, or now and then.

        Raises:
            ConnectionLostError: the interface is gone.
        """
        until_s = time.monotonic() + _ROUND_S
        if is_troubled or time.monotonic() >= self._look_s:
            self._look_at_all()
            self._look_s = time.monotonic() + LOOK_S
        while self._jobs and time.monotonic() < until_s:
            self._go_on()
            if not self._jobs or not self.master.slaves:
                break
            time.sleep(_PAUSE_S)

    def _look_at_all(self) -> None:
        resting = [slave for slave in self.master.slaves if slave.address not in self._jobs]
        now_s, lost, group = time.monotonic(), list[Slave](), Group()
        found = statuses(self.master.wire, [s.node for s in resting], tries=2)
        for slave, status in zip(resting, found, strict=True):
            if status is not None and status.state == AlState.OP:
                continue
            self.lost += 1
            job = self._jobs[slave.address] = Job(slave, self._restore(slave, status), now_s, group)
            if status is None:
                lost.append(slave)
                job.said = f"{slave.label} does not answer any more"
            else:
                job.group = Group()
                self._say(job, f"{slave.label} fell back to {status.in_words}")
        group.count = group.left = len(lost)
        if lost:
            self._seats_s = 0.0
            more = f", nor do {len(lost) - 1} others" if len(lost) > 1 else ""
            self.tell(f"{lost[0].label} does not answer any more{more}", False)

    def _go_on(self) -> None:
        for job in list(self._jobs.values()):
            if time.monotonic() < job.due_s:
                continue
            try:
                next(job.steps)
            except StopIteration:
                self._done(job)
            except ConnectionLostError:
                raise
            except DeviceError as error:
                self._again(job, told(error))

    def _done(self, job: Job) -> None:
        del self._jobs[job.slave.address]
        for emergency in job.slave.heard:
            self.tell(emergency, False)
        job.slave.heard.clear()
        group = job.group
        group.left -= 1
        if not job.is_counted:
            return
        self.back += 1
        if group.count <= _SHOWN or not group.left:
            who = f"{job.slave.label} is" if group.count <= _SHOWN else f"{group.count} slaves are"
            self.tell(f"{who} in OP again after {time.monotonic() - job.since_s:.2f} s", True)

    def _again(self, job: Job, why: str) -> None:
        self._say(job, why)
        if not job.is_counted:
            self.lost += 1
            job.is_counted = True
        job.waits_s = min(max(2 * job.waits_s, _AGAIN_S[0]), _AGAIN_S[1])
        job.due_s = time.monotonic() + job.waits_s
        job.steps = self._restore_from_now(job.slave)

    def _say(self, job: Job, text: str) -> None:
        if text != job.said:
            job.said = text
            self.tell(text, False)

    # --- the ways -----------------------------------------------------------------------------------------------------

    def _up(self, slave: Slave) -> Steps:
        """From SAFE-OP; who acts on the pulse of a clock, when frames are in phase with it, or will not be soon."""
        until_s = time.monotonic() + _PHASE_S
        while slave.clock is not None and not self.master.is_in_phase() and time.monotonic() < until_s:
            yield
        yield from go(self.master.wire, slave.node, AlState.OP, slave.label)

    def _restore_from_now(self, slave: Slave) -> Steps:
        (status,) = statuses(self.master.wire, [slave.node])
        yield from self._restore(slave, status)

    def _restore(self, slave: Slave, status: Status | None) -> Steps:
        """From whatever it is now, into OP."""
        wire = self.master.wire
        while status is None:
            yield from self._found(slave)
            (status,) = statuses(wire, [slave.node], tries=1)
            yield
        if status.bare >= AlState.SAFEOP:
            if status.has_error:
                yield from go(wire, slave.node, AlState.SAFEOP, slave.label)
        else:
            yield from to_preop(wire, slave)
            yield from set_up(wire, slave)
            yield from to_safeop(wire, slave)
        yield from self._up(slave)

    def _found(self, slave: Slave) -> Iterator[None]:
        """Until it answers at its address, which is given to it again where it has lost it."""
        while slave.address not in self._present():
            position = self._seats.pop(slave.address, None)
            if position is not None:
                self._check(slave, position)
                node = Node.at(position)
                self.master.wire.write(node, Register.STATION_ADDRESS, slave.address.to_bytes(2, "little"))
                return
            yield

    def _present(self) -> Collection[int]:
        """The station addresses that are on the bus; all who look for one share one look, now and then."""
        wire, now_s = self.master.wire, time.monotonic()
        if now_s >= self._seats_s:
            nodes = [Node.at(i) for i in range(min(wire.count(tries=1), len(self.master.slaves)))]
            read = wire.read_each(nodes, Register.STATION_ADDRESS, 2, tries=1)
            self._addresses = [int.from_bytes(a or b"\0\0", "little") for a in read]
            self._seats = returned(self._addresses, [one.address for one in self.master.slaves])
            self._seats_s = now_s + _FIND_S
        return self._addresses

    def _check(self, slave: Slave, position: int) -> None:
        """Is it the same, or another of its kind?"""
        wire, node = self.master.wire, Node.at(position)
        vendor, product, revision, _ = read_identity(wire, node)
        release(wire, [node])
        came, was = (vendor, product, revision), (slave.found.vendor, slave.found.product, slave.found.revision)
        if came != was:
            faults = ", ".join(
                f"{what} 0x{is_now:08X} where 0x{before:08X} is expected"
                for what, is_now, before in zip(("vendor", "product", "revision"), came, was, strict=True)
                if is_now != before
            )
            raise RefusedError(f"another slave is at the place of {slave.label}: {faults}", WRONG_SLAVE)
