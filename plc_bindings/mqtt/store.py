"""What waits for the broker: records in order, up to so many bytes; the oldest go where more come, and are counted.

    put -->  | confirmed | sent, not confirmed | to be sent |      numbers count up from 0 for ever
             ^ gone      ^ first               ^ next       ^ end

A record leaves only when the broker has it. After a loss of the connection `next` goes back to `first`: what may have been lost is
sent again, so a record may come twice, never not at all. Records are kept as bytes, which say how much they take:

    time_ms (8) group (4) quality (1) values (2) | point (4) value (by its type; texts: length (2), UTF-8) ...

With a file what waits survives a restart: `keep` appends what is not in it yet, each record behind its length and a checksum; it is
emptied when nothing waits, and written anew when it has grown to twice the bound. Its first line names the points, since another
station file may have others. Once in `SYNC_S` the disk is waited for: that much a power cut may cost.
"""

from __future__ import annotations

import json
import math
import os
import struct
import time
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from fieldbus.tags import Quality
from plc_bindings.data.types import SCALARS
from plc_bindings.mqtt.payload import Record
from plc_bindings.mqtt.points import Point, Points, Value

_HEAD: Final = struct.Struct("<QIBH")
_POINT: Final = struct.Struct("<I")
_LENGTH: Final = struct.Struct("<H")
_FRAME: Final = struct.Struct("<II")
_CHARS: Final = {scalar.name: scalar.char for scalar in SCALARS.values()}
_OVERHEAD: Final = 64
"""Of a record in memory, beside its bytes."""
MODE: Final = 0o600
SYNC_S: Final = 1.0
MOST_VALUES: Final = 0xFFFF
"""Of one record."""


class Store:
    """Records that wait. One thread.

    Args:
        points: of the station.
        most_bytes: in memory; the file may take twice that.
        file: None: what waits is lost when the station ends.
    """

    def __init__(self, points: Points, most_bytes: int, file: Path | None = None) -> None:
        self._points, self.most_bytes, self._file = points, most_bytes, file
        self._records: deque[bytes] = deque()
        self.first = self.next = 0
        """Numbers of the oldest record that waits, and of the one to be sent next."""
        self.bytes = 0
        self.dropped = 0
        """Records that did not fit, were damaged on disk, or have no point that is still there."""
        self._doubtful = 0
        """Records that made room after they were sent and before they were confirmed."""
        self.trouble = ""
        """Why the file is not written; empty: it is."""
        self._in_file = 0
        """Number behind the last one in the file."""
        self._synced = 0
        """The same of what a power cut leaves there."""
        self._synced_s = -math.inf
        self._file_bytes = 0
        self._codes = [_code(point.type.name) for point in points.all]

    def __len__(self) -> int:
        """Records that wait."""
        return len(self._records)

    @property
    def end(self) -> int:
        """Number of the next record that comes."""
        return self.first + len(self._records)

    def put(self, record: Record) -> None:
        """One more; the oldest make room. One with more values than a record has place for becomes several."""
        for at in range(0, len(record.changes), MOST_VALUES):
            changes = record.changes[at : at + MOST_VALUES]
            self._append(self._encode(Record(record.time_ms, record.group, record.quality, changes)))

    def take(self, most: int) -> list[Record]:
        """Those to be sent next; they wait on until they are confirmed."""
        begin = self.next - self.first
        found = [self._decode(self._records[i]) for i in range(begin, min(begin + most, len(self._records)))]
        self.next += len(found)
        return found

    def confirm(self, number: int) -> None:
        """The broker has all records before this number."""
        self._doubtful = 0
        while self.first < min(number, self.next):
            self.bytes -= len(self._records.popleft()) + _OVERHEAD
            self.first += 1
        if not self._records and self._file_bytes:
            self._rewrite()

    def again(self) -> None:
        """The connection was lost: what is not confirmed is to be sent once more."""
        self.next = self.first
        self.dropped += self._doubtful
        self._doubtful = 0

    def keep(self) -> None:
        """Put what waits into the file, if there is one; to be called again and again, also where nothing has come."""
        begin = max(self._in_file, self.first)
        if self._file is None or (begin >= self.end and not self._is_due()):
            return
        if self._file_bytes > 2 * self.most_bytes or not self._file_bytes:
            self._rewrite()
            return
        new = b"".join(_framed(self._records[number - self.first]) for number in range(begin, self.end))
        self._written(new, os.O_APPEND)

    def _is_due(self) -> bool:
        """Is there something in the file that the disk may not have, and time to wait for it?"""
        return bool(self._file_bytes) and self._synced < self._in_file and time.monotonic() - self._synced_s >= SYNC_S

    def load(self) -> None:
        """Take what the file has, before anything else is put."""
        if self._file is None:
            return
        try:
            data = self._file.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            self.trouble = f"{self._file}: {error.strerror}"
            return
        for body in self._read(data):
            self._append(body)
        self._rewrite()

    def _append(self, body: bytes) -> None:
        self._records.append(body)
        self.bytes += len(body) + _OVERHEAD
        while self.bytes > self.most_bytes and self._records:
            self.bytes -= len(self._records.popleft()) + _OVERHEAD
            self.first += 1
            if self.next < self.first:  # it was never sent
                self.next = self.first
                self.dropped += 1
            else:
                self._doubtful += 1

    def _encode(self, record: Record) -> bytes:
        parts = [_HEAD.pack(record.time_ms, record.group, record.quality, len(record.changes))]
        for point, value in record.changes:
            parts.append(_POINT.pack(point.index))
            code = self._codes[point.index]
            if code is None:
                text = str(value).encode()
                parts += [_LENGTH.pack(len(text)), text]
            else:
                parts.append(code.pack(value))
        return b"".join(parts)

    def _decode(self, body: bytes) -> Record:
        time_ms, group, quality, count = _HEAD.unpack_from(body)
        changes = [(self._points.all[index], value) for index, value in _values(body, self._codes, count)]
        return Record(time_ms, group, Quality(quality), changes)

    def _rewrite(self) -> None:
        """The file has what waits, and nothing else; a crash leaves the old one or the new one."""
        if self._file is None:
            return
        names = json.dumps([[point.name, point.type.name] for point in self._points.all]).encode() + b"\n"
        temporary = self._file.with_name(self._file.name + ".new")
        data = names + b"".join(map(_framed, self._records)) if self._records else b""
        self._written(data, os.O_TRUNC, temporary)

    def _written(self, data: bytes, flag: int, temporary: Path | None = None) -> None:
        assert self._file is not None
        try:
            descriptor = os.open(temporary or self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flag, MODE)
            with os.fdopen(descriptor, "wb") as out:
                out.write(data)
                out.flush()
                is_synced = bool(data or flag == os.O_APPEND) and time.monotonic() - self._synced_s >= SYNC_S
                if is_synced:
                    os.fsync(out.fileno())
            if temporary is not None:
                temporary.replace(self._file)
                if is_synced:
                    _sync_folder(self._file)
        except OSError as error:
            self.trouble, self._file_bytes, self._in_file = f"{self._file}: {error.strerror}", 0, self.first
            return
        self.trouble, self._in_file = "", self.end
        self._file_bytes = len(data) if temporary is not None else self._file_bytes + len(data)
        if is_synced:
            self._synced, self._synced_s = self.end, time.monotonic()

    def _read(self, data: bytes) -> Iterator[bytes]:
        """Records of a file, with the numbers that its points have now."""
        head, _, rest = data.partition(b"\n")
        known = {(point.name.lower(), point.type.name): point for point in self._points.all}
        try:
            table = (
                [(known.get((name.lower(), type_)), _code(type_)) for name, type_ in json.loads(head)] if head else []
            )
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            self.dropped += 1
            return
        at = 0
        while at < len(rest):
            length, checksum = _FRAME.unpack_from(rest, at) if at + _FRAME.size <= len(rest) else (0, 1)
            body = rest[at + _FRAME.size : at + _FRAME.size + length]
            if len(body) != length or zlib.crc32(body) != checksum:  # cut by a crash: nothing is behind it
                self.dropped += 1
                return
            at += _FRAME.size + length
            fits = self._fitted(body, table)
            if fits is None:
                self.dropped += 1
            else:
                yield fits

    def _fitted(self, body: bytes, table: Sequence[tuple[Point | None, struct.Struct | None]]) -> bytes | None:
        """A record of another run, of the points that are still there; None: there is none."""
        try:
            time_ms, _, quality, count = _HEAD.unpack_from(body)
            values = list(_values(body, [code for _, code in table], count))
            changes = [(point, value) for index, value in values if (point := table[index][0]) is not None]
            group = next(
                i for i, group in enumerate(self._points.groups) if changes and group.area == changes[0][0].area
            )
            return self._encode(Record(time_ms, group, Quality(quality), changes))
        except (struct.error, IndexError, ValueError, StopIteration):
            return None


def _code(type_: str) -> struct.Struct | None:
    """How values of a type are packed; None: a text."""
    return None if type_.startswith("STRING") else struct.Struct("<" + _CHARS[type_])


def _values(body: bytes, codes: Sequence[struct.Struct | None], count: int) -> Iterator[tuple[int, Value]]:
    at = _HEAD.size
    for _ in range(count):
        (index,) = _POINT.unpack_from(body, at)
        at += _POINT.size
        code = codes[index]
        if code is None:
            (length,) = _LENGTH.unpack_from(body, at)
            at += _LENGTH.size + length
            yield index, body[at - length : at].decode(errors="replace")
        else:
            (value,) = code.unpack_from(body, at)
            at += code.size
            yield index, value


def _sync_folder(file: Path) -> None:
    """Its new name survives a power cut."""
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _framed(body: bytes) -> bytes:
    return _FRAME.pack(len(body), zlib.crc32(body)) + body
