"""What a recording's file has, read from its chunks."""

import numpy as np

from rt_engine.recording import contents
from rt_engine.recording.layout import TaskLayout
from rt_engine.recording.mcap import bulk, reader
from tests.station.recorder.records import MS


class File:
    """A file, read whole. `is_whole`: it was closed in order."""

    def __init__(self, path):
        source = reader.FileSource(path)
        found = reader.scan(source)
        self.is_whole = not found.ending.why
        self.metadata = {one.name: dict(one.values) for one in found.metadata}
        self.layouts = {k: TaskLayout.from_json(t) for k, t in self.metadata[contents.LAYOUTS].items()}
        self.attached = {one.head.name: reader.attached(source, one) for one in found.attachments}
        self.events, self._parts = [], {}
        for chunk in found.chunks:
            data = reader.messages(source, chunk)
            for number in {number for number, _, _ in bulk.each(data)}:
                about = found.channels[number].metadata
                if about["kind"] == contents.EVENTS:
                    self.events += [contents.event_from_json(body) for one, _, body in bulk.each(data) if one == number]
                    continue
                layout = self.layouts[about["task"]]
                dtype = layout.dtype if about["kind"] == contents.RECORDS else layout.checkpoint_dtype
                self._parts.setdefault((about["task"], about["kind"]), []).append(bulk.bodies(data, number, dtype))

    def records(self, task="axis", kind=contents.RECORDS):
        parts = self._parts.get((task, kind), [])
        layout = self.layouts[task]
        return np.concatenate(
            [np.zeros(0, layout.dtype if kind == contents.RECORDS else layout.checkpoint_dtype), *parts]
        )

    def checkpoints(self, task="axis"):
        return self.records(task, contents.CHECKPOINTS)

    def ticks(self, task="axis"):
        """In milliseconds."""
        return (self.records(task)["tick_ns"] // MS).tolist()

    def of_kind(self, kind):
        return [event for event in self.events if event["kind"] == kind]
