"""The EEPROM of a slave (slave information interface) -> what it says of itself. Pure; nothing in it is trusted.

    word  0..7   configuration of the ESC; 4: station alias; 7: a checksum (CRC-8) over 0..6
    word  8..15  vendor, product, revision, serial number, each of 32 bits
    word 20..28  mailbox: where, how long, which protocols
    word 64..    categories: type u16, words u16, data | ... | 0xFFFF

Source: ETG.1000.6, clause 5.4 (tables 16 to 27), and ETG.2010. Numbers have their low byte first.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fieldbus.errors import GarbageError
from rt_native.text import visible

FIXED_BYTES: Final = 128
"""So long is what lies before the categories."""
MOST_BYTES: Final = 1 << 16
"""So much of an EEPROM is read, if it has no end mark before."""
MOST_ENTRIES: Final = 4096
"""So many PDO entries are read of one slave; an ESC has 64 KB for all."""
END: Final = 0xFFFF
STRINGS, GENERAL, FMMUS, SYNC_MANAGERS, TX_PDOS, RX_PDOS, CLOCK = 10, 30, 40, 41, 50, 51, 60
"""Types of categories."""
MAILBOX_OUT, MAILBOX_IN, OUTPUTS, INPUTS = 1, 2, 3, 4
"""What a sync manager is for; the same numbers as in the object 0x1C00."""
COE: Final = 0x04
"""The bit of CoE among the mailbox protocols."""
NO_SYNC_MANAGER: Final = 0xFF
"""A PDO with this one is not assigned until somebody does."""
_NO_LRW: Final = 0x02
_CHECKED: Final = 14


@dataclass(frozen=True, slots=True)
class SiiEntry:
    """A value in a PDO. `data_type`: as in CoE; 0: not said."""

    index: int
    subindex: int
    bits: int
    name: str = ""
    data_type: int = 0


@dataclass(frozen=True, slots=True)
class SiiPdo:
    """A PDO. `sync_manager`: the one that it is assigned to as the slave comes; None: to none."""

    index: int
    is_output: bool
    sync_manager: int | None
    name: str
    entries: tuple[SiiEntry, ...]


@dataclass(frozen=True, slots=True)
class SyncManager:
    """A window into a slave's memory. `kind`: what for; 0: not said."""

    start: int
    length: int
    control: int
    is_enabled: bool
    kind: int


@dataclass(frozen=True, slots=True)
class Sii:
    """What an EEPROM says. `doubts`: what in it cannot be so, for people."""

    alias: int
    vendor: int
    product: int
    revision: int
    serial: int
    mailbox_protocols: int = 0
    order: str = ""
    name: str = ""
    group: str = ""
    coe_details: int = 0
    has_lrw: bool = True
    has_dc: bool = False
    fmmus: tuple[int, ...] = ()
    sync_managers: tuple[SyncManager, ...] = ()
    pdos: tuple[SiiPdo, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def has_coe(self) -> bool:
        """Has it a mailbox with CoE?"""
        return bool(self.mailbox_protocols & COE)


@dataclass(slots=True)
class _Reader:
    """What is gathered while categories are read."""

    strings: tuple[str, ...] = ()
    doubts: list[str] = field(default_factory=list)
    left: int = MOST_ENTRIES

    def string(self, number: int) -> str:
        """A string by its number, counted from 1; 0: none."""
        if number > len(self.strings):
            self._doubt(f"string {number} is not among its {len(self.strings)}")
            return ""
        return self.strings[number - 1] if number else ""

    def _doubt(self, text: str) -> None:
        if text not in self.doubts and len(self.doubts) < 8:
            self.doubts.append(text)


def parse_sii(image: bytes) -> Sii:
    """What an EEPROM says, as far as it has been read.

    Args:
        image: from byte 0 on; what lies behind the end mark is not looked at, and categories may be cut off.

    Raises:
        GarbageError: it is too short to have an identity, or was never written.
    """
    if len(image) < FIXED_BYTES:
        raise GarbageError(f"EEPROM of {len(image)} bytes, where {FIXED_BYTES} are the least")
    if not any(image[16:28]) or image[16:28] == b"\xff" * 12:
        raise GarbageError("EEPROM without an identity: vendor, product and revision were never written")
    reader = _Reader()
    if crc8(image[:_CHECKED]) != image[_CHECKED]:
        reader.doubts.append(f"checksum {image[_CHECKED]:#04x}, where {crc8(image[:_CHECKED]):#04x} is right")
    found = dict(_categories(image, reader))
    reader.strings = tuple(_strings(found.get(STRINGS, b"")))
    vendor, product, revision, serial = struct.unpack_from("<4I", image, 16)
    general = found.get(GENERAL, b"").ljust(16, b"\0")
    return Sii(
        alias=int.from_bytes(image[8:10], "little"),
        vendor=vendor,
        product=product,
        revision=revision,
        serial=serial,
        mailbox_protocols=int.from_bytes(image[0x38:0x3A], "little"),
        group=reader.string(general[0]),
        order=reader.string(general[2]),
        name=reader.string(general[3]),
        coe_details=general[5],
        has_lrw=not general[11] & _NO_LRW,
        has_dc=CLOCK in found,
        fmmus=tuple(found.get(FMMUS, b"")),
        sync_managers=tuple(_sync_managers(found.get(SYNC_MANAGERS, b""))),
        pdos=(*_pdos(found.get(RX_PDOS, b""), True, reader), *_pdos(found.get(TX_PDOS, b""), False, reader)),
        doubts=tuple(reader.doubts),
    )


def crc8(data: bytes) -> int:
    """The checksum of the configuration: x^8 + x^2 + x + 1, from 0xFF on (ETG.1000.6, table 16)."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ (0x07 if crc & 0x80 else 0)
        crc &= 0xFF
    return crc


def words_needed(image: bytes) -> int:
    """How many words of an EEPROM have to be read to go on, given its first ones; no more than there are: all is read.

    For whoever reads through the registers of an ESC, where a word takes long: until the end mark and not further.
    """
    at = FIXED_BYTES
    while at + 2 <= len(image):
        if int.from_bytes(image[at : at + 2], "little") == END or at > MOST_BYTES:
            return at // 2 + 1
        if at + 4 > len(image):
            return at // 2 + 2
        at += 4 + 2 * int.from_bytes(image[at + 2 : at + 4], "little")
    return at // 2 + 1


def _categories(image: bytes, reader: _Reader) -> Iterator[tuple[int, bytes]]:
    """Type and data of each; several of one type are one after the other."""
    found: dict[int, bytes] = {}
    at = FIXED_BYTES
    while (head := image[at : at + 4])[:2] != b"\xff\xff":
        if len(head) < 4:
            reader.doubts.append("its categories have no end mark")
            break
        kind, words = struct.unpack("<HH", head)
        data = image[at + 4 : at + 4 + 2 * words]
        if len(data) < 2 * words:
            reader.doubts.append(
                f"category {kind} at word {at // 2} is said to have {words} words, but the EEPROM ends"
            )
        found[kind] = found.get(kind, b"") + data
        at += 4 + 2 * words
    yield from found.items()


def _strings(data: bytes) -> Iterator[str]:
    at = 1
    for _ in range(data[0] if data else 0):
        if at >= len(data):
            return
        text = data[at + 1 : at + 1 + data[at]]
        yield visible(text.split(b"\0")[0].decode("utf-8", "replace").strip())
        at += 1 + data[at]


def _sync_managers(data: bytes) -> Iterator[SyncManager]:
    for at in range(0, len(data) - 7, 8):
        start, length, control, _, enable, kind = struct.unpack_from("<HHBBBB", data, at)
        yield SyncManager(start, length, control, bool(enable & 1), kind)


def _pdos(data: bytes, is_output: bool, reader: _Reader) -> Iterator[SiiPdo]:
    at = 0
    while at + 8 <= len(data) and (index := int.from_bytes(data[at : at + 2], "little")):
        count, manager, _, name = data[at + 2 : at + 6]
        at += 8
        fits = min(count, (len(data) - at) // 8, reader.left)
        if fits < count:
            reader.doubts.append(f"PDO 0x{index:04X} is said to have {count} entries, but {fits} are there")
        reader.left -= fits
        entries = tuple(_entry(data, at + 8 * i, reader) for i in range(fits))
        to = None if manager == NO_SYNC_MANAGER else manager
        yield SiiPdo(index, is_output, to, reader.string(name), entries)
        at += 8 * count


def _entry(data: bytes, at: int, reader: _Reader) -> SiiEntry:
    index, subindex, name, data_type, bits = struct.unpack_from("<HBBBB", data, at)
    return SiiEntry(index, subindex, bits, reader.string(name), data_type)
