"""The record of one cycle of a task, and of a checkpoint: what the tap writes, files keep, and replay reads.

All fields are 8 bytes wide, int64 or float64, little-endian, without padding. So the same bytes are a C struct, a slot of the ring,
an element of a NumPy array (`TaskLayout.dtype`), and the body of a ROS 2 message (`TaskLayout.schema`) after 4 bytes of header:

    byte 0                HEAD                                             176 bytes
         176              of the first source   SOURCE_HEAD                 32 bytes   TaskLayout.source_at(0)
                                                float64[cells]                         TaskLayout.values_at(0)
         ...              of each other source likewise, in a row
         raw_at           float64[outputs]      as given to the guard
         published_at     float64[outputs]      after it
         nbytes           the end

A checkpoint is all that a task remembers between two cycles:

    byte 0                CHECKPOINT_HEAD                                   48 bytes
         48               the regions, one behind the other, as `Regions` has them; never padded

The parts that are not there (no source, no output) are no fields of the dtype.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import RecordingError
from rt_engine.recording.record_block import CHECKPOINT_HEAD, CLOCKS, HEAD, SOURCE_HEAD, Flag, Phase
from rt_engine.recording.ros2msg import definition, safe_names

__all__ = ["CHECKPOINT_HEAD", "CLOCKS", "HEAD", "SOURCE_HEAD", "Field", "Flag", "Phase", "SourceFields", "TaskLayout"]

FORMAT = 1
"""Of the layout as JSON, and with it of the records."""
WORD = 8
MOST_CELLS = 1 << 20
"""In one record: 8 MiB."""
MOST_BYTES = 1 << 27
"""In one checkpoint: 128 MiB."""
MOST_NAMES = 1 << 16
LONGEST_NAME = 1 << 10

Records = NDArray[np.void]
Floats = NDArray[np.float64]

Regions = tuple[tuple[str, int], ...]
"""(name, bytes) of each part of a checkpoint, in order."""


@dataclass(frozen=True, slots=True)
class Field:
    """A run of values that have one name: a tag, or an array of a device.

    Args:
        name: as the station file has it.
        count: values, at least 1.
        unit: as said in the station file or the contract; "": not known.
    """

    name: str
    count: int = 1
    unit: str = ""

    def __post_init__(self) -> None:
        _check_name("a field", self.name)
        _check_number(f"count of field '{self.name}'", self.count, 1, MOST_CELLS)
        if not isinstance(self.unit, str) or len(self.unit) > LONGEST_NAME:
            raise RecordingError(f"unit of field '{self.name}' is no text of up to {LONGEST_NAME} characters")


@dataclass(frozen=True, slots=True)
class SourceFields:
    """An input channel: `tags` are all its cells, in order."""

    link: str
    tags: tuple[Field, ...]

    def __post_init__(self) -> None:
        _check_name("a link", self.link)

    @property
    def cells(self) -> int:
        """float64 values of the channel."""
        return sum(tag.count for tag in self.tags)

    @property
    def nbytes(self) -> int:
        """Of its part of a record."""
        return SOURCE_HEAD.itemsize + WORD * self.cells


@dataclass(frozen=True, slots=True)
class TaskLayout:
    """What one record of a task has, and where.

    Args:
        task: its name.
        period_ns: of its cycle.
        sources: its input channels, in the order of the task's SOURCE structs.
        outputs: in the order of the task's `raw`, all together as many values as it has.
        regions: of its checkpoints; empty: it has none.

    Raises:
        RecordingError: a name is empty or too long, a count or a size is out of range, or a record would be too large.
    """

    task: str
    period_ns: int
    sources: tuple[SourceFields, ...]
    outputs: tuple[Field, ...]
    regions: Regions = field(default=())
    _dtypes: dict[str, "np.dtype[np.void]"] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_name("a task", self.task)
        _check_number(f"period_ns of task '{self.task}'", self.period_ns, 1, (1 << 63) - 1)
        _check_number(f"names of task '{self.task}'", self._names, 0, MOST_NAMES)
        _check_number(f"words of a record of task '{self.task}'", self.nbytes // WORD, 0, MOST_CELLS)
        for name, nbytes in self.regions:
            _check_name("a region", name)
            _check_number(f"bytes of region '{name}' of task '{self.task}'", nbytes, 1, MOST_BYTES)
        _check_number(f"bytes of a checkpoint of task '{self.task}'", self.checkpoint_bytes, 0, MOST_BYTES)

    @property
    def _names(self) -> int:
        return len(self.outputs) + len(self.regions) + sum(1 + len(source.tags) for source in self.sources)

    @property
    def output_count(self) -> int:
        """float64 values of `raw`, and of `published`."""
        return sum(output.count for output in self.outputs)

    @property
    def nbytes(self) -> int:
        """Of one record."""
        return self.published_at + WORD * self.output_count

    @property
    def raw_at(self) -> int:
        """Byte of a record where `raw` begins."""
        return HEAD.itemsize + sum(source.nbytes for source in self.sources)

    @property
    def published_at(self) -> int:
        """Byte of a record where `published` begins."""
        return self.raw_at + WORD * self.output_count

    def source_at(self, source: int) -> int:
        """Byte of a record where the SOURCE_HEAD of that source begins."""
        return HEAD.itemsize + sum(before.nbytes for before in self.sources[:source])

    def values_at(self, source: int) -> int:
        """Byte of a record where the values of that source begin."""
        return self.source_at(source) + SOURCE_HEAD.itemsize

    @property
    def checkpoint_bytes(self) -> int:
        """Of one checkpoint, head and regions."""
        return CHECKPOINT_HEAD.itemsize + sum(nbytes for _, nbytes in self.regions)

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Of a record: fields of HEAD, `inputs` (LINK (SOURCE_HEAD, TAG...)...), `raw` (NAME...), `published` (NAME...)."""
        return self._dtypes.get("record") or self._dtypes.setdefault("record", _dtype(self))

    @property
    def checkpoint_dtype(self) -> np.dtype[np.void]:
        """Of a checkpoint: fields of CHECKPOINT_HEAD, then of each region its bytes."""
        made = self._dtypes.get("checkpoint")
        return made or self._dtypes.setdefault("checkpoint", _checkpoint_dtype(self.regions))

    @property
    def schema(self) -> str:
        """Of a record, as a ROS 2 message definition; names and units of the station file stand in comments."""
        return definition(self.dtype, _notes(self))

    @property
    def checkpoint_schema(self) -> str:
        """Of a checkpoint, as a ROS 2 message definition."""
        return definition(self.checkpoint_dtype, {})

    @property
    def source_names(self) -> tuple[str, ...]:
        """Of each source, its field of `dtype["inputs"]`."""
        return safe_names(source.link for source in self.sources)

    def tag_names(self, source: int) -> tuple[str, ...]:
        """Of each tag of a source, its field of `dtype["inputs"][LINK]`."""
        return safe_names((tag.name for tag in self.sources[source].tags), taken=SOURCE_HEAD.names or ())

    @property
    def output_names(self) -> tuple[str, ...]:
        """Of each output, its field of `dtype["raw"]` and of `dtype["published"]`."""
        return safe_names(output.name for output in self.outputs)

    def source_heads(self, records: Records, source: int) -> Records:
        """SOURCE_HEAD of each record: a view, of shape (n,)."""
        return self._view(records, self.source_at(source), 1, SOURCE_HEAD)[:, 0]

    def values(self, records: Records, source: int) -> Floats:
        """What came from a source: a view, of shape (n, cells)."""
        return self._view(records, self.values_at(source), self.sources[source].cells, np.dtype("<f8"))

    def raw(self, records: Records) -> Floats:
        """Outputs as given to the guard: a view, of shape (n, output_count)."""
        return self._view(records, self.raw_at, self.output_count, np.dtype("<f8"))

    def published(self, records: Records) -> Floats:
        """Outputs after the guard: a view, of shape (n, output_count)."""
        return self._view(records, self.published_at, self.output_count, np.dtype("<f8"))

    def _view(self, records: Records, at: int, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """`count` items of `dtype` at byte `at` of each record; writing to it writes the records."""
        part = np.dtype({"names": ["part"], "formats": [(dtype, (count,))], "offsets": [at], "itemsize": self.nbytes})
        return records.view(part)["part"]

    def to_json(self) -> str:
        """For files and rings: see `from_json`."""
        whole = {
            "format": FORMAT,
            "task": self.task,
            "period_ns": self.period_ns,
            "sources": [{"link": source.link, "tags": _plain(source.tags)} for source in self.sources],
            "outputs": _plain(self.outputs),
            "regions": [[name, nbytes] for name, nbytes in self.regions],
        }
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "TaskLayout":
        """What `to_json` wrote.

        Raises:
            RecordingError: it is no JSON, lacks something, or is of a later format; it says what.
        """
        try:
            whole = json.loads(text)
            if whole["format"] != FORMAT:
                raise RecordingError(
                    f"a layout of format {whole['format']!r}, where this version reads {FORMAT}; read it with a later version"
                )
            sources = tuple(SourceFields(source["link"], _fields(source["tags"])) for source in whole["sources"])
            regions = tuple((name, nbytes) for name, nbytes in whole["regions"])
            return cls(whole["task"], whole["period_ns"], sources, _fields(whole["outputs"]), regions)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise RecordingError(f"a layout that cannot be read: {type(error).__name__}: {error}") from error


def _plain(fields: tuple[Field, ...]) -> list[list[Any]]:
    return [[f.name, f.count, f.unit] for f in fields]


def _fields(plain: Any) -> tuple[Field, ...]:
    return tuple(Field(name, count, unit) for name, count, unit in plain)


def _check_name(what: str, name: Any) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME:
        raise RecordingError(f"{what} has a name of 1 to {LONGEST_NAME} characters; got {str(name)[:40]!r}")


def _check_number(what: str, number: Any, least: int, most: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise RecordingError(f"{what} must be a whole number from {least} to {most}; got {str(number)[:40]}")


def _entries(names: tuple[str, ...], fields: tuple[Field, ...]) -> list[Any]:
    return [(name, "<f8", (f.count,)) if f.count > 1 else (name, "<f8") for name, f in zip(names, fields, strict=True)]


def _dtype(layout: TaskLayout) -> np.dtype[np.void]:
    parts: list[Any] = list(HEAD.descr)
    inputs = [
        (name, [*SOURCE_HEAD.descr, *_entries(layout.tag_names(number), source.tags)])
        for number, (name, source) in enumerate(zip(layout.source_names, layout.sources, strict=True))
    ]
    if inputs:
        parts.append(("inputs", inputs))
    if layout.outputs:
        outputs = _entries(layout.output_names, layout.outputs)
        parts += [("raw", outputs), ("published", outputs)]
    made = np.dtype(parts)
    assert made.itemsize == layout.nbytes, (made.itemsize, layout.nbytes)
    return made


def _checkpoint_dtype(regions: Regions) -> np.dtype[np.void]:
    names = safe_names((name for name, _ in regions), taken=CHECKPOINT_HEAD.names or ())
    parts = [(name, "u1", (nbytes,)) for name, (_, nbytes) in zip(names, regions, strict=True)]
    return np.dtype([*CHECKPOINT_HEAD.descr, *parts])


def _notes(layout: TaskLayout) -> dict[tuple[str, ...], str]:
    """Path of a field -> its name in the station file, and its unit."""
    notes: dict[tuple[str, ...], str] = {}
    for number, (link, source) in enumerate(zip(layout.source_names, layout.sources, strict=True)):
        notes["inputs", link] = source.link
        for name, tag in zip(layout.tag_names(number), source.tags, strict=True):
            notes["inputs", link, name] = f"{tag.name} {tag.unit}"
    for part in ("raw", "published"):
        for name, output in zip(layout.output_names, layout.outputs, strict=True):
            notes[part, name] = f"{output.name} {output.unit}"
    return notes
