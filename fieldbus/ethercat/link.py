"""The EtherCAT link: all slaves on a network interface, which belongs to it alone."""

import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fieldbus.errors import ConfigurationError, ConnectionLostError, DeviceError, GarbageError, NoAnswerError, told
from fieldbus.ethercat.address import EthercatAddress
from fieldbus.ethercat.clock.clock_memory import BusClock, ClockStatus
from fieldbus.ethercat.clock.clock_setup import BusClocks
from fieldbus.ethercat.drives.drive import Drive, DriveAddress
from fieldbus.ethercat.drives.drives import Drives, DriveStatus, drive_tags
from fieldbus.ethercat.master import Master
from fieldbus.ethercat.options import Sdo, SlaveOptions
from fieldbus.ethercat.plan import BusSlave, Place, plan_of
from fieldbus.ethercat.protocol import state_in_words
from fieldbus.ethercat.recovery import Tender
from fieldbus.ethercat.slaves.identity import position_of
from fieldbus.ethercat.slaves.places import places_of
from fieldbus.ethercat.slaves.slave import Slave, look_at_names, write_sdo
from fieldbus.ethercat.wire.socket import open_socket
from fieldbus.exchange.block import Event, Phase
from fieldbus.exchange.link import Connection, How, NativeLink
from fieldbus.exchange.memory import Note
from fieldbus.exchange.plan import Plan, Transaction
from fieldbus.link.link import NS
from fieldbus.link.state import LinkStatus
from fieldbus.tags import Quality, Tag

ANSWER_SHARE: Final = {"own-thread": 0.8, "in-cycle": 0.4}
"""Share of a cycle that a frame may be under way; in a task's cycle there are two rounds, and a model between them."""
_BUSY_MS: Final = 5
_DOWN_S: Final = 1.0
_BRAKING_S: Final = 20.0
"""So long drives have at most to come to a standstill when the link stops: systemd gives a station 30 s."""
_DISABLING_S: Final = 0.2
"""So much longer than a quick stop it takes until a drive is without power."""
_ENDS: Final = (Event.FAILED, Event.CLOSED, Event.NOT_SENT)


class EthercatLink(NativeLink):
    """Moves tags with an `EthercatAddress` to and from the slaves on a network interface.

    Each connection begins with a scan: the slaves are counted and looked at, and compared with `slaves` and `slave_count`; start-up
    SDOs are written, PDOs assigned and mapped, and all brought to SAFE-OP. A bus that is not as expected is not driven: the
    reason is in the link's status, with both sides' numbers, and it is tried again. Then the exchange begins, with safe values
    until tasks bring others, and the slaves are asked to OP.

    A slave that is lost, or falls back, is brought back by itself; meanwhile its own tags are BAD, the others live, and the link is
    "degraded". At the end the slaves get the safe values, and go to SAFE-OP and INIT.

    Outputs of the slaves that have no tag are 0.

    Args:
        interface: its name, as `ip link` shows it; the link needs CAP_NET_RAW and CAP_NET_ADMIN.
        slaves: those that are named; others are taken as they are found.
        slave_count: how many there must be; None: as many as answer.
        drives: axes; their tags need not be among `tags`.
        has_clock: frames are held in phase with the distributed clock, where a slave wants its pulse (`SlaveOptions.dc`).
        shift_s: when in a cycle that pulse (SYNC0) comes, after frames pass the reference clock; None: as measured.
    """

    connects_at_end = False

    def __init__(
        self,
        name: str,
        tags: Sequence[Tag],
        interface: str,
        cycle_s: float = 0.001,
        timeout_s: float = 0.05,
        *,
        slaves: Sequence[SlaveOptions] = (),
        slave_count: int | None = None,
        drives: Sequence[Drive] = (),
        backoff_s: tuple[float, float] = (0.1, 2.0),
        exchange: How = "own-thread",
        has_clock: bool = True,
        shift_s: float | None = None,
    ) -> None:
        for tag in tags:
            if not isinstance(tag.address, EthercatAddress | DriveAddress):
                raise ConfigurationError(f"tag {tag.name!r} needs an EthercatAddress, has {tag.address!r}")
        given = {tag.name for tag in tags}
        more = [tag for tag in drive_tags(drives) if tag.name not in given]
        self._clock: BusClock | None = None
        super().__init__(name, [*tags, *more], cycle_s, timeout_s, backoff_s=backoff_s, exchange=exchange)
        shown = {drive.tag_name(part) for drive in drives for part in drive.shown}
        self.tags = tuple(tag for tag in self.tags if tag.name in given | shown)
        self._drives = Drives(drives, self.exchange, cycle_s)
        self.interface = interface
        self.has_clock, self._shift_s = has_clock, shift_s
        self._clocks: BusClocks | None = None
        self._master = Master(interface, slaves, slave_count, self._stop.is_set)
        self._master.is_in_phase = self._is_in_phase
        self._tender: Tender | None = None
        self._plan: Plan | None = None
        self._socket: socket.socket | None = None
        self._is_troubled = False

    # --- the bus ------------------------------------------------------------------------------------------------------

    def _open(self, deadline_ns: int) -> None:
        """Everything up to SAFE-OP. It takes what it takes: it ends when the link is stopped."""
        if self._stop.is_set():
            raise ConnectionLostError(
                "there is no connection to the bus: each slave's own watchdog makes its outputs safe"
            )
        master = self._master
        begun_s = time.monotonic()
        master.open()
        master.scan()
        master.check()
        master.set_up()
        self._set_up_drives()
        self._name_entries()
        found, optional = [slave.found for slave in master.slaves], self._drives.is_optional
        places = [p for port in (self._in, self._out) for p in places_of(port.cells, found, master.places, optional)]
        master.lay_out()
        self._set_clocks()
        self._plan = self._drives.completed(self._make_plan(places))
        master.to_safeop()
        self._socket = open_socket(self.interface)
        self._tender = None
        self._say_up(time.monotonic() - begun_s)

    def _say_up(self, took_s: float) -> None:
        """How long it took, and what guards the outputs when this computer dies."""
        slaves = self._master.slaves
        with_outputs = [s for s in slaves if s.layout is not None and s.layout.out_bytes]
        guards = ", ".join(f"{ms:g} ms" for ms in sorted({s.watchdog_ms for s in with_outputs if not s.is_unguarded}))
        said = f"; watchdogs of outputs: {guards}" if guards else ""
        self._tell_news(f"{len(slaves)} slaves in SAFE-OP after {took_s:.2f} s{said}", True)
        for slave in with_outputs:
            if slave.is_unguarded:
                text = "keeps its outputs when this computer dies: its watchdog is off; `watchdog` in its table sets it"
                self._tell_news(f"{slave.label} {text}", False)

    def _set_clocks(self) -> None:
        """Distributed clocks, and what keeps the exchange in phase with them; the rate is known from the connection before."""
        shift_ns = None if self._shift_s is None else round(self._shift_s * NS)
        clocks = self._master.set_up_clocks(self.period_ns, self.how, shift_ns) if self.has_clock else None
        if clocks is None:
            self.exchange.extend(clock_shift=0, clock_note=0, clock=0)
        elif self._clock is None or self._clocks != clocks:
            self._clock = BusClock(clocks.cycle_ns, is_short=clocks.is_short)
        else:
            self._clock.restart()
        if clocks is not None and self._clock is not None:
            self.exchange.extend(**self._clock.words)
        self._clocks = clocks

    def _name_entries(self) -> None:
        """A slave whose EEPROM does not have the names that tags use is asked for them."""
        for tag in self.tags:
            address = tag.address
            if not isinstance(address, EthercatAddress):
                continue
            slave = self._slave(address.slave)
            if address.entry and slave.found.entry(address.entry) is None:
                look_at_names(slave)

    def _slave(self, name: str) -> Slave:
        return self._master.slaves[position_of(name, self._master.places, len(self._master.slaves))]

    def _set_up_drives(self) -> None:
        """What drives want to have written; a slave that comes back gets it again."""
        for slave in self._master.slaves:
            slave.more_sdos.clear()
        for drive in self._drives.drives:
            slave = self._slave(drive.slave)
            has_mode = slave.found.entry(f"0x{drive.entry('mode').object:04X}:00") is not None
            for numbers in drive.sdos(has_mode):
                sdo = Sdo(*numbers)
                write_sdo(slave, sdo)
                slave.more_sdos.append(sdo)

    def _make_plan(self, places: Sequence[Place]) -> Plan:
        slaves = []
        for slave in self._master.slaves:
            layout = slave.layout
            assert layout is not None
            slaves.append(
                BusSlave(
                    name=slave.label,
                    logical=layout.logical,
                    out_bytes=layout.out_bytes,
                    in_bytes=layout.in_bytes,
                    has_lrw=slave.found.has_lrw,
                    station_address=slave.address,
                )
            )
        answer_ns = round(self.cycle_s * ANSWER_SHARE[self.how] * NS)
        reference = self._clocks.reference if self._clocks is not None else None
        return plan_of(slaves, places, self.how, answer_ns, clock=reference)

    def _lay(self, plan: Plan) -> None:
        super()._lay(plan)
        self._drives.lay()

    def _connection(self) -> Connection:
        assert self._plan is not None
        assert self._socket is not None
        return Connection(self._socket.fileno(), self._plan)

    def _close(self) -> None:
        if self._stop.is_set() and self._plan is not None:
            for fault in self._master.down(_DOWN_S):
                self._failed(fault)
        self._plan, self._tender, self._note = None, None, ""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._master.close()

    # --- the keeper ---------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Slaves on their way to OP, for the first time, are no fault: it still connects."""
        is_on_the_way = self._tender is None or self._tender.is_beginning
        if self._state[0] != "connecting" or self.exchange.health is Quality.GOOD or not is_on_the_way:
            super()._show()

    def _tend(self) -> None:
        """Look after the slaves; called in each round of the keeper."""
        if self._tender is None:
            self._tender = Tender(self._master, self._tell)
            self._tender.begin()
        tender = self._tender
        before = tender.lost, tender.back
        is_troubled, self._is_troubled = self._is_troubled, False
        tender.look(is_troubled or self.exchange.health is not Quality.GOOD)
        self._counts["slaves_lost"] += tender.lost - before[0]
        self._counts["slaves_back"] += tender.back - before[1]
        self._note = "; ".join(filter(None, (tender.sentence, self._drives.words())))
        for sentence, is_good in self._drives.news():
            self._tell_news(sentence, is_good)

    def _write(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        """The safe values, and so long as drives brake: they are told to stop in every cycle before they leave OP."""
        limit_s = time.monotonic() + self._braking_s
        try:
            self._write_until_confirmed(outputs, deadline_ns)
        finally:  # also where another slave is gone: these still move
            self._brake(limit_s)

    def _write_until_confirmed(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        """A frame is awaited for less than a cycle: one that is lost, or late, is sent again in the next, as long as there is time."""
        while True:
            now_ns = time.monotonic_ns()
            try:
                super()._write(outputs, max(deadline_ns, now_ns + self.period_ns))
                return
            except NoAnswerError:
                if now_ns >= deadline_ns:
                    raise
            time.sleep(self.period_ns / NS)

    @property
    def _braking_s(self) -> float:
        return min(self._drives.longest_stop_s + _DISABLING_S, _BRAKING_S)

    @property
    def _longest_end_s(self) -> float:
        return super()._longest_end_s + self._braking_s

    def _brake(self, limit_s: float) -> None:
        if not self._drives.are_at_work:
            return
        self._arm(self._connection())
        while self._drives.are_at_work and time.monotonic() < limit_s and not self.exchange.is_mine:
            self.exchange.phase(Phase.ALL, time.monotonic_ns() + round(self.cycle_s * NS))
            time.sleep(self.cycle_s)
        self._take()

    # --- drives -------------------------------------------------------------------------------------------------------

    @property
    def resettable(self) -> tuple[str, ...]:
        """The names of its drives."""
        return tuple(drive.name for drive in self._drives.drives)

    def reset_fault(self, name: str) -> None:
        """Have a drive reset its fault. Any thread."""
        self._drives.reset(name)

    def drive_states(self) -> tuple[DriveStatus, ...]:
        """Every drive, now. Any thread."""
        return self._drives.status()

    # --- what is told -------------------------------------------------------------------------------------------------

    def _tell(self, sentence: str, is_good: bool) -> None:
        if not is_good:
            self._failed(sentence)
        self._tell_news(sentence, is_good)

    def _look_ms(self) -> int:
        return _BUSY_MS if self._tender is None or self._tender.is_busy else super()._look_ms()

    def _hear(self, note: Note) -> None:
        """Nothing on the wire ends the exchange; an interface that is gone does."""
        error = self._error_of(note)
        if note.event in _ENDS:
            raise error
        self._last_error = told(error)
        self._is_troubled = True

    def _named(self, transaction: Transaction, frame: bytes, note: Note) -> DeviceError:
        if note.event is Event.COUNTER:
            right = transaction.counter
            return NoAnswerError(f"{transaction.label}: working counter {note.code}, where {right} is right")
        if note.event is Event.STATE:
            return NoAnswerError(f"{transaction.label}: {state_in_words(note.code & 0x1F)} is what they have in common")
        return GarbageError(f"{transaction.label}: unexpected: {frame[:16].hex(' ')}")

    def status(self) -> LinkStatus:
        """How the link is, now; and its clock."""
        status, clock = super().status(), self.clock_status()
        if clock is None:
            return status
        return replace(
            status,
            clock_locked=int(clock.is_locked),
            clock_offset=abs(clock.phase_ns),
            clock_rate=round(1000 * clock.rate_ppm),
            clock_refused=clock.refused,
            clock_jumps=clock.jumps,
            clock_unlocks=clock.unlocks,
            clock_losses=clock.losses,
            clock_offsets=clock.offsets,
        )

    def reset_counters(self) -> None:
        """Count from 0 again."""
        super().reset_counters()
        if self._clock is not None:
            self._clock.reset_counters()

    def _is_in_phase(self) -> bool:
        status = self.clock_status()
        return status is None or status.is_locked

    def clock_status(self) -> ClockStatus | None:
        """How wake-ups follow the distributed clock; None: they need not."""
        clock = self._clock
        return clock.status() if clock is not None and self._clocks is not None else None

    def slave_states(self) -> list[tuple[str, str, float]]:
        """(slave, why it is not in OP, its watchdog in ms) of each; any thread."""
        tender = self._tender
        troubled = tender.troubled() if tender is not None else {}
        with contextlib.suppress(RuntimeError):  # the list changes meanwhile
            return [(s.label, troubled.get(s.address, ""), s.watchdog_ms) for s in self._master.slaves]
        return []
