"""A slave that takes part, and the way from INIT to SAFE-OP that it goes at the start and when it comes back."""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fieldbus.errors import DeviceError, NoAnswerError, RefusedError, told
from fieldbus.ethercat.options import WATCHDOG_TICK_NS, PdoChoice, Sdo, SlaveOptions
from fieldbus.ethercat.protocol import (
    FMMU_BYTES,
    SYNC_MANAGER_BYTES,
    AlState,
    Register,
    abort_in_words,
)
from fieldbus.ethercat.slaves.entries import SlaveFound, found_by_sii, known_by, read_assigned
from fieldbus.ethercat.slaves.layout import Layout
from fieldbus.ethercat.slaves.sii import MAILBOX_IN, MAILBOX_OUT, Sii
from fieldbus.ethercat.slaves.slave_clock import SlaveClock, begin_pulse
from fieldbus.ethercat.slaves.states import Steps, go
from fieldbus.ethercat.wire.wire import Node, Wire

_OUTPUTS_ASSIGNED, _INPUTS_ASSIGNED = 0x1C12, 0x1C13
_DIVIDER_NS: Final = 40
"""A tick of the watchdogs is so long, times the divider plus 2 (ESC data sheet, register 0x0400)."""
_DIVIDER_OF_RESET: Final = 2498
_WATCHDOG: Final = 0x40
"""In the control byte of a sync manager: the watchdog looks whether it is written."""


@dataclass(slots=True)
class Slave:
    """A slave of ours: what it is (`found`, `sii`), what is wanted (`option`), where it is, how it is laid out.

    `device` speaks CoE with it: `coe.Coe`.
    """

    found: SlaveFound
    sii: Sii
    address: int
    device: Any
    option: SlaveOptions | None = None
    layout: Layout | None = None
    mailboxes: bytes = b""
    """What sync managers 0 and 1 are programmed with where they are mailboxes; else nothing."""
    watchdog_ms: float = 0.0
    """As it is set; 0: off."""
    more_sdos: list[Sdo] = field(default_factory=list)
    """Written in PRE-OP besides those of its option: what its drives want."""
    clock: SlaveClock | None = None
    """The pulse that it is to have from its distributed clock, if it is."""
    heard: list[str] = field(default_factory=list)
    """Emergency messages that it sent, in words, which nobody has looked at."""

    @property
    def node(self) -> Node:
        """As datagrams address it."""
        return Node.called(self.address)

    @property
    def label(self) -> str:
        """`slave 1 'drive' (AX5203)`."""
        name = f" {self.option.name!r}" if self.option else ""
        return f"slave {self.found.position}{name} ({self.found.name})"

    @property
    def is_unguarded(self) -> bool:
        """Has it outputs that no watchdog of its own switches off when nobody writes them any more?"""
        outputs = [w for w in self.layout.windows if w.is_output and w.length] if self.layout else []
        return bool(outputs) and not (self.watchdog_ms and any(w.control & _WATCHDOG for w in outputs))

    @property
    def has_coe(self) -> bool:
        """Can objects be read and written?"""
        return self.sii.has_coe and bool(self.mailboxes)


# --- objects ----------------------------------------------------------------------------------------------------------


def write_sdo(slave: Slave, sdo: Sdo) -> None:
    """Write an object; raises `RefusedError`, with the abort code in words, or `NoAnswerError`."""
    try:
        slave.device.sdo_write(sdo.index, sdo.subindex, sdo.data, sdo.complete)
    except Exception as error:
        raise sdo_error(slave, f"SDO {sdo.place} = {sdo.value}", error) from error


def sdo_error(slave: Slave, what: str, error: Exception) -> DeviceError:
    """What went wrong with its mailbox, as one sentence."""
    if isinstance(error, DeviceError):
        return error
    code = getattr(error, "abort_code", None)
    if code is not None:
        return RefusedError(f"{slave.label} refuses {what}: {abort_in_words(code & 0xFFFFFFFF)}", code & 0xFFFFFFFF)
    words = getattr(error, "desc", "") or told(error)
    return NoAnswerError(f"{slave.label}: {what}: {words}")


def assign(slave: Slave, pdos: tuple[PdoChoice, ...]) -> None:
    """Have these PDOs exchanged instead of the slave's own choice; of a direction without one, that stays.

    Nothing is written where it is so already: some slaves refuse to be told what they do anyway. A PDO that is changed is assigned
    to nothing meanwhile, as ETG.1000.6, clause 5.6.7.4, wants it.
    """
    for is_output, index in ((True, _OUTPUTS_ASSIGNED), (False, _INPUTS_ASSIGNED)):
        chosen = {pdo.index: pdo for pdo in pdos if pdo.is_output == is_output}
        mapped = {i: [e[0] << 16 | e[1] << 8 | e[2] for e in pdo.entries] for i, pdo in chosen.items() if pdo.entries}
        changed = {i: numbers for i, numbers in mapped.items() if _present(slave, i) != numbers}
        if not chosen or (not changed and _present(slave, index) == list(chosen)):
            continue
        if changed:
            write_sdo(slave, Sdo(index, 0, 0, "uint8"))
        for i, numbers in changed.items():
            _put(slave, i, numbers, "uint32")
        _put(slave, index, list(chosen), "uint16")


def _present(slave: Slave, index: int) -> list[int] | None:
    """The list of numbers in an object; None: there is none, or it cannot be read."""
    try:
        count = slave.device.sdo_read(index, 0)
        return [int.from_bytes(slave.device.sdo_read(index, i + 1), "little") for i in range(count[0])]
    except Exception:  # what is wrong the slave says when it is written
        return None


def _put(slave: Slave, index: int, numbers: list[int], kind: str) -> None:
    """A list of numbers into an object whose subindex 0 is their count: it is 0 meanwhile."""
    write_sdo(slave, Sdo(index, 0, 0, "uint8"))
    for i, number in enumerate(numbers):
        write_sdo(slave, Sdo(index, i + 1, number, kind))
    write_sdo(slave, Sdo(index, 0, len(numbers), "uint8"))


def look_at_entries(slave: Slave) -> None:
    """What it exchanges, now that PDOs are assigned."""
    if not slave.has_coe:
        return
    try:
        assigned = read_assigned(slave.device, slave.sii)
    except Exception as error:
        raise sdo_error(slave, "what it exchanges cannot be read", error) from error
    slave.found = replace(found_by_sii(slave.found.position, slave.sii, assigned), has_lrw=slave.found.has_lrw)


def look_at_names(slave: Slave) -> None:
    """What its object dictionary calls them: for tags that mean an entry by its name. It takes a while, and holds the interpreter."""
    if not slave.has_coe:
        return
    try:
        known = known_by(slave.device.od, slave.found.entries)
        assigned = read_assigned(slave.device, slave.sii)
    except Exception as error:
        raise sdo_error(slave, "what it calls its entries cannot be read", error) from error
    slave.found = replace(found_by_sii(slave.found.position, slave.sii, assigned, known), has_lrw=slave.found.has_lrw)


# --- the way ----------------------------------------------------------------------------------------------------------


def to_preop(wire: Wire, slave: Slave) -> Steps:
    """From whatever state: with its mailbox as it was, in PRE-OP, and start-up SDOs written."""
    yield from go(wire, slave.node, AlState.INIT, slave.label)
    wire.write(slave.node, Register.FMMU, bytes(3 * FMMU_BYTES))
    wire.write(slave.node, Register.SYNC_MANAGER, slave.mailboxes.ljust(4 * SYNC_MANAGER_BYTES, b"\0"))
    yield from go(wire, slave.node, AlState.PREOP, slave.label, "its mailbox is set as its EEPROM says")


def set_up(wire: Wire, slave: Slave) -> Steps:
    """In PRE-OP: start-up SDOs, PDO assignment."""
    option = slave.option
    if option and (option.sdos or option.pdos) and not slave.has_coe:
        raise RefusedError(f"{slave.label} has no CoE: it takes neither SDOs nor PDO assignments", 0)
    for sdo in (*(option.sdos if option else ()), *slave.more_sdos):
        write_sdo(slave, sdo)
        yield
    if option and option.pdos:
        assign(slave, option.pdos)
        yield


def to_safeop(wire: Wire, slave: Slave) -> Steps:
    """From PRE-OP, set up and laid out: sync managers, FMMUs, watchdog; in SAFE-OP."""
    layout = slave.layout
    assert layout is not None
    for window in layout.windows:
        at = Register.SYNC_MANAGER + SYNC_MANAGER_BYTES * window.number
        wire.write(slave.node, at, window.register)
    for i, fmmu in enumerate(layout.fmmus):
        wire.write(slave.node, Register.FMMU + FMMU_BYTES * i, fmmu.register)
    _set_watchdog(wire, slave)
    if slave.clock is not None:
        begin_pulse(wire, slave.node, slave.clock)
        yield
    yield from go(wire, slave.node, AlState.SAFEOP, slave.label, f"we map {layout.in_words}")


def _set_watchdog(wire: Wire, slave: Slave) -> None:
    """As wanted, or as it comes; what is set in the end is read back."""
    wanted = slave.option.watchdog_ms if slave.option else None
    if wanted is not None:
        wire.write(slave.node, Register.WATCHDOG_DIVIDER, struct.pack("<H", _DIVIDER_OF_RESET))
        wire.write(
            slave.node, Register.WATCHDOG_PROCESS_DATA, struct.pack("<H", round(wanted * 1e6 / WATCHDOG_TICK_NS))
        )
    slave.watchdog_ms = watchdog_ms(wire, slave.node)


def watchdog_ms(wire: Wire, node: Node) -> float:
    """So long without outputs, and this slave switches them off; 0: never."""
    divider = wire.try_read(node, Register.WATCHDOG_DIVIDER, 2)
    ticks = wire.try_read(node, Register.WATCHDOG_PROCESS_DATA, 2)
    if divider is None or ticks is None:
        return 0.0
    tick_ns = _DIVIDER_NS * (int.from_bytes(divider, "little") + 2)
    return int.from_bytes(ticks, "little") * tick_ns / 1e6


def mailboxes_of(wire: Wire, node: Node, sii: Sii) -> bytes:
    """What sync managers 0 and 1 are programmed with, if they are mailboxes."""
    if not sii.mailbox_protocols:
        return b""
    data = wire.read(node, Register.SYNC_MANAGER, 2 * SYNC_MANAGER_BYTES)
    return data if any(data[2:4]) else _from_eeprom(sii)


def _from_eeprom(sii: Sii) -> bytes:
    managers = [m for m in sii.sync_managers[:2] if m.kind in (MAILBOX_OUT, MAILBOX_IN)]
    return b"".join(struct.pack("<HHBBBB", m.start, m.length, m.control, 0, 1, 0) for m in managers)


def within(steps: Steps, seconds: float, label: str) -> Iterator[None]:
    """The same, but no longer."""
    until_s = time.monotonic() + seconds
    for _ in steps:
        if time.monotonic() > until_s:
            raise NoAnswerError(f"{label} takes too long")
        yield
