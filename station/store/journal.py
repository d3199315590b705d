"""The journal: lines that are only ever added, each with what checks it. Written and synced before `append` returns.

    3f2a9c0011223344 152 {"n": 7, "kind": "change", "change": 3, "state": "TRIAL", ...}
    SHA-256 of the      bytes of     the record: JSON in one line of ASCII
    record, 16 digits   the record

Whoever reads takes the lines that are whole. What has no line end is what a power cut has left of a record that never took
effect: it is cut off. A line that does not check is damage: it stays where it is, is passed over, and is told with its place.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rt_native.files import open_file
from station.store.files import FILE_MODE, sync_folder, write_all

DIGITS: Final = 16
MOST_BYTES: Final = 256 << 20
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of the journal that does not check: where it begins, how many bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Read:
    """What a journal says: its good records, oldest first; what is damaged; how many bytes at the end are a cut record."""

    records: tuple[Record, ...]
    damage: tuple[Damage, ...] = ()
    cut: int = 0


def line(record: Record) -> bytes:
    """A record as it stands in the journal."""
    body = json.dumps(record, separators=(",", ":")).encode("ascii")
    return b"%s %d %s\n" % (_digest(body), len(body), body)


def parse(data: bytes) -> Read:
    """The journal in these bytes, whatever they are. Pure."""
    records: list[Record] = []
    damage: list[Damage] = []
    offset = 0
    *lines, cut = data.split(b"\n")
    for text in lines:
        record = _checked(text)
        if record is not None:
            records.append(record)
        elif damage and damage[-1].offset + damage[-1].size == offset:
            damage[-1] = Damage(damage[-1].offset, damage[-1].size + len(text) + 1)
        else:
            damage.append(Damage(offset, len(text) + 1))
        offset += len(text) + 1
    return Read(tuple(records), tuple(damage), len(cut))


def read(path: Path) -> Read:
    """The journal in a file; an empty one where there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                raise OSError(errno.EFBIG, f"it has {size:,} bytes, more than any station writes")
            return parse(file.readall())  # type: ignore[attr-defined]  # it is a FileIO
    except FileNotFoundError:
        return Read(())


class Journal:
    """Adds records to the file of a journal. One process, one thread at a time.

    Raises, when made:
        OSError: the file cannot be opened for writing; it is something else than a file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._doubt = path, ""
        is_new = not path.exists()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._file = os.open(path, flags, FILE_MODE)
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            if is_new:
                os.fsync(self._file)
                sync_folder(path.parent)
        except BaseException:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Add no more."""
        os.close(self._file)

    def cut(self, size: int) -> None:
        """Cut so many bytes off its end: a record that was never whole. Raises OSError."""
        os.ftruncate(self._file, os.fstat(self._file).st_size - size)
        os.fsync(self._file)

    def append(self, record: Record) -> None:
        """Add a record; it is on the disk when this returns.

        Raises:
            OSError: it is not, and never will be. Where even that cannot be made sure of, no more is added.
        """
        if self._doubt:
            raise OSError(errno.EIO, self._doubt)
        size = os.fstat(self._file).st_size
        try:
            write_all(self._file, line(record))
            os.fsync(self._file)
        except BaseException as error:
            self._take_back(size, error)
            raise

    def _take_back(self, size: int, error: BaseException) -> None:
        """Remove what may have been written of a record."""
        try:
            os.ftruncate(self._file, size)
            os.fsync(self._file)
        except OSError as again:
            self._doubt = (
                f"after an error ({error}) it is not known what {self._path} says ({again.strerror}): mend the disk, then "
                "start the station again"
            )


def _checked(text: bytes) -> Record | None:
    """The record of a line; None: the line is damaged."""
    check, _, rest = text.partition(b" ")
    size, _, body = rest.partition(b" ")
    if not size.isdigit() or len(size) > 9 or int(size) != len(body) or check != _digest(body):
        return None
    with suppress(ValueError, RecursionError):
        record = json.loads(body)
        if isinstance(record, dict):
            return record
    return None


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:DIGITS].encode()
