"""One recording, of one file or many: what was said with it, its events, and its tasks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rt_engine.errors import RecordingError
from rt_engine.recording import contents as names
from rt_engine.recording.contents import Event, Version, version_of
from rt_engine.recording.file import Damage, Piece, RecordingFile, opened
from rt_engine.recording.layout import TaskLayout
from rt_engine.recording.mcap import reader
from rt_engine.recording.mcap.reader import FileSource, Source
from rt_engine.recording.rows import Rows, ordered
from rt_engine.recording.task import TaskRecording

SUFFIX = ".mcap"
MOST_FILES = 100_000


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a recording; `read` gives its bytes, checked."""

    name: str
    nbytes: int
    media_type: str
    read: Callable[[], bytes]


class Recording:
    """Files that were recorded by one station, as one. Made by `open`."""

    def __init__(self, files: tuple[RecordingFile, ...]) -> None:
        self.files = files
        self._tasks: dict[str, TaskRecording] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        """Of the files."""
        return tuple(file.path for file in self.files)

    @property
    def about(self) -> dict[str, str]:
        """What the newest file says of itself: machine, software, offset_ns (UTC minus the tasks' clock), ..."""
        return self.files[-1].about

    @property
    def station_text(self) -> str:
        """The newest station file that is in it; "": none."""
        return next((file.station_text for file in reversed(self.files) if file.station_text), "")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that have a layout in it."""
        return tuple(self._layouts)

    @cached_property
    def _layouts(self) -> dict[str, list[TaskLayout]]:
        """Of each task, that of each file that has one."""
        found: dict[str, list[TaskLayout]] = {}
        for file in self.files:
            for task, layout in file.layouts.items():
                found.setdefault(task, []).append(layout)
        return found

    def task(self, name: str | None = None) -> TaskRecording:
        """A task's cycles; without a name those of the only one.

        Raises:
            RecordingError: there is no such task, or several and no name; it says which there are.
        """
        if name is None and len(self._layouts) == 1:
            (name,) = self._layouts
        if name is None or name not in self._layouts:
            wanted = "which task? Name one (--task NAME):" if name is None else f"no task '{name}' in the recording;"
            raise RecordingError(f"{wanted} it has {', '.join(self.tasks) or 'none'}")
        if name not in self._tasks:
            records, checkpoints = (
                Rows(ordered(self._pieces(name, kind))) for kind in (names.RECORDS, names.CHECKPOINTS)
            )
            self._tasks[name] = TaskRecording(name, self.paths, self._layouts[name], records, checkpoints)
        return self._tasks[name]

    def _pieces(self, task: str, kind: str) -> Iterable[Piece]:
        for file in self.files:
            if task in file.layouts:
                for channel, chunk, count in file.chunks(kind, task):
                    yield Piece(file, chunk, channel, file.layouts[task], kind == names.CHECKPOINTS, count)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What happened: dictionaries with `tick_ns`, `kind`, and `utc_ns`, in order of time."""
        found = [
            {**event, "utc_ns": event["tick_ns"] + file.offset_ns} for file in self.files for event in file.events()
        ]
        return tuple(sorted(found, key=lambda event: int(event["utc_ns"])))

    @cached_property
    def versions(self) -> dict[str, dict[int, Version]]:
        """Task -> number in its records -> which model that is: what files begin with, and events of kind "version"."""
        known = [version for file in self.files for version in file.versions]
        told = [version for event in self.events if (version := version_of(event)) is not None]
        found: dict[str, dict[int, Version]] = {}
        for version in (*known, *told):
            found.setdefault(version.task, {})[version.number] = version
        return found

    @cached_property
    def attachments(self) -> dict[str, Attachment]:
        """Name -> the attached file, the newest where several have a name."""
        found = {}
        for file in self.files:
            for one in file.contents.attachments:
                read = _reading(file, one)
                found[one.head.name] = Attachment(one.head.name, one.head.nbytes, one.head.media_type, read)
        return found

    def has_model(self, sha256: str) -> bool:
        """Is the model with that hash attached?"""
        return self._model(sha256) is not None

    def model(self, sha256: str) -> bytes | None:
        """The attached model with that hash; None: it is not attached.

        Raises:
            RecordingError: it is damaged.
        """
        found = self._model(sha256)
        return None if found is None else found.read()

    def _model(self, sha256: str) -> Attachment | None:
        wanted = f"{names.MODELS}{sha256}"
        return next((each for name, each in self.attachments.items() if sha256 and name.startswith(wanted)), None)

    @property
    def damaged(self) -> tuple[Damage, ...]:
        """What could not be read: where files end too early, and what of them was found damaged by what was read so far."""
        ends = (Damage(file.path, file.ending.at, file.ending.why) for file in self.files if file.ending.why)
        return (*ends, *(damage for file in self.files for damage in file.damaged))

    def check(self) -> tuple[Damage, ...]:
        """`damaged`, after all records, checkpoints, events and attachments have been read."""
        assert self.events is not None
        for name in self.tasks:
            task = self.task(name)
            for rows in (task.record_rows, task.checkpoint_rows):
                for _ in rows.blocks(0, len(rows)):
                    pass
        for file in self.files:
            for one in file.contents.attachments:
                try:
                    reader.attached(file.source, one)
                except RecordingError as error:
                    file.damage(one.at, error)
        return self.damaged


def _reading(file: RecordingFile, attachment: reader.Attachment) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return reader.attached(file.source, attachment)
        except RecordingError as error:
            file.damage(attachment.at, error)
            raise

    return read


def open(
    where: str | Path | Iterable[str | Path], source: Callable[[str], Source] = lambda path: FileSource(Path(path))
) -> Recording:
    """A recording: a file, a folder (its *.mcap), or several of them. Nothing is read but what they say they have.

    A file that was cut off or damaged has what can be read of it, and says the rest in `Recording.damaged`.

    Args:
        where: paths, or what `source` takes.
        source: opens a file; another one reads what is not on a disk.

    Raises:
        RecordingError: there is no recording in it, or a file is none.
        OSError: a file cannot be opened.
    """
    given = (where,) if isinstance(where, str | Path) else where
    paths = [path for each in given for path in _files(each)]
    if not paths:
        raise RecordingError(f"no recordings (*{SUFFIX}) in {where}")
    if len(paths) > MOST_FILES:
        raise RecordingError(f"{len(paths)} files; open up to {MOST_FILES} at once")
    files = [opened(path, source(path)) for path in dict.fromkeys(paths)]
    return Recording(tuple(sorted(files, key=_begin)))


def _files(where: str | Path) -> list[str]:
    path = Path(where)
    return sorted(str(file) for file in path.glob(f"*{SUFFIX}")) if path.is_dir() else [str(where)]


def _begin(file: RecordingFile) -> int:
    return min((chunk.head.start for chunk in file.contents.chunks), default=0)
