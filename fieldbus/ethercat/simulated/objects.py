"""The object dictionary of a simulated slave: entries with types and rights, read and written one by one or whole.

After ETG.1000.6, 5.6 (CoE) and 5.6.7 (its objects). Errors are `Abort`, with the code that an SDO transfer ends with.

A number lies in native memory, one word (int64) each, so that a device's native step and SDO services see the same value. Text, and
what is longer than a word, is bytes here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray

from fieldbus.ethercat.protocol import AlState


class AbortCode(IntEnum):
    """Why an SDO service is refused (ETG.1000.6, table 41)."""

    TOGGLE = 0x05030000
    COMMAND = 0x05040001
    NO_MEMORY = 0x05040005
    NO_ACCESS = 0x06010000
    WRITE_ONLY = 0x06010001
    READ_ONLY = 0x06010002
    SUBINDEX_0_MUST_BE_0 = 0x06010003
    MAPPED = 0x06010006
    NO_OBJECT = 0x06020000
    NOT_MAPPABLE = 0x06040041
    PDO_TOO_LONG = 0x06040042
    LENGTH = 0x06070010
    TOO_LONG = 0x06070012
    TOO_SHORT = 0x06070013
    NO_SUBINDEX = 0x06090011
    VALUE = 0x06090030
    TOO_HIGH = 0x06090031
    TOO_LOW = 0x06090032
    GENERAL = 0x08000000
    WRONG_STATE = 0x08000022


class Abort(Exception):
    """An SDO service is refused with this code (ETG.1000.6, table 41)."""

    def __init__(self, code: AbortCode) -> None:
        super().__init__(f"0x{code:08X}")
        self.code = code


class Type(IntEnum):
    """Data types (ETG.1000.6, table 64)."""

    BOOL = 0x0001
    INT8 = 0x0002
    INT16 = 0x0003
    INT32 = 0x0004
    UINT8 = 0x0005
    UINT16 = 0x0006
    UINT32 = 0x0007
    REAL32 = 0x0008
    TEXT = 0x0009
    OCTETS = 0x000A
    DOMAIN = 0x000F
    INT64 = 0x0015
    UINT64 = 0x001B
    PDO_MAPPING = 0x0021
    IDENTITY = 0x0023
    BIT2 = 0x0031
    BIT3 = 0x0032
    BIT4 = 0x0033


BITS = {
    Type.BOOL: 1, Type.INT8: 8, Type.INT16: 16, Type.INT32: 32, Type.UINT8: 8, Type.UINT16: 16, Type.UINT32: 32,
    Type.REAL32: 32, Type.INT64: 64, Type.UINT64: 64, Type.BIT2: 2, Type.BIT3: 3, Type.BIT4: 4,
}  # fmt: skip
"""Bits of the types whose length is fixed."""
SIGNED = frozenset({Type.INT8, Type.INT16, Type.INT32, Type.INT64})
_TEXTS = frozenset({Type.TEXT, Type.OCTETS, Type.DOMAIN})


class Access(IntFlag):
    """ETG.1000.6, table 54: in which states an entry may be read and written, and whether it may be mapped."""

    READ_PREOP = 0x01
    READ_SAFEOP = 0x02
    READ_OP = 0x04
    WRITE_PREOP = 0x08
    WRITE_SAFEOP = 0x10
    WRITE_OP = 0x20
    RX = 0x40
    TX = 0x80
    BACKUP = 0x100
    SETTINGS = 0x200
    RO = 0x07
    WO = 0x38
    RW = 0x3F
    RW_PREOP = 0x0F


class Code(IntEnum):
    """ETG.1000.6, table 53: what an object is."""

    VARIABLE = 7
    ARRAY = 8
    RECORD = 9


_READ = {AlState.PREOP: Access.READ_PREOP, AlState.SAFEOP: Access.READ_SAFEOP, AlState.OP: Access.READ_OP}
_WRITE = {AlState.PREOP: Access.WRITE_PREOP, AlState.SAFEOP: Access.WRITE_SAFEOP, AlState.OP: Access.WRITE_OP}


@dataclass(slots=True)
class Entry:
    """One entry. Its value is the word `cell` of the dictionary's, or `text`."""

    name: str
    type: Type
    access: Access
    cell: int = -1
    text: bytes = b""
    most_bytes: int = 0
    """Of text: how long it may become."""
    low: int | None = None
    high: int | None = None
    default: int | None = None
    mapped_in: int = 0
    """The assignment object (0x1C12, 0x1C13) through which it is process data now; 0: none."""

    @property
    def bits(self) -> int:
        """Length in bits; of text the present one."""
        return BITS.get(self.type, 8 * max(len(self.text), self.most_bytes))

    @property
    def is_text(self) -> bool:
        """Is the value bytes, of a length that may change?"""
        return self.type in _TEXTS


@dataclass(slots=True)
class Object:
    """One object: a variable has subindex 0 only; of an array or a record subindex 0 tells the highest of the others.

    `check(subindex, value)` may raise `Abort` before a value is taken; `changed()` is told afterwards.
    """

    index: int
    name: str
    code: Code
    type: Type
    entries: dict[int, Entry] = field(default_factory=dict)
    check: Callable[[int, int], None] | None = None
    changed: Callable[[], None] | None = None
    is_list: bool = False
    """Do the entries up to subindex 0's value exist only, and may they change while that is 0 (ETG.1000.6, 5.6.7.4.6)?"""

    @property
    def most(self) -> int:
        """The highest subindex."""
        return max(self.entries)


class Dictionary:
    """The objects of a slave, and the words of their numbers."""

    def __init__(self, words: NDArray[np.int64]) -> None:
        self.words = words
        self.objects: dict[int, Object] = {}
        self._used = 0

    def add(self, item: Object, values: dict[int, int] | None = None) -> Object:
        """Take an object; numbers without a cell get the next free word. `values` by subindex."""
        for subindex, entry in sorted(item.entries.items()):
            if not entry.is_text and entry.cell < 0:
                entry.cell, self._used = self._used, self._used + 1
            if not entry.is_text:
                start = (values or {}).get(subindex, entry.default or 0)
                self.words[entry.cell] = start
        self.objects[item.index] = item
        return item

    def reserve(self, count: int) -> int:
        """The first of `count` words that a device numbers itself."""
        first, self._used = self._used, self._used + count
        return first

    def __iter__(self) -> Iterator[Object]:
        return iter(self.objects[index] for index in sorted(self.objects))

    # --- for the device itself ----------------------------------------------------------------------------------------

    def number(self, index: int, subindex: int = 0) -> int:
        """A number as it is now."""
        return int(self.words[self.objects[index].entries[subindex].cell])

    def set_number(self, index: int, value: int, subindex: int = 0) -> None:
        """Set a number, whatever its rights."""
        self.words[self.objects[index].entries[subindex].cell] = value

    def find(self, index: int, subindex: int) -> tuple[Object, Entry]:
        """The entry; `Abort` where there is none."""
        item = self.objects.get(index)
        if item is None:
            raise Abort(AbortCode.NO_OBJECT)
        if subindex not in item.entries:
            raise Abort(AbortCode.NO_SUBINDEX)
        return item, item.entries[subindex]

    # --- one entry ----------------------------------------------------------------------------------------------------

    def read(self, index: int, subindex: int, state: AlState) -> bytes:
        """An entry's bytes."""
        _, entry = self.find(index, subindex)
        _may_read(entry, state)
        return self._bytes(entry)

    def write(self, index: int, subindex: int, data: bytes, state: AlState) -> None:
        """Set an entry; nothing is set where it is refused."""
        item, entry = self.find(index, subindex)
        _may_write(entry, state)
        if item.is_list and subindex and self.number(index):
            raise Abort(AbortCode.SUBINDEX_0_MUST_BE_0)
        self._take(item, subindex, entry, data)
        if item.changed:
            item.changed()

    def _take(self, item: Object, subindex: int, entry: Entry, data: bytes) -> None:
        if entry.is_text:
            if len(data) > entry.most_bytes:
                raise Abort(AbortCode.TOO_LONG)
            entry.text = data
            return
        value = _number(entry, data)
        if item.check:
            item.check(subindex, value)
        self.words[entry.cell] = value

    def _bytes(self, entry: Entry) -> bytes:
        if entry.is_text:
            return entry.text
        mask = (1 << entry.bits) - 1
        return (int(self.words[entry.cell]) & mask).to_bytes(-(-entry.bits // 8), "little")

    # --- all entries --------------------------------------------------------------------------------------------------

    def read_all(self, index: int, first: int, state: AlState) -> bytes:
        """Complete access (ETG.1000.6, 5.6.2.1.2): subindex 0 as a word, then the others, bit behind bit.

        `first` is 0 or 1; what may not be read is zeros, and an object of which nothing may be read is refused.
        """
        item = self._whole(index, first)
        if not any(_allows(entry.access, _READ, state) for entry in item.entries.values()):
            raise Abort(AbortCode.WRITE_ONLY)
        packed, at = 0, 0
        for subindex in self._present(item):
            entry = item.entries[subindex]
            data = self._bytes(entry) if _allows(entry.access, _READ, state) else b""
            if subindex >= first:
                packed |= int.from_bytes(data, "little") << at
                at += 16 if subindex == 0 else 8 * len(entry.text) if entry.is_text else entry.bits
        return packed.to_bytes(-(-at // 8), "little")

    def write_all(self, index: int, first: int, data: bytes, state: AlState) -> None:
        """Complete access: all entries that may be written; the length must be that of all."""
        item = self._whole(index, first)
        before = {s: int(self.words[e.cell]) for s, e in item.entries.items() if not e.is_text}
        try:
            self._write_all(item, first, data, state)
        except Abort:
            for subindex, value in before.items():
                self.words[item.entries[subindex].cell] = value
            raise
        if item.changed:
            item.changed()

    def _write_all(self, item: Object, first: int, data: bytes, state: AlState) -> None:
        if not any(_allows(entry.access, _WRITE, state) for entry in item.entries.values()):
            _may_write(next(iter(item.entries.values())), state)
        if item.is_list and first == 0:
            self._write_list(item, data, state)
            return
        bits, at = int.from_bytes(data, "little"), 0
        places = {}
        for subindex in self._present(item):
            if subindex >= first:
                nbits = 16 if subindex == 0 else item.entries[subindex].bits
                places[subindex], at = (at, nbits), at + nbits
        _fits(len(data), -(-at // 8))
        for subindex, (place, _) in places.items():
            entry = item.entries[subindex]
            if _allows(entry.access, _WRITE, state):
                value = (bits >> place) & ((1 << entry.bits) - 1)
                self._take(item, subindex, entry, value.to_bytes(-(-entry.bits // 8), "little"))

    def _write_list(self, item: Object, data: bytes, state: AlState) -> None:
        """Entries first, then how many: what writing one by one does in three steps."""
        _may_write(item.entries[0], state)
        if len(data) < 2:
            raise Abort(AbortCode.TOO_SHORT)
        count, each = data[0], item.entries[1].bits // 8
        if count > item.most:
            raise Abort(AbortCode.TOO_HIGH)
        if len(data) not in (2 + each * count, 2 + each * item.most):
            _fits(len(data), 2 + each * count)
        self.words[item.entries[0].cell] = 0
        for subindex in range(1, count + 1):
            at = 2 + each * (subindex - 1)
            self._take(item, subindex, item.entries[subindex], data[at : at + each])
        self._take(item, 0, item.entries[0], bytes([count]))

    def _whole(self, index: int, first: int) -> Object:
        item = self.find(index, 0)[0]
        if item.code == Code.VARIABLE or first > 1:
            raise Abort(AbortCode.NO_ACCESS)
        return item

    def _present(self, item: Object) -> list[int]:
        most = self.number(item.index) if item.is_list else item.most
        return [subindex for subindex in sorted(item.entries) if subindex <= most]


def _number(entry: Entry, data: bytes) -> int:
    _fits(len(data), -(-entry.bits // 8))
    value = int.from_bytes(data, "little", signed=entry.type in SIGNED)
    if entry.bits < 8 and value >> entry.bits:
        raise Abort(AbortCode.VALUE)
    if entry.high is not None and value > entry.high:
        raise Abort(AbortCode.TOO_HIGH)
    if entry.low is not None and value < entry.low:
        raise Abort(AbortCode.TOO_LOW)
    return value - (1 << 64) if value >> 63 > 0 else value


def _fits(got: int, wanted: int) -> None:
    if got > wanted:
        raise Abort(AbortCode.TOO_LONG)
    if got < wanted:
        raise Abort(AbortCode.TOO_SHORT)


def _allows(access: Access, rights: dict[AlState, Access], state: AlState) -> bool:
    return bool(access & rights.get(state, Access(0)))


def _may_read(entry: Entry, state: AlState) -> None:
    if not entry.access & Access.RO:
        raise Abort(AbortCode.WRITE_ONLY)
    if not _allows(entry.access, _READ, state):
        raise Abort(AbortCode.WRONG_STATE)


def _may_write(entry: Entry, state: AlState) -> None:
    if not entry.access & Access.WO:
        raise Abort(AbortCode.READ_ONLY)
    if not _allows(entry.access, _WRITE, state):
        raise Abort(AbortCode.WRONG_STATE)
    if state == AlState.OP and entry.mapped_in == 0x1C12:
        raise Abort(AbortCode.MAPPED)


# --- how objects are written down ---------------------------------------------------------------------------------------


def variable(index: int, name: str, type_: Type, access: Access = Access.RO, **more: int | None) -> Object:
    """An object with one number."""
    return Object(index, name, Code.VARIABLE, type_, {0: Entry(name, type_, access, **more)})  # type: ignore[arg-type]


def text(index: int, name: str, value: str) -> Object:
    """An object with text that stays."""
    data = value.encode("utf-8")
    return Object(index, name, Code.VARIABLE, Type.TEXT, {0: Entry(name, Type.TEXT, Access.RO, text=data)})


def record(index: int, name: str, entries: dict[int, Entry], type_: Type = Type.UINT8) -> Object:
    """A record; subindex 0 tells the highest subindex."""
    most = max(entries)
    head = Entry("Subindex 000", Type.UINT8, Access.RO, default=most)
    return Object(index, name, Code.RECORD, type_, {0: head, **entries})


def array(index: int, name: str, type_: Type, count: int, access: Access = Access.RO) -> Object:
    """An array of `count` numbers."""
    entries = {s: Entry(f"Subindex {s:03}", type_, access) for s in range(1, count + 1)}
    head = Entry("Subindex 000", Type.UINT8, Access.RO, default=count)
    return Object(index, name, Code.ARRAY, type_, {0: head, **entries})


def changeable(index: int, name: str, type_: Type, most: int, access: Access) -> Object:
    """A list whose length is its subindex 0: an assignment or a mapping."""
    entries = {s: Entry(f"Subindex {s:03}", type_, access) for s in range(1, most + 1)}
    head = Entry("Subindex 000", Type.UINT8, access, high=most)
    of = Type.PDO_MAPPING if type_ == Type.UINT32 else type_
    code = Code.RECORD if type_ == Type.UINT32 else Code.ARRAY
    return Object(index, name, code, of, {0: head, **entries}, is_list=True)
