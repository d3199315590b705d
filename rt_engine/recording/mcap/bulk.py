"""Many messages of one size as one NumPy array, and as a chunk of an MCAP file.

message   0x05  u64 length  u16 channel  u32 sequence  u64 log_time  u64 publish_time  u32 CDR header  body
chunk     message, message, ...              all of one channel, all of one size: an array of `message_dtype`
index     for each message: u64 log_time, u64 byte of the chunk where it begins
"""

import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import RecordingError
from rt_engine.recording.mcap.records import HEAD, Opcode
from rt_engine.recording.ros2msg import ENCAPSULATION

MOST_CHUNK = 1 << 28
"""Bytes of a chunk, compressed or not: what a file may make us hold at once."""
MOST_LOOSE = 1 << 19
"""Records of a chunk that are read one by one; those of a chunk that is an array have no such limit."""
MESSAGE_HEAD = struct.Struct("<BQHIQQ")
INDEX = np.dtype([("log_time", "<u8"), ("offset", "<u8")])
COMPRESSIONS = ("", "zstd")
"""As MCAP names them."""

Messages = NDArray[np.void]
Times = NDArray[np.uint64]


@lru_cache(1024)
def message_dtype(nbytes: int) -> np.dtype[np.void]:
    """Of one message with a body of `nbytes`, without padding."""
    fields: list[Any] = [("opcode", "u1"), ("length", "<u8"), ("channel", "<u2"), ("sequence", "<u4")]
    return np.dtype(
        [*fields, ("log_time", "<u8"), ("publish_time", "<u8"), ("encapsulation", "<u4"), ("body", f"V{nbytes}")]
    )


_ENCAPSULATION = int.from_bytes(ENCAPSULATION, "little")


def messages(channel: int, bodies: NDArray[np.void], sequence: NDArray[Any], log: Times, publish: Times) -> Messages:
    """`bodies`, contiguous, each with what MCAP and CDR put before it."""
    nbytes = bodies.dtype.itemsize
    made = np.empty(len(bodies), message_dtype(nbytes))
    made["opcode"], made["length"] = Opcode.MESSAGE, made.dtype.itemsize - HEAD.size
    made["channel"], made["encapsulation"] = channel, _ENCAPSULATION
    made["sequence"], made["log_time"], made["publish_time"] = sequence.astype(np.uint32), log, publish
    made["body"] = bodies.view(f"V{nbytes}")
    return made


def index(made: Messages) -> bytes:
    """Of a chunk that is these messages: the entries of a message index."""
    entries = np.empty(len(made), INDEX)
    entries["log_time"] = made["log_time"]
    entries["offset"] = np.arange(len(made), dtype=np.uint64) * np.uint64(made.dtype.itemsize)
    return entries.tobytes()


def bodies(data: bytes, channel: int, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """The bodies of all messages of a channel in a chunk, in order; a copy.

    Where the chunk has nothing else, at the price of a copy; where it has (a file that others wrote), message by message.

    Raises:
        RecordingError: a message of the channel has another size, or a record leads out of the chunk.
    """
    whole = message_dtype(dtype.itemsize)
    if data and len(data) % whole.itemsize == 0:
        made = np.frombuffer(data, whole)
        alike = (
            (made["opcode"] == Opcode.MESSAGE)
            & (made["length"] == whole.itemsize - HEAD.size)
            & (made["channel"] == channel)
            & (made["encapsulation"] == _ENCAPSULATION)
        )
        if alike.all():
            return np.ascontiguousarray(made["body"]).view(dtype)
    found = [body for number, _, body in each(data) if number == channel]
    sizes = {len(body) for body in found} - {dtype.itemsize + len(ENCAPSULATION)}
    if sizes or any(body[: len(ENCAPSULATION)] != ENCAPSULATION for body in found):
        raise RecordingError(f"messages of channel {channel} are not as its layout says: {dtype.itemsize} bytes in CDR")
    return np.frombuffer(b"".join(body[len(ENCAPSULATION) :] for body in found), dtype).copy()


def each(data: bytes) -> "list[tuple[int, int, bytes]]":
    """(channel, publish_time, body with its encapsulation header) of each message of a chunk.

    Raises:
        RecordingError: a record leads out of the chunk.
    """
    found: list[tuple[int, int, bytes]] = []
    at = 0
    for _ in range(MOST_LOOSE):
        if at == len(data):
            return found
        if len(data) - at < HEAD.size:
            raise RecordingError("a chunk that ends within a record")
        opcode, length = HEAD.unpack_from(data, at)
        if length > len(data) - at - HEAD.size or (opcode == Opcode.MESSAGE and length < MESSAGE_HEAD.size - HEAD.size):
            raise RecordingError(f"a record of {length} bytes at byte {at} of a chunk of {len(data)}")
        if opcode == Opcode.MESSAGE:
            _, _, channel, _, _, publish = MESSAGE_HEAD.unpack_from(data, at)
            found.append((channel, publish, data[at + MESSAGE_HEAD.size : at + HEAD.size + length]))
        at += HEAD.size + length
    raise RecordingError(f"a chunk of more than {MOST_LOOSE} records that are not alike")


def compress(data: bytes | memoryview, compression: str, level: int) -> bytes | memoryview:
    """As a chunk holds it.

    Raises:
        RecordingError: it wants zstd, and the package is not installed; or nobody knows that compression.
    """
    if compression == "":
        return data
    packed: bytes = _zstandard(compression).ZstdCompressor(level=level).compress(data)
    return packed


def decompress(data: bytes, compression: str, size: int, crc: int) -> bytes:
    """The messages of a chunk, checked: exactly `size` bytes, and their CRC-32 where it is not 0. Never takes more memory.

    Raises:
        RecordingError: they are not that, or cannot be unpacked; it says why.
    """
    if size > MOST_CHUNK:
        raise RecordingError(f"a chunk of {size} bytes; up to {MOST_CHUNK} are read")
    made = data if compression == "" else _unpacked(data, compression, size)
    if len(made) != size:
        raise RecordingError(f"a chunk that says {size} bytes has {len(made)}")
    if crc and zlib.crc32(made) != crc:
        raise RecordingError("a chunk whose check sum (CRC-32) does not fit its bytes")
    return made


def _unpacked(data: bytes, compression: str, size: int) -> bytes:
    zstd = _zstandard(compression)
    try:
        if zstd.frame_content_size(data) not in (-1, size):
            raise RecordingError(f"a zstd frame of another size than the {size} bytes that its chunk says")
        with zstd.ZstdDecompressor(max_window_size=MOST_CHUNK).stream_reader(data, closefd=False) as reader:
            made: bytes = reader.read(size + 1)
            return made
    except (zstd.ZstdError, MemoryError, ValueError) as error:
        raise RecordingError(f"a chunk that zstd cannot unpack: {error}") from None


def _zstandard(compression: str) -> Any:
    if compression != "zstd":
        raise RecordingError(
            f"compression {compression!r} is not known here, only zstd and none; 'mcap compress --compression zstd' rewrites a file"
        )
    try:
        import zstandard
    except ImportError:
        raise RecordingError("chunks compressed with zstd need a package: pip install 'rt-engine[recording]'") from None
    return zstandard
