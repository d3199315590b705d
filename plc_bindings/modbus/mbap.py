"""Frames of Modbus TCP (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3).

    transaction: 2 | protocol: 2, is 0 | length: 2, of what follows | unit: 1 | PDU: 1 to 253

A frame of another protocol is skipped, as the guide says. A length that no frame has ends the connection: where the next
frame begins is not known any more.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from fieldbus.modbus.protocol import MOST_PDU

HEADER_BYTES: Final = 6
"""Before what `length` counts."""
LEAST, MOST = 2, 1 + MOST_PDU
_HEADER: Final = struct.Struct(">HHHB")


class FrameError(Exception):
    """A length that no frame has."""


class Frame(NamedTuple):
    """One request, and where it ends in the stream. `is_modbus` is False for another protocol."""

    end: int
    transaction: int
    unit: int
    pdu: bytes
    is_modbus: bool


def next_frame(data: bytes, at: int) -> Frame | None:
    """The frame that begins at `at`; None when it is not whole yet.

    Raises:
        FrameError: no frame begins here.
    """
    size = len(data)
    if size - at < HEADER_BYTES:
        return None
    length = data[at + 4] << 8 | data[at + 5]
    if not LEAST <= length <= MOST:
        raise FrameError(f"length {length}")
    end = at + HEADER_BYTES + length
    if end > size:
        return None
    transaction, protocol, _, unit = _HEADER.unpack_from(data, at)
    return Frame(end, transaction, unit, data[at + 7 : end], protocol == 0)


def frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """An answer."""
    return _HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu
