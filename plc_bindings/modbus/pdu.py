"""Requests of the MODBUS Application Protocol V1.1b3: their form, their limits, and what a wrong one is answered with.

    function code | address | quantity | ...        every number high byte first
    answer: function code | ...                      refusal: function code + 0x80 | exception code

A request is judged in the order of the specification's state diagrams: function code (1), form and quantity (3), address
(2), value (3), execution (4).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fieldbus.modbus.protocol import (
    ADDRESSES,
    ENCAPSULATED,
    MOST_PDU,
    OFF,
    ON,
    READ_REGISTERS,
    READ_WRITE_MOST,
    REFUSED,
    Code,
)

_TWO = struct.Struct(">HH")
_THREE = struct.Struct(">HHB")
_FIVE = struct.Struct(">HHHHB")


class Refused(Exception):
    """A request gets an exception for an answer. `why` is for the audit log; empty: not worth a line."""

    def __init__(self, code: Code, why: str = "") -> None:
        super().__init__(code, why)
        self.code, self.why = code, why


def exception(function: int, code: int) -> bytes:
    """The answer to a request that is refused."""
    return bytes((function | REFUSED, code))


def read_range(pdu: bytes, most: int) -> tuple[int, int]:
    """(address, quantity) of function codes 1 to 4."""
    if len(pdu) != 5:
        raise Refused(Code.ILLEGAL_VALUE)
    address, quantity = _TWO.unpack_from(pdu, 1)
    return _range(address, quantity, most)


def single(pdu: bytes) -> tuple[int, bytes]:
    """(address, value) of function codes 5 and 6."""
    if len(pdu) != 5:
        raise Refused(Code.ILLEGAL_VALUE)
    return int.from_bytes(pdu[1:3], "big"), pdu[3:5]


def coil(pdu: bytes) -> tuple[int, bool]:
    """(address, value) of function code 5. 6.5: "All other values are illegal"."""
    address, value = single(pdu)
    if value not in (ON, OFF):
        raise Refused(Code.ILLEGAL_VALUE)
    return address, value == ON


def write_range(pdu: bytes, most: int, per_byte: int) -> tuple[int, int, bytes]:
    """(address, quantity, data) of function codes 15 (`per_byte` 8) and 16 (`per_byte` 0: two bytes each)."""
    if len(pdu) < 7:
        raise Refused(Code.ILLEGAL_VALUE)
    address, quantity, nbytes = _THREE.unpack_from(pdu, 1)
    expected = -(-quantity // per_byte) if per_byte else 2 * quantity
    if not 1 <= quantity <= most or nbytes != expected or len(pdu) != 6 + nbytes:
        raise Refused(Code.ILLEGAL_VALUE)
    return *_range(address, quantity, most), pdu[6:]


def mask(pdu: bytes) -> tuple[int, int, int]:
    """(address, AND mask, OR mask) of function code 22."""
    if len(pdu) != 7:
        raise Refused(Code.ILLEGAL_VALUE)
    address, both = int.from_bytes(pdu[1:3], "big"), _TWO.unpack_from(pdu, 3)
    return address, *both


def read_write_range(pdu: bytes) -> tuple[tuple[int, int], tuple[int, int]]:
    """((address, quantity) to read, (address, quantity) to write) of function code 23; the data begin at byte 10."""
    if len(pdu) < 12:
        raise Refused(Code.ILLEGAL_VALUE)
    read, reads, write, writes, nbytes = _FIVE.unpack_from(pdu, 1)
    if not 1 <= writes <= READ_WRITE_MOST or nbytes != 2 * writes or len(pdu) != 10 + nbytes:
        raise Refused(Code.ILLEGAL_VALUE)
    if not 1 <= reads <= READ_REGISTERS:
        raise Refused(Code.ILLEGAL_VALUE)
    return _range(read, reads, READ_REGISTERS), _range(write, writes, READ_WRITE_MOST)


def _range(address: int, quantity: int, most: int) -> tuple[int, int]:
    if not 1 <= quantity <= most:
        raise Refused(Code.ILLEGAL_VALUE)
    if address + quantity > ADDRESSES:
        raise Refused(Code.ILLEGAL_ADDRESS)
    return address, quantity


@dataclass(frozen=True, slots=True)
class Identity:
    """What function code 43/14 tells: objects 0 to 6. ASCII."""

    vendor: str = "rt-engine"
    product_code: str = "rt-engine"
    revision: str = ""
    url: str = ""
    product: str = "rt-engine"
    model: str = ""
    application: str = ""

    def objects(self) -> tuple[bytes, ...]:
        """All seven; what is too long for one answer is cut."""
        texts = (self.vendor, self.product_code, self.revision, self.url, self.product, self.model, self.application)
        return tuple(text.encode("ascii", "replace")[: MOST_PDU - 9] for text in texts)


_MEI_IDENTITY: Final = 14
_BASIC, _REGULAR, _EXTENDED, _SINGLE = 1, 2, 3, 4
_CONFORMITY: Final = 0x82
"""6.21: "0x82: regular identification (stream access and individual access)"."""


def identification(pdu: bytes, objects: Sequence[bytes]) -> bytes:
    """The answer to function code 43 / MEI type 14."""
    if len(pdu) < 2 or pdu[1] != _MEI_IDENTITY:
        raise Refused(Code.ILLEGAL_FUNCTION if len(pdu) >= 2 else Code.ILLEGAL_VALUE)
    if len(pdu) != 4 or not _BASIC <= pdu[2] <= _SINGLE:
        raise Refused(Code.ILLEGAL_VALUE)
    code, first = pdu[2], pdu[3]
    if code == _SINGLE:
        if first >= len(objects):
            raise Refused(Code.ILLEGAL_ADDRESS)
        wanted = range(first, first + 1)
    else:
        end = 3 if code == _BASIC else len(objects)
        wanted = range(first if first < end else 0, end)  # "If the Object Id does not match any known object, [...] 0"
    listed, size, more = [], 7, 0
    for number in wanted:
        size += 2 + len(objects[number])
        if size > MOST_PDU:
            more = number
            break
        listed.append(bytes((number, len(objects[number]))) + objects[number])
    head = bytes((ENCAPSULATED, _MEI_IDENTITY, code, _CONFORMITY, 0xFF if more else 0, more, len(listed)))
    return head + b"".join(listed)
