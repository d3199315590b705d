"""Records of an MCAP file, as bytes (https://mcap.dev/spec).

    file     MAGIC  record...  MAGIC
    record   opcode u8   length u64   content
    content  by opcode: numbers, text (u32 length, UTF-8), maps (u32 bytes, then key, value), all little-endian

Decoding never goes beyond what it was given: `Cursor` raises where a length leads out of it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from rt_engine.errors import RecordingError

MAGIC = b"\x89MCAP0\r\n"
HEAD = struct.Struct("<BQ")
"""Opcode and length: what each record begins with."""


class Opcode(IntEnum):
    """What a record is."""

    HEADER = 0x01
    FOOTER = 0x02
    SCHEMA = 0x03
    CHANNEL = 0x04
    MESSAGE = 0x05
    CHUNK = 0x06
    MESSAGE_INDEX = 0x07
    CHUNK_INDEX = 0x08
    ATTACHMENT = 0x09
    ATTACHMENT_INDEX = 0x0A
    STATISTICS = 0x0B
    METADATA = 0x0C
    METADATA_INDEX = 0x0D
    SUMMARY_OFFSET = 0x0E
    DATA_END = 0x0F


def record(opcode: Opcode, *parts: bytes) -> bytes:
    """A whole record."""
    return HEAD.pack(opcode, sum(map(len, parts))) + b"".join(parts)


def text(value: str) -> bytes:
    """A string with its length."""
    data = value.encode("utf-8", "replace")
    return struct.pack("<I", len(data)) + data


def texts(values: Mapping[str, str]) -> bytes:
    """A map with its length in bytes."""
    data = b"".join(text(key) + text(value) for key, value in values.items())
    return struct.pack("<I", len(data)) + data


def offsets(values: Mapping[int, int]) -> bytes:
    """A map u16 -> u64 with its length in bytes."""
    return struct.pack("<I", 10 * len(values)) + b"".join(struct.pack("<HQ", *pair) for pair in values.items())


class Cursor:
    """Reads one value after the other from bytes that nobody vouches for.

    Raises:
        RecordingError: a value would end behind the bytes, or a text is no UTF-8.
    """

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > len(self.data) - self.at:
            raise RecordingError(f"a part of {count} bytes where {len(self.data) - self.at} are left")
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, form: str) -> tuple[int, ...]:
        """The next numbers, as `struct` names them."""
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))

    def text(self) -> str:
        """The next string."""
        try:
            return self.take(*self.numbers("I")).decode()
        except UnicodeDecodeError as error:
            raise RecordingError(f"a text that is no UTF-8: {error.reason}") from None

    def texts(self) -> dict[str, str]:
        """The next map of strings."""
        inner, found = Cursor(self.take(*self.numbers("I"))), {}
        while inner.at < len(inner.data):
            key = inner.text()
            found[key] = inner.text()
        return found


@dataclass(frozen=True, slots=True)
class Schema:
    """What the messages of a channel look like."""

    id: int
    name: str
    encoding: str
    data: bytes

    def encode(self) -> bytes:
        """As a record."""
        length = struct.pack("<I", len(self.data))
        return record(
            Opcode.SCHEMA, struct.pack("<H", self.id), text(self.name), text(self.encoding), length, self.data
        )


@dataclass(frozen=True, slots=True)
class Channel:
    """Messages of one kind. `schema`: number of its `Schema`."""

    id: int
    schema: int
    topic: str
    encoding: str
    metadata: Mapping[str, str]

    def encode(self) -> bytes:
        """As a record."""
        ids = struct.pack("<HH", self.id, self.schema)
        return record(Opcode.CHANNEL, ids, text(self.topic), text(self.encoding), texts(self.metadata))

    @classmethod
    def decode(cls, content: bytes) -> "Channel":
        """From the content of a record."""
        cursor = Cursor(content)
        id, schema = cursor.numbers("HH")
        return cls(id, schema, cursor.text(), cursor.text(), cursor.texts())


@dataclass(frozen=True, slots=True)
class Metadata:
    """A map with a name."""

    name: str
    values: Mapping[str, str]

    def encode(self) -> bytes:
        """As a record."""
        return record(Opcode.METADATA, text(self.name), texts(self.values))

    @classmethod
    def decode(cls, content: bytes) -> "Metadata":
        """From the content of a record."""
        cursor = Cursor(content)
        return cls(cursor.text(), cursor.texts())


@dataclass(frozen=True, slots=True)
class ChunkHead:
    """What stands before the messages of a chunk. `begins`: bytes of the record's content before its data."""

    start: int
    end: int
    uncompressed: int
    crc: int
    compression: str
    compressed: int
    begins: int

    def encode(self) -> bytes:
        """The content of the record up to its data."""
        numbers = struct.pack("<QQQI", self.start, self.end, self.uncompressed, self.crc)
        return numbers + text(self.compression) + struct.pack("<Q", self.compressed)

    @classmethod
    def decode(cls, content: bytes) -> "ChunkHead":
        """From the beginning of the content of a record; what the data are is not looked at."""
        cursor = Cursor(content)
        start, end, uncompressed, crc = cursor.numbers("QQQI")
        compression = cursor.text()
        (compressed,) = cursor.numbers("Q")
        return cls(start, end, uncompressed, crc, compression, compressed, cursor.at)


LONGEST_CHUNK_HEAD = 8 + 8 + 8 + 4 + 4 + 16 + 8
"""With a compression's name of up to 16 bytes."""


@dataclass(frozen=True, slots=True)
class AttachmentHead:
    """What stands before the bytes of an attachment, and their number. `begins`: as in `ChunkHead`."""

    log_time: int
    create_time: int
    name: str
    media_type: str
    nbytes: int
    begins: int

    def encode(self) -> bytes:
        """The content of the record up to its data."""
        times = struct.pack("<QQ", self.log_time, self.create_time)
        return times + text(self.name) + text(self.media_type) + struct.pack("<Q", self.nbytes)

    @classmethod
    def decode(cls, content: bytes) -> "AttachmentHead":
        """From the beginning of the content of a record."""
        cursor = Cursor(content)
        log_time, create_time = cursor.numbers("QQ")
        name, media_type = cursor.text(), cursor.text()
        (nbytes,) = cursor.numbers("Q")
        return cls(log_time, create_time, name, media_type, nbytes, cursor.at)
