"""One file of a recording: what it says of itself, and where its cycles are."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from rt_engine.errors import RecordingError
from rt_engine.recording import contents as names
from rt_engine.recording.contents import Event, Version
from rt_engine.recording.layout import Records, TaskLayout
from rt_engine.recording.mcap import bulk, reader
from rt_engine.recording.mcap.reader import Chunk, Contents, Ending, Source

MOST_UNINDEXED = 1 << 30
"""Bytes of a file's chunks that are unpacked, where the index does not say what is in them."""
MOST_EVENTS = 1 << 20
MOST_DAMAGE = 1000
"""Parts of a file that are noted."""
NOTHING = -1
"""No channel: in the counts of a chunk that was looked into."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of a file that is not read: where, and why."""

    path: str
    at: int
    why: str

    def __str__(self) -> str:
        return f"{self.path}, byte {self.at}: {self.why}"


@dataclass(slots=True, eq=False)
class RecordingFile:
    """A file, open. `damaged`: what of it could not be read so far, beside its `ending`."""

    path: str
    source: Source
    contents: Contents
    about: dict[str, str] = field(default_factory=dict)
    layouts: dict[str, TaskLayout] = field(default_factory=dict)
    versions: tuple[Version, ...] = ()
    station_text: str = ""
    offset_ns: int = 0
    damaged: list[Damage] = field(default_factory=list)
    _places: dict[int, list[int]] | None = None
    _of_kind: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    @property
    def ending(self) -> Ending:
        """Where what can be read ends, and why."""
        return self.contents.ending

    @property
    def boot(self) -> str:
        """Files with the same have one clock; one that does not say has its own."""
        return self.about.get("boot_id") or self.path

    def damage(self, at: int, why: object) -> None:
        """Note it, once; of very much the first."""
        made = Damage(self.path, at, str(why))
        if len(self.damaged) < MOST_DAMAGE and made not in self.damaged:
            self.damaged.append(made)

    def events(self) -> Iterator[Event]:
        """In the order of the file; those that cannot be read are noted as damage."""
        left = MOST_EVENTS
        for channel, chunk, _ in self.chunks(names.EVENTS, ""):
            try:
                bodies = [
                    body for number, _, body in bulk.each(reader.messages(self.source, chunk)) if number == channel
                ]
            except RecordingError as error:
                self.damage(chunk.at, error)
                continue
            for body in bodies[:left]:
                try:
                    yield names.event_from_json(body)
                except RecordingError as error:
                    self.damage(chunk.at, error)
            left -= min(left, len(bodies))

    def chunks(self, kind: str, task: str) -> Iterator[tuple[int, Chunk, int]]:
        """(channel, chunk, messages) of each chunk that has some of that kind, of that task."""
        if self._places is None:
            self._places = self._indexed()
        mine = self._of_kind.get((kind, task), ())
        for at, number in sorted((place, one) for one in mine for place in self._places[one]):
            chunk = self.contents.chunks[at]
            yield number, chunk, chunk.counts[number]

    def _indexed(self) -> dict[int, list[int]]:
        """Channel -> the chunks that have some of it: made once, as a file may have many tasks and many chunks."""
        places: dict[int, list[int]] = {number: [] for number in self.contents.channels}
        for number, channel in self.contents.channels.items():
            key = channel.metadata.get("kind", ""), channel.metadata.get("task", "")
            self._of_kind.setdefault(key, []).append(number)
        for at, chunk in enumerate(self.contents.chunks):
            if not chunk.counts:
                chunk = self.contents.chunks[at] = self._counted(chunk)
            if unknown := [number for number in chunk.counts if number not in places and number != NOTHING]:
                self.damage(
                    chunk.at, f"a chunk with messages of channel {min(unknown)}, which the file does not describe"
                )
            for number, count in chunk.counts.items():
                if count and number in places:
                    places[number].append(at)
        return places

    def _counted(self, chunk: Chunk) -> Chunk:
        """A chunk whose index is missing, with what it has."""
        counts: dict[int, int] = {NOTHING: 0}
        self.contents.held += chunk.head.uncompressed
        if self.contents.held > MOST_UNINDEXED:
            self.damage(chunk.at, "a chunk without an index, after too many others without")
            return Chunk(chunk.at, chunk.head, counts)
        try:
            data = reader.messages(self.source, chunk)
            layout = self._of_size(data)
            if layout is not None:
                channel, nbytes = layout
                counts[channel] = len(data) // nbytes
            else:
                for channel, _, _ in bulk.each(data):
                    counts[channel] = counts.get(channel, 0) + 1
        except RecordingError as error:
            self.damage(chunk.at, error)
        return Chunk(chunk.at, chunk.head, counts)

    def _of_size(self, data: bytes) -> tuple[int, int] | None:
        """(channel, bytes of a message) where a chunk seems to be one array: what reads it will see whether it is."""
        if len(data) < bulk.MESSAGE_HEAD.size:
            return None
        opcode, length, channel, *_ = bulk.MESSAGE_HEAD.unpack_from(data)
        whole = length + 9
        alike = opcode == 5 and whole >= bulk.MESSAGE_HEAD.size and len(data) % whole == 0
        return (channel, whole) if alike and channel in self.contents.channels else None


def opened(path: str, source: Source) -> RecordingFile:
    """A file of a recording.

    Raises:
        RecordingError: it is no MCAP file, or nothing of rt-engine is in it.
    """
    try:
        contents = reader.scan(source)
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from None
    made = RecordingFile(path, source, contents)
    found: dict[str, dict[str, str]] = {}
    for metadata in contents.metadata:
        found.setdefault(metadata.name, dict(metadata.values))
    if names.ABOUT not in found:
        end = f"; it ends at byte {made.ending.at}: {made.ending.why}" if made.ending.why else ""
        raise RecordingError(
            f"{path}: an MCAP file, but no recording of rt-engine: it has no metadata '{names.ABOUT}'{end}"
        )
    made.about = found[names.ABOUT]
    if made.about.get("format") != names.FORMAT:
        raise RecordingError(
            f"{path}: a recording of format {made.about.get('format')!r}, where this version reads {names.FORMAT}"
        )
    _fill(made, found)
    return made


def _fill(made: RecordingFile, found: dict[str, dict[str, str]]) -> None:
    """What the metadata say; what cannot be read is damage."""
    made.station_text = found.get(names.STATION, {}).get("text", "")
    try:
        made.offset_ns = int(made.about.get("offset_ns", "0")[:20])
    except ValueError as error:
        made.damage(0, f"the offset of its clock cannot be read: {error}")
    if not -(1 << 63) <= made.offset_ns < 1 << 63:
        made.offset_ns = 0
        made.damage(0, "the offset of its clock is none")
    for task, text in found.get(names.LAYOUTS, {}).items():
        try:
            made.layouts[task] = TaskLayout.from_json(text)
        except RecordingError as error:
            made.damage(0, error)
    try:
        made.versions = names.versions_from_json(found.get(names.VERSIONS, {}).get("versions", "[]"))
    except RecordingError as error:
        made.damage(0, error)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The messages of one channel in one chunk, without the first `skip`, which came before."""

    file: RecordingFile
    chunk: Chunk
    channel: int
    layout: TaskLayout
    is_checkpoint: bool
    count: int
    skip: int = 0

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.count - self.skip

    @property
    def first_ns(self) -> int:
        """Not after the first's tick."""
        return self.chunk.head.start - self.file.offset_ns

    @property
    def last_ns(self) -> int:
        """Not before the last's tick."""
        return self.chunk.head.end - self.file.offset_ns

    def read(self) -> Records:
        """All of them, in order of their ticks.

        Raises:
            RecordingError: the chunk is damaged, or its index is wrong, or ticks go back in it.
        """
        dtype = self.layout.checkpoint_dtype if self.is_checkpoint else self.layout.dtype
        found = bulk.bodies(reader.messages(self.file.source, self.chunk), self.channel, dtype)
        if len(found) != self.count:
            raise RecordingError(f"a chunk of {len(found)} messages, where its index says {self.count}")
        keys = self.keys(found)
        if not (keys[1:] >= keys[:-1]).all():
            raise RecordingError("a chunk in which ticks go back")
        if keys[0] < self.key(self.first_ns, 0) or keys[-1] > self.key(self.last_ns, 1):
            raise RecordingError("a chunk with ticks that are not within its times")
        return found[self.skip :]

    def keys(self, records: Records) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """What each is sorted by: its tick, and of checkpoints the phase."""
        ticks: np.ndarray[tuple[int], np.dtype[np.int64]] = np.ascontiguousarray(records["tick_ns"])
        return ticks * 2 + (records["phase"] & 1) if self.is_checkpoint else ticks

    def key(self, tick_ns: int, phase: int) -> int:
        """The same of a tick."""
        return 2 * tick_ns + phase if self.is_checkpoint else tick_ns
