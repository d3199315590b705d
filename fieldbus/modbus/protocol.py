"""Numbers of the MODBUS Application Protocol V1.1b3, for clients and servers."""

from enum import IntEnum
from typing import Final

READ_COILS: Final = 1
READ_DISCRETE_INPUTS: Final = 2
READ_HOLDING_REGISTERS: Final = 3
READ_INPUT_REGISTERS: Final = 4
WRITE_COIL: Final = 5
WRITE_REGISTER: Final = 6
WRITE_COILS: Final = 15
WRITE_REGISTERS: Final = 16
MASK_REGISTER: Final = 22
READ_WRITE_REGISTERS: Final = 23
ENCAPSULATED: Final = 43
REFUSED: Final = 0x80
"""Added to the function code of an exception."""

ADDRESSES: Final = 0x1_0000
"""4.4: of each table, "an address [..] between 0 and 65535"."""
MOST_PDU: Final = 253
"""4.1: "MODBUS PDU for serial line communication = 256 - Server address (1 byte) - CRC (2 bytes) = 253 bytes"."""
READ_BITS: Final = 2000
"""6.1: "Quantity of coils: 1 to 2000 (0x7D0)"."""
READ_REGISTERS: Final = 125
"""6.3: "Quantity of Registers: 1 to 125 (0x7D)"."""
WRITE_BITS: Final = 0x7B0
"""6.11: "Quantity of Outputs: 0x0001 to 0x07B0"."""
WRITE_MOST: Final = 123
"""6.12: "Quantity of Registers: 0x0001 to 0x007B"."""
READ_WRITE_MOST: Final = 121
"""6.17: "Quantity to Write: 0x0001 to 0x0079"; to read, as many as in 6.3."""
ON, OFF = b"\xff\x00", b"\x00\x00"
"""6.5: "0xFF00 requests the output to be ON. [..] 0x0000 requests it to be off. All other values are illegal"."""


class Code(IntEnum):
    """Exception codes, section 7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    BUSY = 6
    PARITY = 8
    NO_PATH = 10
    NO_TARGET = 11


PASSING: Final = frozenset((Code.ACKNOWLEDGE, Code.BUSY, Code.NO_PATH, Code.NO_TARGET))
"""Refusals that pass: "the server is engaged in processing a long-duration command", and gateways that do not reach the
device just now. The same request may be answered the next time; of the others none will be."""

MEANING: Final = {
    Code.ILLEGAL_FUNCTION: "illegal function",
    Code.ILLEGAL_ADDRESS: "illegal data address",
    Code.ILLEGAL_VALUE: "illegal data value",
    Code.DEVICE_FAILURE: "server device failure",
    Code.ACKNOWLEDGE: "acknowledge, still working",
    Code.BUSY: "server device busy",
    Code.PARITY: "memory parity error",
    Code.NO_PATH: "gateway path unavailable",
    Code.NO_TARGET: "gateway target device failed to respond",
}


def meaning_of(code: int) -> str:
    """An exception code in words."""
    return {int(known): words for known, words in MEANING.items()}.get(code, "unknown exception code")
