"""The layout of AMS packets. All numbers have the low byte first.

AMS/TCP   command u16 (0: AMS), length u32                                          6 bytes
AMS       target NetId 6, port u16; source NetId 6, port u16; command u16,         32 bytes
          flags u16 (4: ADS, +1: response), length u32, error u32, invoke id u32
data      as the command says
"""

from __future__ import annotations

import struct
import time
from typing import Final

TCP: Final = struct.Struct("<HI")
AMS: Final = struct.Struct("<6sH6sHHHIII")
HEAD: Final = struct.Struct("<HI6sH6sHHHIII")
"""Both headers in a row."""

AMS_COMMAND: Final = 0x0000
PORT_CLOSE: Final = 0x0001
PORT_CONNECT: Final = 0x1000
LOCAL_NET_ID: Final = 0x1002

READ: Final = struct.Struct("<III")
READ_WRITE: Final = struct.Struct("<IIII")
ADD_NOTIFICATION: Final = struct.Struct("<IIIIII16x")
RESULT: Final = struct.Struct("<I")
DATA: Final = struct.Struct("<II")

FILETIME_EPOCH_S: Final = 11_644_473_600
"""From 1601, where Windows counts from, to 1970."""


def net_id(text: str) -> bytes:
    """`5.12.34.56.1.1` as six bytes; raises `ValueError`."""
    parts = [int(part) for part in text.split(".")]
    if len(parts) != 6:
        raise ValueError(f"{text} is no AMS NetId: six numbers with dots")
    return bytes(parts)


def net_id_text(raw: bytes) -> str:
    """Six bytes as `5.12.34.56.1.1`."""
    return ".".join(map(str, raw))


def filetime() -> int:
    """Now, as 100 ns since 1601."""
    return time.time_ns() // 100 + FILETIME_EPOCH_S * 10_000_000


def notification(samples: list[tuple[int, list[tuple[int, bytes]]]]) -> bytes:
    """Data of a notification: for each moment (FILETIME) the (handle, value) of what was due."""
    parts = []
    for stamp, values in samples:
        parts.append(struct.pack("<QI", stamp, len(values)))
        parts += [struct.pack("<II", handle, len(value)) + value for handle, value in values]
    body = b"".join(parts)
    return struct.pack("<II", len(body) + 4, len(samples)) + body
