"""The master of a bus: finds the slaves, checks them, brings them to SAFE-OP; asks for OP; brings them back to INIT.

    scan     who is there: pysoem counts them, gives each its station address, and asks for PRE-OP; EEPROMs are read at once
    check    identity, position, number; what is wrong is refused with both sides' numbers
    set up   start-up SDOs, PDO assignment; what each exchanges is read
    lay out  sync managers, FMMUs, logical addresses: ours
    SAFE-OP  here the cyclic exchange begins, with safe values; then OP is asked for

pysoem's `config_map` is not used: it holds the interpreter for as long as all mailboxes together take, and with it the whole station.
What it works out `layout` does, and slaves go through their states together.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from fieldbus.errors import DeviceError, NoAnswerError
from fieldbus.ethercat.clock.clock_setup import BusClocks, How, set_up_clocks
from fieldbus.ethercat.coe import Coe, Mailbox
from fieldbus.ethercat.options import SlaveOptions, check_names
from fieldbus.ethercat.protocol import AlState, Register
from fieldbus.ethercat.slaves.eeprom import read_images
from fieldbus.ethercat.slaves.entries import SlaveFound, found_by_sii
from fieldbus.ethercat.slaves.identity import positions
from fieldbus.ethercat.slaves.layout import lay_out
from fieldbus.ethercat.slaves.sii import parse_sii
from fieldbus.ethercat.slaves.slave import Slave, look_at_entries, mailboxes_of, set_up, to_safeop
from fieldbus.ethercat.slaves.states import Steps, drive, go, statuses
from fieldbus.ethercat.wire.interface import check_interface
from fieldbus.ethercat.wire.listening import check_nobody_else
from fieldbus.ethercat.wire.soem import Soem, library
from fieldbus.ethercat.wire.wire import Node, Wire

FIRST_ADDRESS: Final = 0x1001
"""Station address of the first slave: SOEM's habit."""
MOST_SLAVES: Final = 199
"""So many pysoem has room for."""
_FIRST_LOGICAL: Final = 0
_STEP: Final = 8
"""Each slave's range begins at a multiple of it."""


class Master:
    """Everything that is asked of slaves outside of the cyclic exchange; for one thread.

    Args:
        options: the slaves that are named.
        expected: how many slaves there must be; None: as many as there are.
        is_stopped: asked again and again while something takes long.
    """

    def __init__(
        self,
        interface: str,
        options: Sequence[SlaveOptions] = (),
        expected: int | None = None,
        is_stopped: Callable[[], bool] = bool,
    ) -> None:
        check_names(options)
        self.interface, self.options, self.expected, self._is_stopped = interface, tuple(options), expected, is_stopped
        self.slaves: list[Slave] = []
        self.places: dict[str, int] = {}
        """Name -> position of the slaves that are named."""
        self.is_in_phase: Callable[[], bool] = lambda: True
        """Do frames pass the reference clock when they should? Slaves that act on its pulse are asked to OP then."""
        self._soem: Soem | None = None
        self._wire: Wire | None = None

    @property
    def wire(self) -> Wire:
        """Registers of slaves; between `open` and `close`."""
        assert self._wire is not None
        return self._wire

    # --- to and fro ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take the interface; raises `ConnectionLostError`, with the command that mends it, or `ConfigurationError`."""
        library()
        check_interface(self.interface)
        check_nobody_else(self.interface)
        self._soem = Soem(self.interface)
        self._wire = Wire(self.interface)

    def close(self) -> None:
        """Give the interface back; slaves stay as they are."""
        self.slaves, self.places = [], {}
        wire, self._wire = self._wire, None
        soem, self._soem = self._soem, None
        if wire is not None:
            wire.close()
        if soem is not None:
            soem.close()

    # --- up -----------------------------------------------------------------------------------------------------------

    def scan(self) -> list[SlaveFound]:
        """Who is on the bus, in PRE-OP; whoever does not come there is refused, in words. Also sets `slaves`."""
        assert self._soem is not None
        count = self._soem.scan(lambda: self.wire.count(tries=1), self._is_stopped)
        if count <= 0:
            raise self._nobody(count)
        nodes = [Node.called(FIRST_ADDRESS + i) for i in range(len(self._soem.master.slaves))]
        images = read_images(self.wire, nodes, self._is_stopped)
        features = self.wire.read_each(nodes, Register.FEATURES, 2)
        self.slaves = []
        for i, image in enumerate(images):
            try:
                sii = parse_sii(image)
            except DeviceError as error:
                raise type(error)(f"slave {i}: {error}") from error
            found = found_by_sii(i, sii)
            feature = int.from_bytes(features[i] or b"\0\0", "little")
            found = replace(found, has_lrw=found.has_lrw and not feature & _NO_LRW)
            address = FIRST_ADDRESS + i
            mailboxes = mailboxes_of(self.wire, Node.called(address), sii)
            mailbox = Mailbox(self.wire, Node.called(address), mailboxes)
            slave = Slave(found, sii, address, Coe(mailbox), mailboxes=mailboxes)
            mailbox.hear = _into(slave)
            self.slaves.append(slave)
        return [slave.found for slave in self.slaves]

    def _nobody(self, count: int) -> DeviceError:
        if count < -1 or (count <= 0 and self.wire.count() > MOST_SLAVES):
            return NoAnswerError(
                f"more than {MOST_SLAVES} slaves answer on {self.interface}: that is more than can be taken on"
            )
        return NoAnswerError(
            f"no slave answers on {self.interface}: is the cable plugged in, in the first slave's IN port, and has that one power?"
        )

    def check(self) -> None:
        """Are they the expected ones? Raises `RefusedError`; the named ones then have their options."""
        self.places = positions([slave.found for slave in self.slaves], self.options, self.expected)
        for option in self.options:
            self.slaves[self.places[option.name]].option = option

    def set_up(self) -> None:
        """Everybody in PRE-OP, set up; what each exchanges is known."""
        self._drive([self._set_up(slave) for slave in self.slaves])

    def _set_up(self, slave: Slave) -> Steps:
        yield from go(self.wire, slave.node, AlState.PREOP, slave.label)
        yield from set_up(self.wire, slave)
        look_at_entries(slave)
        yield

    def lay_out(self) -> None:
        """Everybody's place in the logical memory; raises `RefusedError` with both sizes."""
        logical = _FIRST_LOGICAL
        counts = self.wire.read_each([slave.node for slave in self.slaves], Register.FMMU_COUNT, 1)
        for slave, count in zip(self.slaves, counts, strict=True):
            try:
                slave.layout = lay_out(slave.found.entries, slave.sii.sync_managers, logical, (count or b"\0")[0])
            except DeviceError as error:
                error.args = (f"{slave.label}: {error}",)
                raise
            logical += -(-slave.layout.nbytes // _STEP) * _STEP

    def set_up_clocks(self, cycle_ns: int, how: How, shift_ns: int | None = None) -> BusClocks | None:
        """Distributed clocks, in PRE-OP; None: nobody wants one (`fieldbus.ethercat.clock.clock_setup`)."""
        assert self._soem is not None
        return set_up_clocks(self.wire, self.slaves, self._soem.master.config_dc, cycle_ns, how, shift_ns)

    def to_safeop(self) -> None:
        """Everybody in SAFE-OP, as laid out."""
        self._drive([to_safeop(self.wire, slave) for slave in self.slaves])

    def _drive(self, work: Sequence[Steps]) -> None:
        drive([self._until_stopped(one) for one in work])

    def _until_stopped(self, work: Steps) -> Steps:
        for _ in work:
            if self._is_stopped():
                raise NoAnswerError("stopped on the way up")
            yield

    # --- down ---------------------------------------------------------------------------------------------------------

    def down(self, limit_s: float = 1.0) -> list[str]:
        """Everybody to SAFE-OP, then INIT; gives who did not, in words. Never raises."""
        faults: list[str] = []
        for state in (AlState.SAFEOP, AlState.INIT):
            faults += self._down_to(state, limit_s)
        return list(dict.fromkeys(faults))

    def _down_to(self, state: AlState, limit_s: float) -> list[str]:
        until_s = time.monotonic() + limit_s
        left, faults = list(self.slaves), []
        try:
            now = statuses(self.wire, [slave.node for slave in left])
            left = [s for s, status in zip(left, now, strict=True) if status is not None and status.bare > state]
            self.wire.write_each([s.node for s in left], Register.AL_CONTROL, bytes([state | 0x10, 0]))
            while left and time.monotonic() < until_s:
                now = statuses(self.wire, [slave.node for slave in left])
                left = [s for s, status in zip(left, now, strict=True) if status is not None and status.bare > state]
                time.sleep(0.001)
        except DeviceError as error:
            faults.append(str(error))
        return [*faults, *(f"{slave.label} stays above {state.name}" for slave in left)]


_NO_LRW: Final = 0x0200
"""In register 0x0008: the ESC has no LRW (bit 9)."""


def _into(slave: Slave) -> Callable[[int, int], None]:
    def hear(code: int, register: int) -> None:
        if len(slave.heard) < 8:
            slave.heard.append(f"{slave.label} reports emergency 0x{code:04X} (error register 0x{register:02X})")

    return hear
