"""A recorder on rings that the test fills and a clock that the test owns; the drain looks and the writer writes when told to."""

from rt_engine.recording.contents import Version
from station.recorder.drain import Drain
from station.recorder.pieces import Clocks, Facts
from station.recorder.recorder import Recorder, capacity, checkpoints
from station.recorder.shelf import Shelf
from station.terms.expressions import parse
from station.terms.recorder import RecorderTable
from tests.station.recorder.records import LAYOUT, MS, records
from tests.station.recorder.rings import FakeRing

UTC_NS = 1_790_000_000_000_000_000


class Bench:
    """`run(ms)` is the life of a station for so long: cycles, looks every 50 ms, a round of writing every second."""

    def __init__(self, folder, layouts=(LAYOUT,), **keys):
        self.table = RecorderTable.model_validate({"compression": "none", **keys})
        self.now_ns, self.offset_ns, self.told, self.counts = 0, UTC_NS, [], {}
        self.versions = [Version(layout.task, 1, "a" * 64, "mean") for layout in layouts]
        self.models = {"a" * 64: ("a" * 64 + ".onnx", b"model one")}
        self.rings = [
            FakeRing(layout, capacity(self.table, layout.period_ns), checkpoints(self.table, layout.period_ns))
            for layout in layouts
        ]
        self.clocks = Clocks(lambda: self.now_ns, lambda: self.now_ns + self.offset_ns)
        self.drain = Drain(self.rings, now=lambda: self.now_ns)
        counts = {"speed": 1, "leg": 3, "force": 1, "lamp": 1}
        self.recorder = Recorder(
            self.table,
            Shelf(folder / self.table.folder, "bench"),
            self.drain,
            Facts(
                tuple(layouts),
                "station text",
                {"station": "bench"},
                lambda: self.versions,
                self.models.get,
                {"step.py": b"def step(): ..."},
            ),
            [parse(text, counts) for text in self.table.when],
            lambda task, kind: self.counts.get((task, kind), 0),
            lambda words, level: self.told.append((level, words)),
            self.clocks,
        )
        self.folder = folder / self.table.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.drain.keeper = self.recorder

    def run(self, ms, change=lambda records: None, writes=True):
        """`change` makes the cycles of each look what the test wants."""
        end = self.now_ns + ms * MS
        while self.now_ns < end:
            for ring in self.rings:
                period = ring.layout.period_ns
                first, last = -(-self.now_ns // period), -(-(self.now_ns + 50 * MS) // period)
                made = records(last - first, first, ring.layout)
                change(made)
                ring.put(made)
                if self.now_ns % self.table.checkpoint_ns == 0:
                    ring.put_checkpoints([first * period], [first + 1])
            self.now_ns += 50 * MS
            self.drain.look()
            if writes and self.now_ns % 1_000_000_000 == 0:
                self.recorder._round()

    def stop(self):
        self.drain.stop()
        self.recorder.stop()

    def files(self):
        return sorted(self.folder.glob("*.mcap"))
