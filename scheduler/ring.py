"""The ring of one task: records of its cycles and checkpoints, from its tap to a reader (drawn in `scheduler.ring_block`).

ring = Ring.create(path, layout, capacity)     this process's tap writes it; a reader of this process takes from it
ring.records(1000)                             copies, oldest first; they stay until they are released
ring.release(1000)

ring = Ring.open(path)                         what a process has left that has ended
"""

import fcntl
import mmap
import os
import stat
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import RecordingError
from rt_engine.recording.layout import TaskLayout
from rt_native.memory import align, offsets
from scheduler.errors import RingError
from scheduler.native import NATIVE
from scheduler.rights import lock_region
from scheduler.ring_block import CONSTANTS, LAYOUT_AT, MAGIC, RING, VERSION

MOST_RECORDS = 1 << 26
MOST_CHECKPOINTS = 1 << 16
MOST_BYTES = 1 << 36
MOST_LAYOUT = 1 << 26
MOST_AT_ONCE = 1 << 28
"""Bytes that one call copies at most."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PAGE = 4096
_OFFSETS = offsets(RING)
Records = NDArray[np.void]


class _Memory(Protocol):
    """Where a ring lies: mapped, or read bit by bit from the file of who has died."""

    def read(self, at: int, nbytes: int) -> NDArray[np.uint8]:
        """A copy."""

    def word(self, at: int) -> int:
        """An int64."""

    def set_word(self, at: int, value: int) -> None:
        """Write an int64."""

    def write(self, at: int, data: bytes) -> None:
        """Write bytes."""


class _Mapped:
    """Shared memory, every page of it there."""

    def __init__(self, handle: int, nbytes: int) -> None:
        self._map = mmap.mmap(handle, nbytes, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self.bytes: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        self.address = int(self.bytes.ctypes.data)
        self._load, self._store = NATIVE.function("ring_load"), NATIVE.function("ring_store")

    def read(self, at: int, nbytes: int) -> NDArray[np.uint8]:
        return self.bytes[at : at + nbytes].copy()

    def word(self, at: int) -> int:
        return int(self._load(self.address + at))

    def set_word(self, at: int, value: int) -> None:
        self._store(self.address + at, value)

    def write(self, at: int, data: bytes) -> None:
        self.bytes[at : at + len(data)] = np.frombuffer(data, np.uint8)


class _Left:
    """A file that nobody maps: it is read, so that one that is cut meanwhile is an error and no crash."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def read(self, at: int, nbytes: int) -> NDArray[np.uint8]:
        data = bytearray()
        while len(data) < nbytes:
            part = os.pread(self._handle, nbytes - len(data), at + len(data))
            if not part:
                raise RingError(f"a ring file ends at byte {at + len(data)}, before its end: it was cut meanwhile")
            data += part
        return np.frombuffer(data, np.uint8)

    def word(self, at: int) -> int:
        return int(self.read(at, 8).view(np.int64)[0])

    def set_word(self, at: int, value: int) -> None:
        self.write(at, value.to_bytes(8, "little", signed=True))

    def write(self, at: int, data: bytes) -> None:
        os.pwrite(self._handle, data, at)


class Ring:
    """Records and checkpoints of one task, oldest first. One producer, one consumer; neither waits for the other.

    Records are counted from 0: `tail` is the oldest that is there, `head` the next to come; checkpoints likewise.
    """

    def __init__(self, path: Path, handle: int, memory: _Memory, head: NDArray[Any], layout: TaskLayout) -> None:
        self.path, self.layout = path, layout
        self._handle, self._memory = handle, memory
        self.pid, self.utc_offset_ns = int(head["pid"]), int(head["utc_offset_ns"])
        self.capacity, self.checkpoint_capacity = int(head["capacity"]), int(head["checkpoint_capacity"])
        self._stride, self._checkpoint_stride = int(head["stride"]), int(head["checkpoint_stride"])
        self._slots, self._checkpoints = int(head["slots_at"]), int(head["checkpoints_at"])
        self.nbytes = int(head["nbytes"])
        self.locked = lock_region("ring", memory.address, self.nbytes) if isinstance(memory, _Mapped) else None
        """Whether its memory is; None for one that was opened."""

    # --- made and found -----------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path | str, layout: TaskLayout, capacity: int, checkpoints: int = 8) -> "Ring":
        """A new ring, all its memory there; this process holds it until `close`, or its end.

        Raises:
            RingError: there is a file of that name, no room for it, or a number is out of range.
        """
        path = Path(path)
        head = _header(layout, capacity, checkpoints)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise RingError(
                f"there is a ring {path} already: of a process that runs, or that has ended; save what it holds "
                "(Ring.open), then remove it"
            ) from None
        except OSError as error:
            raise RingError(f"no ring can be made at {path}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(handle, 0, int(head["nbytes"][0]))
            memory = _Mapped(handle, int(head["nbytes"][0]))
        except (OSError, ValueError) as error:
            os.close(handle)
            path.unlink(missing_ok=True)
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise RingError(
                f"no room for a ring of {int(head['nbytes'][0]):,} bytes at {path}: {why}; make it smaller, or the "
                "file system larger (mount -o remount,size=... /dev/shm; docker --shm-size)"
            ) from error
        memory.write(LAYOUT_AT, layout.to_json().encode())
        memory.write(0, head.tobytes())
        memory.set_word(_OFFSETS.magic, MAGIC)
        return cls(path, handle, memory, head[0], layout)

    @classmethod
    def open(cls, path: Path | str) -> "Ring":
        """What a process has left that has ended; it can be read and released, and no byte of it is trusted.

        Raises:
            RingError: it is none, is damaged, is of another version, user or start of the machine, or its process still runs.
        """
        path = Path(path)
        try:
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise RingError(f"the ring {path} cannot be opened: {error.strerror}") from error
        try:
            return cls._opened(path, handle)
        except RingError as error:
            os.close(handle)
            raise RingError(f"{path}: {error}") from error
        except BaseException:
            os.close(handle)
            raise

    @classmethod
    def _opened(cls, path: Path, handle: int) -> "Ring":
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size < RING.itemsize:
            raise RingError("this is no ring of a task: it is no file, or too short")
        if found.st_uid != os.geteuid():
            raise RingError(f"this file belongs to user {found.st_uid}, not to the one who reads it: it is not trusted")
        memory = _Left(handle)
        head = memory.read(0, RING.itemsize).view(RING)
        layout = _checked(head, memory, found.st_size)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RingError(f"the process {int(head['pid'][0])} that writes this ring still runs") from None
        return cls(path, handle, memory, head[0], layout)

    @property
    def address(self) -> int:
        """Of the mapped memory, for native code; 0 for a ring that was opened."""
        return self._memory.address if isinstance(self._memory, _Mapped) else 0

    @property
    def places(self) -> dict[str, int]:
        """Addresses and sizes for a tap (TAP of `scheduler.tap_block`) that begins with an empty ring."""
        first, checkpoint = self.address + self._slots, self.address + self._checkpoints
        return {
            "capacity": self.capacity, "stride": self._stride,
            "first_slot": first, "slot": first, "end": first + self.capacity * self._stride,
            "checkpoint_capacity": self.checkpoint_capacity, "checkpoint_stride": self._checkpoint_stride,
            "first_checkpoint": checkpoint, "checkpoint": checkpoint,
            "checkpoint_end": checkpoint + self.checkpoint_capacity * self._checkpoint_stride,
        }  # fmt: skip

    def close(self) -> None:
        """Let go of the file; what it holds stays there. No tap writes to it any more, and nobody reads."""
        if self._handle >= 0:
            fcntl.flock(self._handle, fcntl.LOCK_UN)  # the map has a descriptor of its own, of the same lock
            os.close(self._handle)
            self._handle = -1

    def remove(self) -> None:
        """Close it, and remove the file: all that it holds is saved, or nobody wants it."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        self.close()

    # --- records ------------------------------------------------------------------------------------------------------

    @property
    def head(self) -> int:
        """How many records were written in its life."""
        return self._memory.word(_OFFSETS.head)

    @property
    def tail(self) -> int:
        """How many of them were released."""
        return self._memory.word(_OFFSETS.tail)

    @property
    def dropped(self) -> int:
        """Cycles whose record found no room, all of it or nothing. Numbers of records have gaps there."""
        return self._memory.word(_OFFSETS.dropped)

    def records(self, most: int | None = None, start: int | None = None) -> Records:
        """Copies of records, of `layout.dtype`: up to `most`, from record `start` of the ring on (from `tail`, if None)."""
        first, count = _span(start, self.tail, self.head, most, self._stride)
        rows = self._rows(self._slots, self._stride, self.capacity, first, count, self.layout.nbytes)
        return rows.view(self.layout.dtype)[:, 0]

    def release(self, count: int) -> None:
        """The oldest so many records are no longer wanted: their room is the tap's."""
        self._release(_OFFSETS.tail, self.tail, self.head, count)

    def append(self, records: Records) -> int:
        """Write records as a tap does, for who has none; gives how many found room."""
        return self._append(
            self._slots, self._stride, self.capacity, _OFFSETS.head, _OFFSETS.tail, _OFFSETS.dropped, records
        )

    # --- checkpoints --------------------------------------------------------------------------------------------------

    @property
    def checkpoint_head(self) -> int:
        """How many checkpoints were written."""
        return self._memory.word(_OFFSETS.checkpoint_head)

    @property
    def checkpoint_tail(self) -> int:
        """How many of them were released."""
        return self._memory.word(_OFFSETS.checkpoint_tail)

    @property
    def refused(self) -> int:
        """Cycles in which a checkpoint was due and there was no room: it is written as soon as there is."""
        return self._memory.word(_OFFSETS.refused)

    def checkpoints(self, most: int | None = None, start: int | None = None) -> Records:
        """Copies of checkpoints, of `layout.checkpoint_dtype`, as `records`."""
        first, count = _span(start, self.checkpoint_tail, self.checkpoint_head, most, self._checkpoint_stride)
        at, stride, capacity = self._checkpoints, self._checkpoint_stride, self.checkpoint_capacity
        rows = self._rows(at, stride, capacity, first, count, self.layout.checkpoint_bytes)
        return rows.view(self.layout.checkpoint_dtype)[:, 0]

    def release_checkpoints(self, count: int) -> None:
        """As `release`."""
        self._release(_OFFSETS.checkpoint_tail, self.checkpoint_tail, self.checkpoint_head, count)

    def append_checkpoints(self, checkpoints: Records) -> int:
        """As `append`."""
        at, stride, capacity = self._checkpoints, self._checkpoint_stride, self.checkpoint_capacity
        o = _OFFSETS
        return self._append(at, stride, capacity, o.checkpoint_head, o.checkpoint_tail, o.refused, checkpoints)

    # --- both ---------------------------------------------------------------------------------------------------------

    def _rows(self, at: int, stride: int, capacity: int, first: int, count: int, nbytes: int) -> NDArray[np.uint8]:
        """`nbytes` of each of `count` slots from number `first` on, as rows; those beyond the end of the ring come from its begin."""
        found = np.empty((count, nbytes), np.uint8)
        done = 0
        while done < count:
            place = (first + done) % capacity
            part = min(count - done, capacity - place)
            whole = self._memory.read(at + place * stride, part * stride)
            found[done : done + part] = whole.reshape(part, stride)[:, :nbytes]
            done += part
        return found

    def _release(self, at: int, tail: int, head: int, count: int) -> None:
        if not 0 <= count <= head - tail:
            raise ValueError(f"{count} are to be released, and there are {head - tail}")
        self._memory.set_word(at, tail + count)

    def _append(self, at: int, stride: int, capacity: int, head: int, tail: int, lost: int, records: Records) -> int:
        for number, record in enumerate(records):
            there = self._memory.word(head)
            if there - self._memory.word(tail) >= capacity:
                self._memory.set_word(lost, self._memory.word(lost) + len(records) - number)
                return number
            self._memory.write(at + there % capacity * stride, record.tobytes())
            self._memory.set_word(head, there + 1)
        return len(records)


def _span(start: int | None, tail: int, head: int, most: int | None, stride: int) -> tuple[int, int]:
    """(First, count) of what is there from `start` on."""
    first = tail if start is None else start
    if not tail <= first <= head:
        raise ValueError(f"number {first} is not in the ring: it holds {tail} to {head}")
    count = head - first if most is None else min(most, head - first)
    return first, max(0, min(count, max(1, MOST_AT_ONCE // stride)))


def _header(layout: TaskLayout, capacity: int, checkpoints: int) -> NDArray[Any]:
    for what, number, most in (("records", capacity, MOST_RECORDS), ("checkpoints", checkpoints, MOST_CHECKPOINTS)):
        if not 1 <= number <= most:
            raise RingError(f"a ring of task {layout.task!r} for {number} {what}; it can be 1 to {most:,}")
    text = layout.to_json().encode()
    head = np.zeros(1, RING)
    stride, checkpoint_stride = align(layout.nbytes), align(layout.checkpoint_bytes)
    checkpoints_at = align(LAYOUT_AT + len(text))
    slots_at = -(-(checkpoints_at + checkpoints * checkpoint_stride) // _PAGE) * _PAGE
    nbytes = -(-(slots_at + capacity * stride) // _PAGE) * _PAGE
    if nbytes > MOST_BYTES:
        raise RingError(f"a ring of task {layout.task!r} of {nbytes:,} bytes; at most {MOST_BYTES:,}: fewer cycles")
    values = {
        "version": VERSION, "nbytes": nbytes, "pid": os.getpid(), "layout_bytes": len(text),
        "utc_offset_ns": time.time_ns() - time.monotonic_ns(), "boot": np.void(boot_id()),
        "capacity": capacity, "stride": stride, "slots_at": slots_at,
        "checkpoint_capacity": checkpoints, "checkpoint_stride": checkpoint_stride, "checkpoints_at": checkpoints_at,
    }  # fmt: skip
    for name, value in values.items():
        head[name] = value
    head["check"] = _check(head, text)
    return head


def _check(head: NDArray[Any], text: bytes) -> int:
    constants = head.copy()
    constants["magic"] = constants["check"] = 0
    return zlib.crc32(text, zlib.crc32(constants.tobytes()[:CONSTANTS]))


def _checked(head: NDArray[Any], memory: _Memory, size: int) -> TaskLayout:
    """The layout of a ring whose header is whole; RingError says what is not."""
    row = head[0]
    if row["magic"] != MAGIC:
        raise RingError("this is no ring of a task, or its process ended while it was being made")
    if row["version"] != VERSION:
        raise RingError(f"a ring of version {row['version']}, where this one reads {VERSION}: read it with the other")
    if not 0 < row["layout_bytes"] <= min(MOST_LAYOUT, size - LAYOUT_AT):
        raise RingError("the header of the ring is damaged: its layout cannot be so long")
    text = memory.read(LAYOUT_AT, int(row["layout_bytes"])).tobytes()
    if row["check"] != _check(head, text):
        raise RingError("the header of the ring is damaged: its check sum is another")
    if row["boot"].tobytes() != boot_id():
        raise RingError("the ring is of an earlier start of this machine: its ticks mean nothing any more")
    try:
        layout = TaskLayout.from_json(text)
        made = _header(layout, int(row["capacity"]), int(row["checkpoint_capacity"]))[0]
    except (RecordingError, UnicodeDecodeError) as error:
        raise RingError(f"the layout in the ring cannot be read: {error}") from error
    places = ("nbytes", "stride", "slots_at", "checkpoint_stride", "checkpoints_at")
    if any(row[name] != made[name] for name in places) or size != row["nbytes"]:
        raise RingError(f"the ring has {size:,} bytes, where its layout has {int(made['nbytes']):,}")
    for what, first, last, most in (
        ("records", row["tail"], row["head"], row["capacity"]),
        ("checkpoints", row["checkpoint_tail"], row["checkpoint_head"], row["checkpoint_capacity"]),
    ):
        if not 0 <= first <= last or last - first > most:
            raise RingError(f"the ring is damaged: {what} {first} to {last} do not fit in {most}")
    return layout


def boot_id() -> bytes:
    """16 bytes that are others after each start of the machine; zeros where the kernel does not tell."""
    try:
        return bytes.fromhex(_BOOT.read_text(encoding="ascii").strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return bytes(16)
