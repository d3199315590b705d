"""A simulated slave with a mailbox: CoE, its standard objects, PDOs that the master assigns and maps.

    mailbox --> Mailbox --> Coe --> Dictionary <--words--> native step

Memory of its ESC: 0x1000 mailbox from the master, behind it that to the master, then outputs and inputs, three buffers each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fieldbus.ethercat.protocol import AlState
from fieldbus.ethercat.simulated.al import Rules, manager_now
from fieldbus.ethercat.simulated.coe import Coe
from fieldbus.ethercat.simulated.device import EscKind, Pdi, Why
from fieldbus.ethercat.simulated.mailbox import Kind, Mailbox
from fieldbus.ethercat.simulated.objects import (
    SIGNED,
    AbortCode,
    Access,
    Code,
    Dictionary,
    Entry,
    Object,
    Type,
    array,
    record,
    text,
    variable,
)  # fmt: skip
from fieldbus.ethercat.simulated.process_data import INPUTS, OUTPUTS, PdoMap, ProcessData
from fieldbus.ethercat.simulated.sii import (
    ClockMode,
    Details,
    FmmuUse,
    Identity,
    Manager,
    Protocol,
    Purpose,
    Sii,
)  # fmt: skip
from fieldbus.ethercat.simulated.sii import Mailbox as Place
from fieldbus.ethercat.simulated.slave import Image, Row, Slave, number_of

_MEMORY, _MOST_BYTES = 0x1000, 256
_NOTES, _SYNC_ERRORS = 0x2000, 0x10F1
_MISSED_MOST = 300
_NOTES_BYTES = 4096
_TO_SLAVE, _TO_MASTER, _OUT, _IN = 0x26, 0x22, 0x64, 0x20
_CLOCK = ClockMode("DC-Synchron", 0x0300)
_DETAILS = Details.SDO | Details.SDO_INFO | Details.PDO_ASSIGN | Details.PDO_CONFIGURATION | Details.COMPLETE_ACCESS


@dataclass(frozen=True, slots=True)
class Description:
    """What a slave says of itself, and what it insists on."""

    identity: Identity
    name: str
    order_code: str
    group: str = "Simulated"
    alias: int = 0
    device_type: int = 0
    """Object 0x1000: the device profile in the low word."""
    mailbox_bytes: int = 128
    current_ma: int = 130
    has_clock: bool = False
    has_lrw: bool = True
    drift_ppm: float = 0.0
    needs_watchdog: bool = False
    needs_fmmus: bool = False
    needs_clock: bool = False
    period_ns: int = 1_000_000
    """How often its native step runs where neither outputs nor a clock call it."""


class CoeSlave(Slave):
    """A slave whose objects `fill` puts into its dictionary, and whose PDOs are `maps`."""

    def __init__(
        self, about: Description, fill: Callable[[Dictionary], None], maps: Sequence[PdoMap], on: Why = Why.PERIOD
    ) -> None:
        self.about = about
        out, back = (Place(_MEMORY + i * about.mailbox_bytes, about.mailbox_bytes) for i in range(2))
        rules = Rules(
            mailboxes=(out, back), needs_watchdog=about.needs_watchdog, needs_fmmus=about.needs_fmmus,
            needs_clock=about.needs_clock,
        )  # fmt: skip
        kind = EscKind(has_clock=about.has_clock, has_lrw=about.has_lrw, drift_ppm=about.drift_ppm)
        image = Image()
        super().__init__(rules, kind, image, on, about.period_ns)
        self.objects = Dictionary(image.words)
        fill(self.objects)
        self.process = ProcessData(self.objects, maps, _MOST_BYTES)
        _add_standard(self.objects, about)
        self.coe = Coe(self.objects, lambda: self.al.state, about.mailbox_bytes)
        self.mails = Mailbox({Kind.COE: self.coe.take}, about.mailbox_bytes)
        self.sii = self._sii(out, back).image()

    def power_on(self, esc: Pdi) -> None:
        """PDOs as they come from the factory."""
        super().power_on(esc)
        self.process.reset()

    def mailbox(self, esc: Pdi, message: bytes) -> list[bytes]:
        """CoE."""
        return self.mails.take(message)

    def order(self, esc: Pdi, name: str, arguments: Mapping[str, object]) -> object:
        """Faults to order: `abort` (index, subindex, code; 0: no more), `silent` (count), `emergency` (code, register)."""
        if name == "abort":
            place = (number_of(arguments, "index", 0), number_of(arguments, "subindex", 0))
            self.coe.aborts.pop(place, None)
            if code := number_of(arguments, "code", AbortCode.GENERAL):
                self.coe.aborts[place] = code
            return None
        if name == "silent":
            self.mails.silent = number_of(arguments, "count", 1)
            return None
        if name == "emergency":
            self.emergency(esc, number_of(arguments, "code", 0x1000), number_of(arguments, "register", 1))
            return None
        return super().order(esc, name, arguments)

    def emergency(self, esc: Pdi, code: int, register: int, data: bytes = b"") -> None:
        """Tell the master an error, 0: it is gone; there is a mailbox from PREOP on."""
        self.objects.set_number(0x1001, register)
        if self.al.state >= AlState.PREOP:
            esc.send(self.mails.message(Kind.COE, self.coe.emergency(code, register, data)))

    def before_request(self) -> None:
        """Sync managers must be as long as the PDOs that are assigned now."""
        self.rules.output_bytes = self.process.nbytes(OUTPUTS)
        self.rules.input_bytes = self.process.nbytes(INPUTS)

    def layout(self) -> tuple[list[Row], list[Row]]:
        """The assigned PDOs' entries, without gaps."""
        rows: list[list[Row]] = []
        for assignment in (OUTPUTS, INPUTS):
            placed = [p for p in self.process.placed(assignment) if p.entry is not None]
            rows.append([(p.bit, p.bits, p.entry.cell, p.entry.type in SIGNED) for p in placed if p.entry])
            for place in placed:
                if place.entry:
                    place.entry.mapped_in = assignment
        return rows[0], rows[1]

    def entered(self, old: AlState, new: AlState) -> None:
        """From INIT on there is a mailbox, as long as the master has made it; below SAFEOP nothing is process data."""
        if old == AlState.INIT and self.esc is not None:
            self.mails.reset(manager_now(self.esc, 0).nbytes)
            self.coe.nbytes = manager_now(self.esc, 1).nbytes
            self.coe.reset()
        if new == AlState.INIT and self.esc is not None:
            self.esc.forget_messages()
        if _SYNC_ERRORS in self.objects.objects:
            self.image.head["missed_most"] = self.objects.number(_SYNC_ERRORS, 2)
        if new < AlState.SAFEOP:
            for item in self.objects:
                for entry in item.entries.values():
                    entry.mapped_in = 0
        super().entered(old, new)

    def _sii(self, out: Place, back: Place) -> Sii:
        data = back.start + back.nbytes
        managers = (
            Manager(out.start, out.nbytes, _TO_SLAVE, Purpose.MAILBOX_OUT),
            Manager(back.start, back.nbytes, _TO_MASTER, Purpose.MAILBOX_IN),
            self._manager(data, OUTPUTS, _OUT, Purpose.OUTPUTS),
            self._manager(data + 3 * _MOST_BYTES, INPUTS, _IN, Purpose.INPUTS),
        )
        about = self.about
        return Sii(
            about.identity, about.name, about.order_code, about.group, about.alias, (out, back), Protocol.COE,
            _DETAILS, about.has_lrw, about.current_ma, (FmmuUse.OUTPUTS, FmmuUse.INPUTS, FmmuUse.MAILBOX_STATE),
            managers, self.process.sii_pdos(INPUTS, 3), self.process.sii_pdos(OUTPUTS, 2),
            (_CLOCK,) if about.has_clock else (),
        )  # fmt: skip

    def _manager(self, start: int, assignment: int, control: int, purpose: Purpose) -> Manager:
        nbytes = self.process.nbytes(assignment)
        return Manager(start, nbytes, control, purpose, int(nbytes > 0))


def _add_standard(objects: Dictionary, about: Description) -> None:
    """Objects that every slave with CoE has (ETG.1000.6, 5.6.7.4; ETG.1020), and some room for long transfers."""
    objects.add(variable(0x1000, "Device type", Type.UINT32, default=about.device_type))
    objects.add(variable(0x1001, "Error register", Type.UINT8))
    objects.add(text(0x1008, "Device name", about.name))
    objects.add(text(0x1009, "Hardware version", "simulated"))
    objects.add(text(0x100A, "Software version", "1"))
    names = ("Vendor ID", "Product code", "Revision", "Serial number")
    who = record(
        0x1018, "Identity", {i: Entry(n, Type.UINT32, Access.RO) for i, n in enumerate(names, 1)}, Type.IDENTITY
    )
    identity = about.identity
    numbers = (4, identity.vendor, identity.product, identity.revision, identity.serial)
    objects.add(who, dict(enumerate(numbers)))
    purposes = (4, Purpose.MAILBOX_OUT, Purpose.MAILBOX_IN, Purpose.OUTPUTS, Purpose.INPUTS)
    objects.add(array(0x1C00, "Sync manager type", Type.UINT8, 4), dict(enumerate(purposes)))
    if about.has_clock:
        objects.add(_sync_errors())
    for index, name in ((0x1C32, "SM output parameter"), (0x1C33, "SM input parameter")):
        objects.add(_sync_parameters(index, name, about.has_clock))
    notes = Entry("Notes", Type.OCTETS, Access.RW, most_bytes=_NOTES_BYTES)
    objects.add(Object(_NOTES, "Notes", Code.VARIABLE, Type.OCTETS, {0: notes}))


def _sync_errors() -> Object:
    """0x10F1 (ETG.1020, 21.4): each SYNC0 without new outputs counts 3, each with them -1; more than the limit ends OP, 0: never."""
    return record(_SYNC_ERRORS, "Sync error setting", {
        1: Entry("Local error reaction", Type.UINT32, Access.RO, default=1),
        2: Entry("Sync error counter limit", Type.UINT16, Access.RW | Access.SETTINGS, default=_MISSED_MOST),
    })  # fmt: skip


def _sync_parameters(index: int, name: str, has_clock: bool) -> Object:
    """0x1C32, 0x1C33 (ETG.1020, 21): 1 synchronous with outputs, 2 with SYNC0."""
    supported = 0x0007 if has_clock else 0x0003
    return record(index, name, {
        1: Entry("Synchronization type", Type.UINT16, Access.RW, default=1, high=3),
        2: Entry("Cycle time", Type.UINT32, Access.RW),
        4: Entry("Synchronization types supported", Type.UINT16, Access.RO, default=supported),
        5: Entry("Minimum cycle time", Type.UINT32, Access.RO, default=62_500),
        6: Entry("Calc and copy time", Type.UINT32, Access.RO, default=10_000),
        11: Entry("SM-event missed", Type.UINT16, Access.RO),
        12: Entry("Cycle time too small", Type.UINT16, Access.RO),
        32: Entry("Sync error", Type.BOOL, Access.RO),
    })  # fmt: skip
