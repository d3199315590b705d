"""Recordings: what a task saw, thought and did in every cycle, in MCAP files.

    TaskLayout  -->  Writer  -->  *.mcap  -->  mcap.reader.scan  -->  Recording  -->  TaskRecording  -->  arrays, segments, export
    the record       chunks                    what is there          one or many     one task

`open(path)` reads them; `Writer` makes them. The format is drawn in `layout`, `contents` and `mcap.writer`.
"""

from rt_engine.recording.contents import Version
from rt_engine.recording.layout import Field, Flag, Phase, SourceFields, TaskLayout
from rt_engine.recording.recording import Attachment, Recording, open
from rt_engine.recording.segments import Segment
from rt_engine.recording.task import Checkpoint, Gap, TaskRecording
from rt_engine.recording.writer import Writer

__all__ = [
    "Attachment", "Checkpoint", "Field", "Flag", "Gap", "Phase", "Recording", "Segment", "SourceFields", "TaskLayout", "TaskRecording",
    "Version", "Writer", "open",
]  # fmt: skip
