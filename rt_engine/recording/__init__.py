"""Recordings: what a task saw, thought and did in every cycle, in MCAP files.

    TaskLayout  -->  Writer  -->  *.mcap  -->  mcap.reader.scan  -->  Recording  -->  TaskRecording  -->  arrays, segments, export
    the record       chunks                    what is there          one or many     one task

`open(path)` reads them; `Writer` makes them. The format is drawn in `layout`, `contents` and `mcap.writer`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rt_engine.recording.layout import Field, Flag, Phase, SourceFields, TaskLayout

if TYPE_CHECKING:
    from rt_engine.recording.contents import Version
    from rt_engine.recording.recording import Attachment, Recording, open
    from rt_engine.recording.segments import Segment
    from rt_engine.recording.task import Checkpoint, Gap, TaskRecording
    from rt_engine.recording.writer import Writer

_PLACES = {
    "contents": ("Version",),
    "recording": ("Attachment", "Recording", "open"),
    "segments": ("Segment",),
    "task": ("Checkpoint", "Gap", "TaskRecording"),
    "writer": ("Writer",),
}

__all__ = [
    "Attachment", "Checkpoint", "Field", "Flag", "Gap", "Phase", "Recording", "Segment", "SourceFields", "TaskLayout", "TaskRecording",
    "Version", "Writer", "open",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Files are read and written by few: who runs tasks needs the layout of a record alone."""
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"rt_engine.recording.{module}"), name)
    raise AttributeError(f"module 'rt_engine.recording' has no attribute {name!r}")
