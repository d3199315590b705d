"""The SDO information service: what objects there are, what they are called and may do (ETG.1000.6, 5.6.3.3).

byte 0  opcode (7 bits), "not all" (bit 7)
     1  0
     2  how many fragments follow this one
     4  data of the service, from fragment to fragment
"""

import struct
from enum import IntEnum

from fieldbus.ethercat.simulated.objects import SIGNED, Abort, AbortCode, Access, Dictionary, Entry, Object

_HEAD = struct.Struct("<BBH")
_MORE = 0x80
_DEFAULT, _LOW, _HIGH = 0x10, 0x20, 0x40
_RIGHTS_AND_KIND = 0x07  # in every answer; told where they were asked for


class Opcode(IntEnum):
    """ETG.1000.6, table 43."""

    LIST = 1
    LIST_ANSWER = 2
    OBJECT = 3
    OBJECT_ANSWER = 4
    ENTRY = 5
    ENTRY_ANSWER = 6
    ERROR = 7


class ListType(IntEnum):
    """ETG.1000.6, table 44: which objects are listed; LENGTHS: how many there are of each of the others."""

    LENGTHS = 0
    ALL = 1
    RX_MAPPABLE = 2
    TX_MAPPABLE = 3
    BACKUP = 4
    SETTINGS = 5


_RIGHTS = {
    ListType.ALL: ~Access(0), ListType.RX_MAPPABLE: Access.RX, ListType.TX_MAPPABLE: Access.TX,
    ListType.BACKUP: Access.BACKUP, ListType.SETTINGS: Access.SETTINGS,
}  # fmt: skip


class Information:
    """Answers questions about a dictionary."""

    def __init__(self, dictionary: Dictionary) -> None:
        self.dictionary = dictionary

    def take(self, body: bytes, room: int) -> list[bytes]:
        """Answers of at most `room` bytes to a question without its CoE header."""
        try:
            if len(body) < _HEAD.size + 2:
                raise Abort(AbortCode.COMMAND)
            opcode, data = body[0] & 0x7F, body[_HEAD.size :]
            if opcode == Opcode.LIST:
                return _fragments(Opcode.LIST_ANSWER, self._list(data), room)
            if opcode == Opcode.OBJECT:
                return _fragments(Opcode.OBJECT_ANSWER, self._object(data), room)
            if opcode == Opcode.ENTRY and len(data) >= 4:
                return _fragments(Opcode.ENTRY_ANSWER, self._entry(data), room)
            raise Abort(AbortCode.COMMAND)
        except Abort as abort:
            return [_HEAD.pack(Opcode.ERROR, 0, 0) + struct.pack("<I", abort.code)]

    def _list(self, data: bytes) -> bytes:
        wanted = struct.unpack_from("<H", data)[0]
        if wanted == ListType.LENGTHS:
            return struct.pack("<H5H", wanted, *(len(self._of(list_type)) for list_type in _RIGHTS))
        if wanted not in _RIGHTS:
            raise Abort(AbortCode.NO_ACCESS)
        indexes = self._of(ListType(wanted))
        return struct.pack(f"<H{len(indexes)}H", wanted, *indexes)

    def _of(self, list_type: ListType) -> list[int]:
        rights = _RIGHTS[list_type]
        return [item.index for item in self.dictionary if any(e.access & rights for e in item.entries.values())]

    def _object(self, data: bytes) -> bytes:
        item = self._find(data)
        return struct.pack("<HHBB", item.index, item.type, item.most, item.code) + item.name.encode("utf-8")

    def _entry(self, data: bytes) -> bytes:
        item, subindex, wanted = self._find(data), data[2], data[3]
        entry = item.entries.get(subindex)
        if entry is None:
            raise Abort(AbortCode.NO_SUBINDEX)
        values = [
            (flag, value)
            for flag, value in ((_DEFAULT, entry.default), (_LOW, entry.low), (_HIGH, entry.high))
            if wanted & flag and value is not None and not entry.is_text
        ]
        told = wanted & _RIGHTS_AND_KIND | sum(flag for flag, _ in values)
        head = struct.pack("<HBBHHH", item.index, subindex, told, entry.type, entry.bits, entry.access)
        return head + b"".join(_as_bytes(entry, value) for _, value in values) + entry.name.encode("utf-8")

    def _find(self, data: bytes) -> Object:
        return self.dictionary.find(struct.unpack_from("<H", data)[0], 0)[0]


def _as_bytes(entry: Entry, value: int) -> bytes:
    return value.to_bytes(-(-entry.bits // 8), "little", signed=entry.type in SIGNED)


def _fragments(opcode: Opcode, data: bytes, room: int) -> list[bytes]:
    each = room - _HEAD.size
    parts = [data[at : at + each] for at in range(0, len(data), each)] or [b""]
    left = range(len(parts) - 1, -1, -1)
    return [_HEAD.pack(opcode | (_MORE if n else 0), 0, n) + part for n, part in zip(left, parts, strict=True)]
