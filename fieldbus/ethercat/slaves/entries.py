"""The PDO entries of a slave: what it exchanges in each cycle, from its EEPROM and through CoE.

    sync manager 2: outputs          0x1C12 -> 0x1600 -> 0x6040:00, 16 bits | 0x607A:00, 32 bits
    sync manager 3: inputs           0x1C13 -> 0x1A00 -> 0x6041:00, 16 bits | 0x0000:00, 8 bits | 0x6064:00, 32 bits

Entries lie one after the other without a gap; `0x0000:00` is one. Each sync manager begins at a byte of its own.
Sources: ETG.1000.6, clause 5.6.7.4 (objects of the communication area); ETG.2010.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

from fieldbus.errors import GarbageError
from fieldbus.ethercat.slaves.datatypes import refusal_of, type_of
from fieldbus.ethercat.slaves.sii import INPUTS, MOST_ENTRIES, OUTPUTS, Sii, SiiEntry, SiiPdo
from rt_native.text import visible

MANAGER_KINDS: Final = 0x1C00
ASSIGNMENT: Final = 0x1C10
"""With the number of a sync manager: the object that lists its PDOs."""
IDENTITY: Final = 0x1018
MOST_MANAGERS: Final = 32
MOST_IN_A_LIST: Final = 255
_MOST_REFUSALS: Final = 3
_NOT_THERE: Final = frozenset({0x06020000, 0x06090011, 0x06010000, 0x06010001})
"""Abort codes that mean: this slave has no such object (ETG.1000.6, table 41)."""

Known = Mapping[tuple[int, int], tuple[str, int]]
"""(index, subindex) -> (name, number of its data type; 0: not known)."""


class SdoReader(Protocol):
    """What reads objects through CoE: `coe.Coe` is one. An error of its own with an `abort_code` is a refusal."""

    def sdo_read(self, index: int, subindex: int, /) -> bytes:
        """The value of an object."""
        ...


@dataclass(frozen=True, slots=True)
class PdoEntry:
    """A value that a slave exchanges in each cycle.

    Attributes:
        direction: seen from the controller: "in" is what the slave sends.
        pdo: index of the PDO that it is in.
        bits: how long it is.
        name: unlike that of any other entry of the slave; of letters, digits and "_", so that a tag can be called so.
        type: of a tag; a field of 2 to 7 bits is as many bools (`count`). Empty: no tag can have it, `refusal` says why.
        bit_offset: from the beginning of what the slave exchanges in that direction.
        sync_manager: that exchanges it.
        label: as the slave calls it, with its PDO's name.
        data_type: its number in CoE; 0: nobody said, so its bits are taken for those of a number without sign.
    """

    direction: Literal["in", "out"]
    pdo: int
    index: int
    subindex: int
    bits: int
    name: str
    type: str
    bit_offset: int
    sync_manager: int = 0
    label: str = ""
    refusal: str = ""
    data_type: int = 0

    @property
    def is_gap(self) -> bool:
        """Does it only fill?"""
        return self.index == 0

    @property
    def count(self) -> int:
        """How many values a tag for it has."""
        return self.bits if self.type == "bool" else 1

    @property
    def place(self) -> str:
        """`0x6041:00`."""
        return f"0x{self.index:04X}:{self.subindex:02X}"


@dataclass(frozen=True, slots=True)
class SlaveFound:
    """A slave on the bus, as it was found.

    Attributes:
        position: on the bus, counted from 0.
        name: its order number, or whatever its EEPROM calls it.
        entries: gaps included, each direction in the order in which they lie.
        state: AL state, as in register 0x0130: 1 INIT, 2 PRE-OP, 4 SAFE-OP, 8 OP; with 0x10: and an error.
        al_status: register 0x0134.
        title: name for people.
        doubts: what the slave says of itself that cannot be so.
    """

    position: int
    name: str
    vendor: int
    product: int
    revision: int
    serial: int = 0
    alias: int = 0
    entries: tuple[PdoEntry, ...] = ()
    has_coe: bool = False
    has_dc: bool = False
    has_lrw: bool = True
    state: int = 0
    al_status: int = 0
    title: str = ""
    doubts: tuple[str, ...] = ()

    def entry(self, wanted: str) -> PdoEntry | None:
        """The entry of a name, or of a place as `0x6041:00` has it, in whichever letters; None: there is none."""
        place = place_of(wanted)
        for entry in self.entries:
            if not entry.is_gap and (place == (entry.index, entry.subindex) if place else entry.name == wanted):
                return entry
        return None

    def nbytes(self, direction: Literal["in", "out"]) -> int:
        """How many bytes it exchanges in a direction."""
        return max((_bytes(e.bit_offset + e.bits) for e in self.entries if e.direction == direction), default=0)


def found_by_sii(
    position: int, sii: Sii, assigned: Sequence[SiiPdo] | None = None, known: Known | None = None
) -> SlaveFound:
    """A slave, whose PDOs are those that its EEPROM assigns, or `assigned` (`read_assigned`), which its CoE says."""
    return SlaveFound(
        position=position,
        name=sii.order or sii.name or f"0x{sii.product:08X}",
        vendor=sii.vendor,
        product=sii.product,
        revision=sii.revision,
        serial=sii.serial,
        alias=sii.alias,
        entries=entries_of(sii.pdos if assigned is None else assigned, {**_known(sii.pdos), **(known or {})}),
        has_coe=sii.has_coe,
        has_dc=sii.has_dc,
        has_lrw=sii.has_lrw,
        title=sii.name or sii.order,
        doubts=sii.doubts,
    )


def _known(pdos: Sequence[SiiPdo]) -> dict[tuple[int, int], tuple[str, int]]:
    """Names and types that an EEPROM has, of entries and, with subindex -1, of PDOs."""
    entries = {(e.index, e.subindex): (e.name, e.data_type) for pdo in pdos for e in pdo.entries if e.index}
    return {**{(pdo.index, -1): (pdo.name, 0) for pdo in pdos if pdo.name}, **entries}


def entries_of(pdos: Sequence[SiiPdo], known: Known) -> tuple[PdoEntry, ...]:
    """The entries of the PDOs that are assigned to a sync manager, outputs first; their names are made unique."""
    found: list[PdoEntry] = []
    for is_output in (True, False):
        at = 0
        mine = [pdo for pdo in pdos if pdo.is_output == is_output and pdo.sync_manager is not None]
        for manager in sorted({pdo.sync_manager for pdo in mine if pdo.sync_manager is not None}):
            at = 8 * _bytes(at)
            for pdo in (one for one in mine if one.sync_manager == manager):
                for entry in pdo.entries:
                    found.append(_entry(pdo, entry, manager, at, known))
                    at += entry.bits
    return tuple(_named(found, known))


def _entry(pdo: SiiPdo, entry: SiiEntry, manager: int, at: int, known: Known) -> PdoEntry:
    name, data_type = known.get((entry.index, entry.subindex), ("", 0))
    data_type = entry.data_type or data_type
    refusal = refusal_of(data_type, entry.bits, at) if entry.index else "it only fills"
    return PdoEntry(
        direction="out" if pdo.is_output else "in",
        pdo=pdo.index,
        index=entry.index,
        subindex=entry.subindex,
        bits=entry.bits,
        name="",
        type="" if refusal else type_of(data_type, entry.bits),
        bit_offset=at,
        sync_manager=manager,
        label=entry.name or name,
        refusal=refusal,
        data_type=data_type,
    )


def _named(entries: Sequence[PdoEntry], known: Known) -> Iterator[PdoEntry]:
    """Each with a name that no other has: its own; with its PDO's before it; with its place behind it; with a number."""
    labels = [_words(e.label) or f"x{e.index:04X}_{e.subindex:02X}" for e in entries]
    pdos = [_words(known.get((e.pdo, -1), ("", 0))[0]) for e in entries]
    full = [
        f"{pdo}_{name}" if pdo and not name.startswith(pdo) else name for pdo, name in zip(pdos, labels, strict=True)
    ]
    placed = [f"{name}_{e.index:04X}_{e.subindex:02X}" for name, e in zip(full, entries, strict=True)]
    ladder = (labels, full, placed)
    counts = [Counter(name for name, e in zip(names, entries, strict=True) if not e.is_gap) for names in ladder]
    taken: set[str] = set()
    for i, entry in enumerate(entries):
        if entry.is_gap:
            yield entry
            continue
        name = next((names[i] for names, count in zip(ladder, counts, strict=True) if count[names[i]] == 1), placed[i])
        number = 2
        unique = name
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique)
        label = " ".join(dict.fromkeys(filter(None, (known.get((entry.pdo, -1), ("", 0))[0], entry.label))))
        yield replace(entry, name=unique, label=label)


def _words(text: str) -> str:
    """A name of letters, digits and "_"; empty: nothing is left of it."""
    name = re.sub(r"_{2,}", "_", re.sub(r"[^A-Za-z0-9]+", "_", text)).strip("_")
    return f"_{name}" if name[:1].isdigit() else name


def place_of(text: str) -> tuple[int, int] | None:
    """(index, subindex) of `0x6041:00`, both hexadecimal; None: it is no such place."""
    found = re.fullmatch(r"0[xX]([0-9A-Fa-f]{1,4}):(?:0[xX])?([0-9A-Fa-f]{1,2})", text)
    return (int(found[1], 16), int(found[2], 16)) if found else None


def _bytes(bits: int) -> int:
    return (bits + 7) // 8


def read_assigned(reader: SdoReader, sii: Sii) -> tuple[SiiPdo, ...] | None:
    """The PDOs that a slave has assigned now; None: it does not say so through CoE, so its EEPROM counts.

    Raises:
        GarbageError: what it says cannot be so.
        Exception: the reader's own, where reading failed otherwise than by "there is no such object".
    """
    managers = _managers(reader, sii)
    found: list[SiiPdo] = []
    is_said = False
    left = MOST_ENTRIES
    for manager, is_output in managers:
        count = _count(reader, ASSIGNMENT + manager)
        is_said = is_said or count is not None
        for i in range(count or 0):
            index = _number(reader, ASSIGNMENT + manager, i + 1)
            if index is None:
                raise GarbageError(f"0x{ASSIGNMENT + manager:04X} is said to have {count} PDOs, but not number {i + 1}")
            entries = _mapping(reader, index) if index else ()
            left -= len(entries)
            if left < 0:
                raise GarbageError(f"more than {MOST_ENTRIES} PDO entries")
            found.append(SiiPdo(index, is_output, manager, "", entries))
    return tuple(found) if is_said else None


def _managers(reader: SdoReader, sii: Sii) -> list[tuple[int, bool]]:
    """(number, is it for outputs?) of the sync managers with process data: as CoE says, else as the EEPROM does."""
    kinds = {i: manager.kind for i, manager in enumerate(sii.sync_managers)}
    count = _count(reader, MANAGER_KINDS)
    for i in range(min(count or 0, MOST_MANAGERS)):
        kind = _number(reader, MANAGER_KINDS, i + 1)
        if kind is not None:
            kinds[i] = kind
    return [(i, kind == OUTPUTS) for i, kind in sorted(kinds.items()) if kind in (OUTPUTS, INPUTS)]


def _mapping(reader: SdoReader, pdo: int) -> tuple[SiiEntry, ...]:
    """What is in a PDO."""
    count = _count(reader, pdo) or 0
    words = [_number(reader, pdo, i + 1) for i in range(count)]
    if None in words:
        raise GarbageError(f"PDO 0x{pdo:04X} is said to have {count} entries, but not number {words.index(None) + 1}")
    return tuple(SiiEntry(word >> 16, word >> 8 & 0xFF, word & 0xFF) for word in words if word is not None)


def read_identity(reader: SdoReader) -> tuple[int | None, int | None, int | None, int | None]:
    """Vendor, product, revision and serial number, as CoE says; None: not said."""
    one, two, three, four = (_number(reader, IDENTITY, i) for i in (1, 2, 3, 4))
    return one, two, three, four


def _count(reader: SdoReader, index: int) -> int | None:
    """How many values a list has; None: there is no such object."""
    count = _number(reader, index, 0)
    if count is not None and count > MOST_IN_A_LIST:
        raise GarbageError(f"0x{index:04X} is said to have {count} values, where {MOST_IN_A_LIST} are the most")
    return count


def _number(reader: SdoReader, index: int, subindex: int) -> int | None:
    """An object's value; None: there is no such object."""
    data = read_or_none(reader, index, subindex)
    return None if data is None else int.from_bytes(data[:8], "little")


def read_or_none(reader: SdoReader, index: int, subindex: int) -> bytes | None:
    """An object's value; None: this slave has no such object."""
    try:
        return reader.sdo_read(index, subindex)
    except Exception as error:
        if (getattr(error, "abort_code", None) or 0) & 0xFFFFFFFF in _NOT_THERE:
            return None
        raise


def known_by(dictionary: Sequence[Any], wanted: Sequence[PdoEntry]) -> dict[tuple[int, int], tuple[str, int]]:
    """Names and data types of entries and their PDOs, from an object dictionary as `coe.Coe.od` has it.

    It is asked for the wanted objects only, one message each, besides their list. What it refuses to tell is left out.
    """
    indexes = {entry.index for entry in wanted if entry.index} | {entry.pdo for entry in wanted}
    found: dict[tuple[int, int], tuple[str, int]] = {}
    refused = 0
    for thing in dictionary:
        if thing.index not in indexes:
            continue
        try:
            found |= _described(thing)
        except Exception:  # the reader's own; names are not worth a bus that does not come up
            refused += 1
            if refused == _MOST_REFUSALS:
                break
    return found


def _described(thing: Any) -> dict[tuple[int, int], tuple[str, int]]:
    title = _text(thing.name)
    found = {(thing.index, -1): (title, 0)} if title else {}
    found[thing.index, 0] = (title, thing.data_type)
    for subindex, entry in enumerate(thing.entries):
        label = _text(entry.name)
        own = label if not title or label.startswith(title) else f"{title} {label}"
        found[thing.index, subindex] = (own if label else title, entry.data_type)
    return found


def _text(name: bytes | str) -> str:
    return visible((name.decode("utf-8", "replace") if isinstance(name, bytes) else name).split("\0")[0].strip())
