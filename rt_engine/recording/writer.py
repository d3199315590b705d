"""Writes one file of a recording."""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from rt_engine.errors import RecordingError
from rt_engine.recording import contents
from rt_engine.recording.contents import Event, Version
from rt_engine.recording.layout import Records, TaskLayout
from rt_engine.recording.mcap import bulk
from rt_engine.recording.mcap.writer import McapWriter
from rt_engine.recording.ros2msg import PACKAGE, safe_name
from rt_native.version import TEXT

CHUNK_BYTES = 1 << 20
MOST_WAITING = bulk.MOST_CHUNK // 2
"""Of one chunk: with what a message has around it, it stays below what readers take."""


class Writer:
    """A new file, which has all that replay needs; crash safe: a chunk is in it as a whole, or not at all.

    What is added waits until there is a chunk's worth of it, or until `flush`. One thread at a time.

    Args:
        path: must not be there.
        layouts: of all tasks that it will have.
        offset_ns: UTC minus the clock of the tasks: a record's log time is its tick and this.
        about: more for `Recording.about`: machine, station, boot_id (files of one boot are one time line), why, ...
        station: text of the station file.
        versions: what is known of them now; later ones come as events of kind "version".
        attachments: name -> bytes; models as "models/SHA256.onnx".
        compression: "zstd" or "none".
        level: of zstd.
        chunk_bytes: from how many bytes that wait on a chunk is written.

    Raises:
        OSError: the file cannot be made, or (`add_*`, `flush`, `close`) not be written: a disk is full. Then the file is whole up to
            the newest chunk, what waits still waits (`waiting` bytes), and the next call tries again; `discard` gives it up.
        RecordingError: zstd is wanted and not installed, or two layouts have the same task.
    """

    def __init__(
        self,
        path: Path | str,
        layouts: Iterable[TaskLayout],
        *,
        offset_ns: int,
        about: Mapping[str, str] | None = None,
        station: str = "",
        versions: Iterable[Version] = (),
        attachments: Mapping[str, bytes] | None = None,
        compression: str = "zstd",
        level: int = 1,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        known = tuple(layouts)
        self.layouts = {layout.task: layout for layout in known}
        if len(self.layouts) != len(known):
            raise RecordingError("two layouts of one task: a file has one for each")
        self.offset_ns, self.chunk_bytes = offset_ns, min(chunk_bytes, MOST_WAITING)
        self.counts = {contents.RECORDS: 0, contents.CHECKPOINTS: 0, contents.EVENTS: 0}
        """How many are in the file."""
        self._waiting: dict[int, list[tuple[Any, int]]] = {}
        self._kinds: dict[int, str] = {}
        self._event_number = 0
        name = "" if compression == "none" else compression
        self._file = McapWriter(Path(path), f"rt-engine {TEXT}", compression=name, level=level)
        try:
            self._begin(dict(about or {}), station, tuple(versions), attachments or {})
        except BaseException:
            self._file.abandon()
            self._file.path.unlink(missing_ok=True)
            raise

    def _begin(
        self, about: dict[str, str], station: str, versions: tuple[Version, ...], attachments: Mapping[str, bytes]
    ) -> None:
        """What a file begins with."""
        said = {"format": contents.FORMAT, "software": f"rt-engine {TEXT}", "created_ns": str(time.time_ns())}
        self._file.metadata(contents.ABOUT, {**said, **about, "offset_ns": str(self.offset_ns)})
        self._file.metadata(contents.LAYOUTS, {task: layout.to_json() for task, layout in self.layouts.items()})
        self._file.metadata(contents.VERSIONS, {"versions": contents.versions_to_json(versions)})
        if station:
            self._file.metadata(contents.STATION, {"text": station})
        for name, data in attachments.items():
            self.attach(name, data)
        self._channels: dict[tuple[str, str], int] = {}
        for number, layout in enumerate(self.layouts.values(), 1):
            kinds = {contents.RECORDS: layout.schema, contents.CHECKPOINTS: layout.checkpoint_schema}
            for kind, schema in kinds.items():
                message = f"{PACKAGE}/msg/{safe_name(layout.task).title().replace('_', '')}{number}{kind.title()[:-1]}"
                made = self._file.channel(
                    contents.topic(layout.task, kind), "cdr", (message, "ros2msg", schema),
                    {"task": layout.task, "kind": kind},
                )  # fmt: skip
                self._channels[layout.task, kind], self._kinds[made] = made, kind
        self._events = self._file.channel(
            contents.EVENTS_TOPIC,
            "json",
            ("rt_engine.Event", "jsonschema", contents.EVENT_SCHEMA),
            {"kind": contents.EVENTS},
        )
        self._kinds[self._events] = contents.EVENTS

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._file.path

    @property
    def nbytes(self) -> int:
        """Bytes of the file now."""
        return self._file.nbytes

    @property
    def waiting(self) -> int:
        """Bytes that were added and are not yet in the file."""
        return sum(nbytes for parts in self._waiting.values() for _, nbytes in parts)

    def add_records(self, task: TaskLayout | str, records: Records) -> None:
        """Cycles of a task, in order: an array of its `TaskLayout.dtype`, which the writer keeps until it is written."""
        layout = self._known(task)
        self._add(self._channels[layout.task, contents.RECORDS], _of(layout.dtype, records, layout.task))

    def add_checkpoints(self, task: TaskLayout | str, checkpoints: Records) -> None:
        """Checkpoints of a task, in order: an array of its `TaskLayout.checkpoint_dtype`, kept likewise."""
        layout = self._known(task)
        channel = self._channels[layout.task, contents.CHECKPOINTS]
        self._add(channel, _of(layout.checkpoint_dtype, checkpoints, layout.task))

    def add_event(self, event: Event) -> None:
        """Something that happened: a dictionary for JSON, with `tick_ns` and `kind`; see `rt_engine.recording.contents`."""
        tick = int(event["tick_ns"])
        assert isinstance(event["kind"], str)
        body = json.dumps(event, default=str).encode()
        log = max(0, tick + self.offset_ns)
        self._event_number += 1
        self._wait(self._events, [((self._event_number, log, max(0, tick), body), len(body))])

    def attach(self, name: str, data: bytes, media_type: str = "application/octet-stream") -> None:
        """A file in the file, written at once."""
        self._file.attachment(name, media_type, data, time.time_ns())

    def flush(self) -> None:
        """What waits is in the file, as the system sees it: it survives the death of this process."""
        for channel in tuple(self._waiting):
            self._write(channel)

    def sync(self) -> None:
        """`flush`, and what is in the file survives a power cut."""
        self.flush()
        self._file.sync()

    def discard(self) -> int:
        """Give up what waits; gives how many records, checkpoints and events that were."""
        lost = sum(_count(part) for parts in self._waiting.values() for part, _ in parts)
        self._waiting.clear()
        return lost

    def close(self) -> None:
        """`flush`, and write the summary."""
        try:
            self.flush()
            self._file.close()
        finally:
            self._file.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _known(self, task: TaskLayout | str) -> TaskLayout:
        name = task if isinstance(task, str) else task.task
        if name not in self.layouts or (isinstance(task, TaskLayout) and task != self.layouts[name]):
            raise RecordingError(f"task '{name}' is not in this file, or with another layout")
        return self.layouts[name]

    def _add(self, channel: int, records: Records) -> None:
        most = max(1, self.chunk_bytes // records.dtype.itemsize)
        parts = [records[at : at + most] for at in range(0, len(records), most)]
        self._wait(channel, [(part, part.nbytes) for part in parts])

    def _wait(self, channel: int, parts: list[tuple[Any, int]]) -> None:
        """First all of it waits, then it is written: an error loses nothing."""
        waiting = self._waiting.setdefault(channel, [])
        waiting += parts
        if sum(size for _, size in waiting) >= self.chunk_bytes:
            self._write(channel)

    def _write(self, channel: int) -> None:
        """All that waits for a channel, as chunks."""
        waiting = self._waiting[channel]
        while waiting:
            count, nbytes = 1, waiting[0][1]
            while count < len(waiting) and nbytes + waiting[count][1] <= self.chunk_bytes:
                nbytes, count = nbytes + waiting[count][1], count + 1
            parts = [part for part, _ in waiting[:count]]
            if channel == self._events:
                self._file.loose(channel, parts)
            else:
                whole = parts[0] if count == 1 else np.concatenate([_bytes(part) for part in parts])
                self._file.messages(self._messages(channel, whole, parts[0].dtype))
            self.counts[self._kinds[channel]] += sum(map(_count, parts))
            del waiting[:count]

    def _messages(self, channel: int, records: Records, dtype: np.dtype[np.void]) -> bulk.Messages:
        named = records.view(dtype)
        ticks = named["tick_ns"]
        log, publish = (np.maximum(times, 0).astype(np.uint64) for times in (ticks + self.offset_ns, ticks))
        return bulk.messages(channel, _bytes(records), named["number"], log, publish)


def _of(dtype: np.dtype[np.void], records: Records, task: str) -> Records:
    """`records`, in a row, if they are of that type."""
    if records.dtype != dtype or records.ndim != 1:
        raise RecordingError(f"records of task '{task}' with another layout than the file's, or of another shape")
    return records if records.flags.c_contiguous else np.ascontiguousarray(records)


def _count(part: Any) -> int:
    return len(part) if isinstance(part, np.ndarray) else 1


def _bytes(records: Records) -> Records:
    """Without names: NumPy copies them as they are, not field by field."""
    return records.view(f"V{records.dtype.itemsize}")
