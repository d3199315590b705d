"""The checksum that ends a frame of a serial line: MODBUS over Serial Line V1.02, 6.2.2. Pure."""

from typing import Final

_POLYNOMIAL: Final = 0xA001


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(map(_remainder, range(256)))


def crc(data: bytes | bytearray) -> int:
    """CRC-16 of Modbus."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value


def with_crc(frame: bytes) -> bytes:
    """A frame with its checksum behind it, low byte first."""
    return frame + crc(frame).to_bytes(2, "little")
