"""Writes an MCAP file in bulk: each chunk, with its index, is in the file as a whole or not at all.

MAGIC  Header  Metadata...  Attachment...  Schema, Channel...      what a cut file needs to be understood comes first
Chunk  MessageIndex                                                written with one call; taken back where the disk is full
...
DataEnd  Schema... Channel... Statistics  ChunkIndex... AttachmentIndex... MetadataIndex...  SummaryOffset...  Footer  MAGIC
"""

import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from rt_engine.recording.mcap import bulk
from rt_engine.recording.mcap.records import (
    HEAD,
    MAGIC,
    AttachmentHead,
    Channel,
    ChunkHead,
    Metadata,
    Opcode,
    Schema,
    offsets,
    record,
    text,
)

Bytes = bytes | memoryview


class McapWriter:
    """A new file. Whoever writes to it knows its channels; see the module.

    Args:
        path: must not be there.
        library: who writes.
        profile: MCAP's; "ros2" where all messages are CDR.
        compression: "" or "zstd".
        level: of zstd.

    Raises:
        OSError: the file cannot be made or written. What was written before is whole.
        RecordingError: the compression is not to be had.
    """

    def __init__(self, path: Path, library: str, profile: str = "", compression: str = "", level: int = 1) -> None:
        bulk.compress(b"", compression, level)
        self.path, self.compression, self.level = path, compression, level
        self.nbytes = 0
        self._schemas: list[Schema] = []
        self._channels: list[Channel] = []
        self._counts: dict[int, int] = {}
        self._spans: list[tuple[int, int]] = []
        self._indexes: dict[Opcode, list[bytes]] = {
            Opcode.CHUNK_INDEX: [], Opcode.ATTACHMENT_INDEX: [], Opcode.METADATA_INDEX: [],
        }  # fmt: skip
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            self._write(MAGIC, record(Opcode.HEADER, text(profile), text(library)))
        except OSError:
            os.close(self._file)
            os.unlink(path)
            raise

    def metadata(self, name: str, values: Mapping[str, str]) -> None:
        """A map with a name."""
        at, made = self.nbytes, Metadata(name, values).encode()
        self._write(made)
        self._indexes[Opcode.METADATA_INDEX].append(
            record(Opcode.METADATA_INDEX, struct.pack("<QQ", at, len(made)), text(name))
        )

    def attachment(self, name: str, media_type: str, data: Bytes, log_time: int) -> None:
        """A file in the file."""
        at, head = self.nbytes, AttachmentHead(log_time, 0, name, media_type, len(data), 0).encode()
        length = len(head) + len(data) + 4
        crc = struct.pack("<I", zlib.crc32(data, zlib.crc32(head)))
        self._write(HEAD.pack(Opcode.ATTACHMENT, length), head, data, crc)
        numbers = struct.pack("<QQQQQ", at, HEAD.size + length, log_time, 0, len(data))
        self._indexes[Opcode.ATTACHMENT_INDEX].append(
            record(Opcode.ATTACHMENT_INDEX, numbers, text(name), text(media_type))
        )

    def channel(self, topic: str, encoding: str, schema: tuple[str, str, str], metadata: Mapping[str, str]) -> int:
        """A new channel with its schema (name, encoding, data); gives its number."""
        number = len(self._channels) + 1
        made = (
            Schema(number, schema[0], schema[1], schema[2].encode()),
            Channel(number, number, topic, encoding, metadata),
        )
        self._write(made[0].encode(), made[1].encode())
        self._schemas.append(made[0])
        self._channels.append(made[1])
        return number

    def messages(self, made: bulk.Messages) -> None:
        """A chunk of at least one message, all of one channel and size: what `bulk.messages` made."""
        log = made["log_time"]
        self._chunk(
            int(made["channel"][0]), len(made), int(log.min()), int(log.max()), made.data.cast("B"), bulk.index(made)
        )

    def loose(self, channel: int, parts: Iterable[tuple[int, int, int, bytes]]) -> None:
        """A chunk of at least one message of any size: (sequence, log time, publish time, body) of each."""
        data, entries = bytearray(), []
        for sequence, log, publish, body in parts:
            entries.append((log, len(data)))
            length = bulk.MESSAGE_HEAD.size - HEAD.size + len(body)
            data += bulk.MESSAGE_HEAD.pack(Opcode.MESSAGE, length, channel, sequence, log, publish) + body
        times = [log for log, _ in entries]
        made = np.array(entries, bulk.INDEX)
        self._chunk(channel, len(entries), min(times), max(times), memoryview(data), made.tobytes())

    def sync(self) -> None:
        """What is written is on the disk."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """The summary, which lets readers jump. Without it the file is read as one that was cut."""
        if self._file < 0:
            return
        try:
            self._write(record(Opcode.DATA_END, struct.pack("<I", 0)), self._summary(self.nbytes + HEAD.size + 4))
        finally:
            file, self._file = self._file, -1
            os.close(file)

    def abandon(self) -> None:
        """Close without a summary."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def _write(self, *parts: Bytes) -> None:
        """All of it or, where the disk does not take it, nothing."""
        left = [memoryview(part).cast("B") for part in parts if len(part)]
        try:
            while left:
                done = os.writev(self._file, left)
                while left and done >= len(left[0]):
                    done -= len(left.pop(0))
                if done:
                    left[0] = left[0][done:]
        except OSError:
            os.ftruncate(self._file, self.nbytes)
            os.lseek(self._file, self.nbytes, os.SEEK_SET)
            raise
        self.nbytes += sum(memoryview(part).nbytes for part in parts)

    def _chunk(self, channel: int, count: int, start: int, end: int, data: memoryview, entries: bytes) -> None:
        packed = bulk.compress(data, self.compression, self.level)
        head = ChunkHead(start, end, len(data), zlib.crc32(data), self.compression, len(packed), 0).encode()
        index = record(Opcode.MESSAGE_INDEX, struct.pack("<HI", channel, len(entries)), entries)
        at, length = self.nbytes, HEAD.size + len(head) + len(packed)
        self._write(HEAD.pack(Opcode.CHUNK, len(head) + len(packed)), head, packed, index)
        self._counts[channel] = self._counts.get(channel, 0) + count
        self._spans.append((start, end))
        numbers = struct.pack("<QQQQ", start, end, at, length)
        sizes = struct.pack("<QQ", len(packed), len(data))
        self._indexes[Opcode.CHUNK_INDEX].append(
            record(
                Opcode.CHUNK_INDEX, numbers, offsets({channel: at + length}), struct.pack("<Q", len(index)),
                text(self.compression), sizes,
            )
        )  # fmt: skip

    def _statistics(self) -> bytes:
        attachments, metadata, chunks = (
            len(self._indexes[kind]) for kind in (Opcode.ATTACHMENT_INDEX, Opcode.METADATA_INDEX, Opcode.CHUNK_INDEX)
        )
        counts = struct.pack("<QH", sum(self._counts.values()), len(self._schemas))
        more = struct.pack("<IIII", len(self._channels), attachments, metadata, chunks)
        starts, ends = [start for start, _ in self._spans], [end for _, end in self._spans]
        span = struct.pack("<QQ", min(starts, default=0), max(ends, default=0))
        return record(Opcode.STATISTICS, counts, more, span, offsets(self._counts))

    def _summary(self, start: int) -> bytes:
        """All from the summary to the end of the file; `start`: the byte where it begins."""
        groups = {
            Opcode.SCHEMA: [schema.encode() for schema in self._schemas],
            Opcode.CHANNEL: [channel.encode() for channel in self._channels],
            Opcode.STATISTICS: [self._statistics()],
            **self._indexes,
        }
        data, where = bytearray(), b""
        for opcode, parts in groups.items():
            if parts:
                at = len(data)
                data += b"".join(parts)
                place = struct.pack("<BQQ", opcode, start + at, len(data) - at)
                where += record(Opcode.SUMMARY_OFFSET, place)
        places = start + len(data)
        data += where
        ends = HEAD.pack(Opcode.FOOTER, 20) + struct.pack("<QQ", start, places)
        crc = zlib.crc32(ends, zlib.crc32(data))
        return bytes(data) + ends + struct.pack("<I", crc) + MAGIC
