"""The slave information interface: what an EEPROM holds, as bytes. After ETG.2010 (SII specification).

word 0x00  ESC configuration: PDI control, PDI configuration, SYNC pulse, alias; checksum of these in word 7
     0x08  identity: vendor, product, revision, serial number
     0x14  mailboxes: bootstrap (0x14 .. 0x17), standard (0x18 .. 0x1B), protocols (0x1C)
     0x3E  size in KiBit - 1, version
     0x40  categories, each: type, size in words, data; 0xFFFF ends them
             10 strings, 30 general, 40 FMMU, 41 sync managers, 50 TxPDO, 51 RxPDO, 60 distributed clock
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag

from fieldbus.ethercat.slaves.sii import crc8

_FIRST_CATEGORY = 0x80
_LEAST_BYTES = 2048
_VERSION = 1
_GENERAL = struct.Struct("<BBBBBBBBBBBBhBBHH12x")
_SYNC_MANAGER = struct.Struct("<HHBBBB")
_PDO, _ENTRY = struct.Struct("<HBBBBH"), struct.Struct("<HBBBBH")
_CLOCK = struct.Struct("<IIIhHhBB4x")


class Category(IntEnum):
    """ETG.2010, table 4: types of categories."""

    STRINGS = 10
    GENERAL = 30
    FMMU = 40
    SYNC_MANAGERS = 41
    TX_PDO = 50
    RX_PDO = 51
    CLOCK = 60
    END = 0xFFFF


class Protocol(IntFlag):
    """ETG.2010, table 3, word 0x1C: mailbox protocols that the slave talks."""

    AOE = 0x01
    EOE = 0x02
    COE = 0x04
    FOE = 0x08
    SOE = 0x10
    VOE = 0x20


class Details(IntFlag):
    """ETG.2010, table 7, byte 5: what the slave's CoE can do."""

    SDO = 0x01
    SDO_INFO = 0x02
    PDO_ASSIGN = 0x04
    PDO_CONFIGURATION = 0x08
    UPLOAD_AT_STARTUP = 0x10
    COMPLETE_ACCESS = 0x20


class FmmuUse(IntEnum):
    """ETG.2010, table 9: what an FMMU is for."""

    UNUSED = 0
    OUTPUTS = 1
    INPUTS = 2
    MAILBOX_STATE = 3


class Purpose(IntEnum):
    """ETG.2010, table 11, and object 0x1C00 (ETG.1000.6, 5.6.7.4.14): what a sync manager is for."""

    UNUSED = 0
    MAILBOX_OUT = 1
    MAILBOX_IN = 2
    OUTPUTS = 3
    INPUTS = 4


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a slave is: words 0x08 .. 0x0F and object 0x1018. The default vendor is nobody's."""

    product: int
    revision: int = 1
    serial: int = 0
    vendor: int = 0x00FABE00


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where a mailbox lies in the ESC's memory, and how many bytes it takes."""

    start: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Manager:
    """A sync manager as the EEPROM proposes it: control is register 0x0804, activate 0x0806 (ETG.2010, table 11)."""

    start: int
    nbytes: int
    control: int
    purpose: Purpose
    activate: int = 1


@dataclass(frozen=True, slots=True)
class SiiEntry:
    """An entry of a PDO; index 0 is a gap. `type` is CoE's number of the data type."""

    index: int
    subindex: int
    name: str
    type: int
    bits: int


@dataclass(frozen=True, slots=True)
class SiiPdo:
    """A PDO of the EEPROM; `manager` 0xFF: not assigned by default."""

    index: int
    name: str
    entries: tuple[SiiEntry, ...]
    manager: int
    flags: int = 0


@dataclass(frozen=True, slots=True)
class ClockMode:
    """A way to use the distributed clock: `activate` goes to registers 0x0980/0x0981 (ETG.2010, table 15)."""

    name: str
    activate: int
    cycle_ns: int = 0
    shift_ns: int = 0


@dataclass(frozen=True, slots=True)
class Sii:
    """All that an EEPROM says. `alias` is the configured station alias, `current_ma` what the slave takes from the bus."""

    identity: Identity
    name: str
    order_code: str = ""
    group: str = ""
    alias: int = 0
    mailboxes: tuple[Mailbox, Mailbox] | None = None
    """(from the master, to the master)."""
    protocols: int = 0
    """Of `Protocol`."""
    details: int = 0
    """Of `Details`."""
    has_lrw: bool = True
    current_ma: int = 100
    fmmus: tuple[FmmuUse, ...] = ()
    managers: tuple[Manager, ...] = ()
    tx_pdos: tuple[SiiPdo, ...] = ()
    rx_pdos: tuple[SiiPdo, ...] = ()
    clock_modes: tuple[ClockMode, ...] = ()
    pdi_control: int = 0x0005
    strings: "Strings" = field(default_factory=lambda: Strings(), compare=False)

    def image(self) -> bytes:
        """The EEPROM's bytes, padded with 0xFF to a whole KiBit and at least 2 KiByte."""
        sii = replace(self, strings=Strings([self.name]))
        categories = list(_categories(sii))
        categories.insert(0, (Category.STRINGS, sii.strings.data()))
        body = b"".join(_category(type_, data) for type_, data in categories)
        body += struct.pack("<H", Category.END)
        nbytes = max(_LEAST_BYTES, -(-(_FIRST_CATEGORY + len(body)) // 128) * 128)
        return (_head(self, nbytes) + body).ljust(nbytes, b"\xff")


class Strings:
    """The strings of an image: each once, numbered from 1; 0 is none."""

    def __init__(self, first: Iterable[str] = ()) -> None:
        self._numbers: dict[str, int] = {}
        for text in first:
            self.number(text)

    def number(self, text: str) -> int:
        """The number of `text`, which has at most 255 bytes; 0 for an empty one."""
        if not text:
            return 0
        return self._numbers.setdefault(text, len(self._numbers) + 1)

    def data(self) -> bytes:
        """ETG.2010, table 6: how many, then each with its length before it."""
        encoded = [text.encode("utf-8")[:255] for text in self._numbers]
        return bytes([len(encoded)]) + b"".join(bytes([len(text)]) + text for text in encoded)


def _head(sii: Sii, nbytes: int) -> bytes:
    configuration = struct.pack("<HHHHHHH", sii.pdi_control, 0, 0, 0, sii.alias, 0, 0)
    identity = sii.identity
    head = configuration + struct.pack("<H", crc8(configuration))
    head += struct.pack("<IIII", identity.vendor, identity.product, identity.revision, identity.serial)
    head = head.ljust(0x30, b"\0")
    out, back = sii.mailboxes or (Mailbox(0, 0), Mailbox(0, 0))
    head += struct.pack("<HHHHH", out.start, out.nbytes, back.start, back.nbytes, sii.protocols)
    return head.ljust(0x7C, b"\0") + struct.pack("<HH", nbytes * 8 // 1024 - 1, _VERSION)


def _category(type_: int, data: bytes) -> bytes:
    padded = data + b"\0" * (len(data) % 2)
    return struct.pack("<HH", type_, len(padded) // 2) + padded


def _categories(sii: Sii) -> Iterable[tuple[int, bytes]]:
    yield Category.GENERAL, _general(sii)
    if sii.fmmus:
        yield Category.FMMU, bytes(sii.fmmus) + b"\xff" * (len(sii.fmmus) % 2)
    if sii.managers:
        rows = [_SYNC_MANAGER.pack(m.start, m.nbytes, m.control, 0, m.activate, m.purpose) for m in sii.managers]
        yield Category.SYNC_MANAGERS, b"".join(rows)
    for type_, pdos in ((Category.TX_PDO, sii.tx_pdos), (Category.RX_PDO, sii.rx_pdos)):
        if pdos:
            yield type_, _pdos(pdos, sii.strings)
    if sii.clock_modes:
        number = sii.strings.number
        modes = (_CLOCK.pack(m.cycle_ns, m.shift_ns, 0, 0, m.activate, 0, number(m.name), 0) for m in sii.clock_modes)
        yield Category.CLOCK, b"".join(modes)


def _general(sii: Sii) -> bytes:
    number = sii.strings.number
    group, order, name = number(sii.group), number(sii.order_code), number(sii.name)
    flags = 0 if sii.has_lrw else 0x02
    return _GENERAL.pack(
        group, 0, order, name, 0, sii.details, 0, 0, 0, 0, 0, flags, sii.current_ma, group, 0, 0x0033, 0
    )


def _pdos(pdos: Sequence[SiiPdo], strings: Strings) -> bytes:
    data = b""
    for pdo in pdos:
        data += _PDO.pack(pdo.index, len(pdo.entries), pdo.manager, 0, strings.number(pdo.name), pdo.flags)
        for entry in pdo.entries:
            data += _ENTRY.pack(entry.index, entry.subindex, strings.number(entry.name), entry.type, entry.bits, 0)
    return data
