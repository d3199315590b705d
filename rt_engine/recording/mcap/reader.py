"""Finds what an MCAP file has, without reading its messages: a walk from record to record over their lengths.

The summary at the end is not asked: it may be missing (a cut file), and a walk over chunks of a megabyte is fast. Files are read, not
mapped: one that another process shortens while it is read ends early, where a mapping would end the process (SIGBUS).
"""

import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rt_engine.errors import RecordingError
from rt_engine.recording.mcap import bulk
from rt_engine.recording.mcap.records import (
    HEAD,
    LONGEST_CHUNK_HEAD,
    MAGIC,
    AttachmentHead,
    Channel,
    ChunkHead,
    Cursor,
    Metadata,
    Opcode,
)
from rt_native.files import open_file

MOST_RECORDS = 5_000_000
"""In a file, those in chunks not counted."""
MOST_HELD = 1 << 26
"""Bytes of all metadata and channels of a file: what is held of it."""
LONGEST_ATTACHMENT_HEAD = 1 << 16
MOST_ATTACHMENT = 1 << 31
"""Bytes of an attachment that is read: more than the largest ONNX file. A file with holes may say more than a disk has."""
AHEAD = 1 << 16


class Source(Protocol):
    """Bytes that can be read anywhere."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read(self, at: int, count: int) -> bytes:
        """`count` bytes from byte `at`, fewer where it ends."""
        ...


class FileSource:
    """A file on a disk, opened for each read: a folder may have more files than a process may have open.

    Raises:
        OSError: it cannot be opened, or is no file, at first.
        RecordingError: later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_file(path) as file:
            self.size = os.fstat(file.fileno()).st_size

    def read(self, at: int, count: int) -> bytes:
        """See `Source`."""
        parts = []
        try:
            with open_file(self._path) as file:
                count = min(count, max(0, self.size - at))
                while count > 0 and (part := os.pread(file.fileno(), min(count, bulk.MOST_CHUNK), at)):
                    parts.append(part)
                    at, count = at + len(part), count - len(part)
        except OSError as error:
            raise RecordingError(f"it cannot be read any more: {error.strerror}") from None
        return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: `at`, where its data begin in the file. `counts`: messages of each channel by its index; empty: not known."""

    at: int
    head: ChunkHead
    counts: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in the file: `at`, where its bytes begin."""

    at: int
    head: AttachmentHead


@dataclass(frozen=True, slots=True)
class Ending:
    """Where the readable part of a file ends, and why it does not go on; `why` is "" where all is there."""

    at: int
    why: str = ""


@dataclass(slots=True)
class Contents:
    """What a file has, in the order of the file."""

    ending: Ending
    channels: dict[int, Channel] = field(default_factory=dict)
    metadata: list[Metadata] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    held: int = 0


def scan(source: Source) -> Contents:
    """What there is, up to the end or to the first record that cannot be.

    Raises:
        RecordingError: it does not begin like an MCAP file.
    """
    if source.read(0, len(MAGIC)) != MAGIC:
        raise RecordingError("it is no MCAP file: it does not begin with '\\x89MCAP0\\r\\n'")
    window, found = _Window(source), Contents(Ending(len(MAGIC)))
    at = len(MAGIC)
    for _ in range(MOST_RECORDS):
        try:
            opcode, length = _record(window, at)
            _take(window, found, opcode, at + HEAD.size, length)
        except RecordingError as error:
            found.ending = Ending(at, str(error))
            return found
        at += HEAD.size + length
        if opcode == Opcode.DATA_END:
            found.ending = Ending(at, _closing(window, found, at))
            return found
    found.ending = Ending(at, f"more than {MOST_RECORDS} records, which no recording of ours has")
    return found


def messages(source: Source, chunk: Chunk) -> bytes:
    """The messages of a chunk, unpacked and checked.

    Raises:
        RecordingError: it is damaged, or of a compression that is not known.
    """
    head = chunk.head
    return bulk.decompress(source.read(chunk.at, head.compressed), head.compression, head.uncompressed, head.crc)


def attached(source: Source, attachment: Attachment) -> bytes:
    """The bytes of an attachment, checked.

    Raises:
        RecordingError: it is damaged, or too large.
    """
    head = attachment.head
    if head.nbytes > MOST_ATTACHMENT:
        raise RecordingError(f"attachment '{head.name}' of {head.nbytes} bytes; up to {MOST_ATTACHMENT} are read")
    data = source.read(attachment.at - head.begins, head.begins + head.nbytes + 4)
    (crc,) = struct.unpack("<I", data[-4:]) if len(data) == head.begins + head.nbytes + 4 else (None,)
    if crc is None or (crc and zlib.crc32(memoryview(data)[:-4]) != crc):
        raise RecordingError(f"attachment '{head.name}' is damaged: its check sum (CRC-32) does not fit its bytes")
    return data[head.begins : -4]


def _record(window: "_Window", at: int) -> tuple[int, int]:
    """(opcode, length) of the record at `at`."""
    left = window.source.size - at
    head = window.read(at, HEAD.size)
    if len(head) < HEAD.size:
        raise RecordingError(
            "the file is cut off, or still being written: it ends without its summary"
            if not left
            else "it is cut off in a record's head"
        )
    opcode, length = HEAD.unpack(head)
    if opcode == 0:
        raise RecordingError("it is damaged: a record of kind 0, which is none")
    if length > left - HEAD.size:
        raise RecordingError(f"it is cut off, or damaged: a record of {length} bytes where {left - HEAD.size} are left")
    return opcode, length


def _take(window: "_Window", found: Contents, opcode: int, at: int, length: int) -> None:
    """Note what the record whose content is at `at` says."""
    if opcode == Opcode.CHUNK:
        head = ChunkHead.decode(window.read(at, min(length, LONGEST_CHUNK_HEAD)))
        if head.begins + head.compressed != length:
            raise RecordingError(f"it is damaged: a chunk of {length} bytes that says {head.begins + head.compressed}")
        found.chunks.append(Chunk(at + head.begins, head, {}))
    elif opcode == Opcode.MESSAGE_INDEX and found.chunks:
        _index(found, window.read(at, 6), length)
    elif opcode == Opcode.ATTACHMENT:
        attachment = AttachmentHead.decode(window.read(at, min(length, LONGEST_ATTACHMENT_HEAD)))
        if attachment.begins + attachment.nbytes + 4 != length:
            raise RecordingError(f"it is damaged: an attachment of {length} bytes that says another length")
        found.attachments.append(Attachment(at + attachment.begins, attachment))
    elif opcode in (Opcode.CHANNEL, Opcode.METADATA):
        found.held += length
        if found.held > MOST_HELD:
            raise RecordingError(f"more than {MOST_HELD} bytes of metadata")
        content = window.read(at, length)
        if opcode == Opcode.METADATA:
            found.metadata.append(Metadata.decode(content))
        else:
            channel = Channel.decode(content)
            found.channels[channel.id] = channel
    elif opcode == Opcode.MESSAGE:
        raise RecordingError("a message that is in no chunk, which is not read here; 'mcap recover' rewrites a file")


def _index(found: Contents, start: bytes, length: int) -> None:
    """Note how many messages of a channel the newest chunk has."""
    channel, nbytes = Cursor(start).numbers("HI")
    if nbytes + 6 != length or nbytes % bulk.INDEX.itemsize:
        raise RecordingError("it is damaged: a message index of another length than it says")
    chunk = found.chunks[-1]
    if nbytes:
        counts = {**chunk.counts, channel: nbytes // bulk.INDEX.itemsize}
        found.chunks[-1] = Chunk(chunk.at, chunk.head, counts)


def _closing(window: "_Window", found: Contents, at: int) -> str:
    """What is wrong behind the data, from `at` on. Takes the channels there: some writers have them in chunks, and again here."""
    source = window.source
    whole = source.read(max(0, source.size - len(MAGIC)), len(MAGIC)) == MAGIC
    for _ in range(MOST_RECORDS):
        if not whole or at >= source.size - len(MAGIC):
            break
        try:
            opcode, length = _record(window, at)
            if opcode == Opcode.CHANNEL:
                _take(window, found, opcode, at + HEAD.size, length)
        except RecordingError:
            whole = False
        else:
            at += HEAD.size + length
    return "" if whole else "it is cut off, or damaged, in its summary; all data are there"


class _Window:
    """A source, read ahead: heads of records are small, and mostly near each other."""

    def __init__(self, source: Source) -> None:
        self.source, self._at, self._data = source, 0, b""

    def read(self, at: int, count: int) -> bytes:
        """As `Source.read`."""
        if not self._at <= at <= at + count <= self._at + len(self._data):
            self._at, self._data = at, self.source.read(at, max(count, AHEAD))
        return self._data[at - self._at : at - self._at + count]
