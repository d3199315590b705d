"""What a station shows: one area for each consistent group of values.

Tags.x ...             inputs of a link, outputs of a link: two areas for each link
Tasks.axis.CycleCount  one area for each task        names as TwinCAT's PlcTaskSystemInfo has them, where it has them
Models.policy.Version  one area for each model
Links.plant.State      one area for each link
Server.Name            the station itself
Recorder.State         its recorder, where it has one
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fieldbus.image.image import Channel, ProcessImage
from fieldbus.link.link import Link
from fieldbus.link.state import LINK_STATISTICS
from fieldbus.plc.link import PlcLink
from fieldbus.statistic import Statistic
from fieldbus.tags import Quality
from plc_bindings.data.commands import NO_COMMANDS, Commands
from plc_bindings.data.database import Area, Database, Moment, Symbol
from plc_bindings.data.model_area import ModelArea, ModelFile
from plc_bindings.data.models import Models
from plc_bindings.data.packing import Packing, shown
from plc_bindings.data.record import Record, text
from plc_bindings.data.recorder_area import RecorderArea, RecorderShown
from plc_bindings.data.types import (
    BOOL,
    LREAL,
    REAL,
    SCALARS,
    UDINT,
    UINT,
    ULINT,
    Field,
    String,
    Struct,
    counted,
    identifier,
    in_words,
)
from rt_native.histogram import Histogram
from scheduler.scheduler import Scheduler
from scheduler.stats import TASK_STATISTICS

READER: Final = "plc servers"
LATENCY_EVERY_S: Final = 0.25
"""Percentiles are counted anew no more often: they take longer than all else of a request."""

_LATENCY: Final = Struct(
    "ST_RtLatency",
    (
        Field("P50", LREAL, "us"),
        Field("P99", LREAL, "us"),
        Field("P99_9", LREAL, "us"),
        Field("Max", LREAL, "us"),
        Field("Count", ULINT),
    ),
)


def _struct(name: str, statistics: Sequence[Statistic], *placed: Field | str) -> Struct:
    """Fields where they have always been, statistics among them by their symbols; then the statistics that came later."""
    scalars = {scalar.name: scalar for scalar in SCALARS.values()}
    fields = {s.symbol: Field(s.symbol, scalars[s.type], s.unit, s.meaning) for s in statistics if s.symbol}
    first = [fields.pop(field) if isinstance(field, str) else field for field in placed]
    return Struct(name, (*first, *fields.values()))


LINK_STATES: Final = ("stopped", "connecting", "up", "degraded", "down")
_LINK_STATES: Final = counted(*LINK_STATES)
_TASK_STATES: Final = counted("idle", "running", "stopped", "hung")
_ACTIONS: Final = counted("live", "held", "safe", "the fallback's")
_MOST_REAL: Final = 3.0e38
_OF_MONITOR: Final = ("MonitorValue", "MonitorLargest")


def _later(type_: Struct, statistics: Sequence[Statistic]) -> tuple[tuple[str, int], ...]:
    """(name, mask) of the statistics that lie behind `Reset`.

    Of a command there, which reads as 0, ("", 0); of percentiles, and of what the monitor found, their name, and 0. No BOOL:
    another coil would move those of the next task.
    """
    names = {s.symbol: s.name for s in statistics}
    fields = type_.fields[list(type_.offsets).index("Reset") + 1 :]
    return tuple(
        (names[f.name], (1 << 8 * f.type.size) - 1)
        if f.name in names
        else (f.name if f.type is _LATENCY or f.name in _OF_MONITOR else "", 0)
        for f in fields
    )


_TASK: Final = _struct(
    "ST_RtTask",
    TASK_STATISTICS,
    Field("CycleTime", UDINT, "100 ns"),
    Field("Priority", UINT, comment="SCHED_FIFO: 99 is the highest"),
    "CycleCount",
    Field("LastExecTime", UDINT, "100 ns"),
    Field("CycleTimeExceeded", BOOL, comment="the newest deadline was missed"),
    "ExceedCounter",
    "MissedTicks",
    Field("State", UINT, comment=in_words(_TASK_STATES), names=_TASK_STATES),
    Field("Action", UINT, comment=f"newest outputs: {in_words(_ACTIONS)}", names=_ACTIONS),
    Field("Status", UDINT, comment="why; 0 is good"),
    Field("ModelVersion", UDINT),
    Field("WakeUp", _LATENCY),
    Field("Execution", _LATENCY),
    Field("Reset", BOOL, comment="write TRUE: counters and percentiles from 0"),
    "StateResets",
    Field("ResetState", UINT, comment="write 1: what model and step keep from cycle to cycle begins anew"),
    Field("Reaction", _LATENCY, comment="from when inputs came to when outputs computed from them were sent"),
    Field("MonitorValue", REAL, comment="of the monitor, newest; 0 without one, 3E38 for infinite"),
    Field("MonitorLargest", REAL, comment="since the start or the last reset"),
)
_TASK_LATER: Final = _later(_TASK, TASK_STATISTICS)
_LINK: Final = _struct(
    "ST_RtLink",
    LINK_STATISTICS,
    Field("State", UINT, comment=in_words(_LINK_STATES), names=_LINK_STATES),
    *("Reads", "Writes", "Errors", "Reconnects", "SafeWrites", "Timeouts"),
    Field("RoundTrip", _LATENCY),
    Field("LastError", String(127)),
    Field("Reset", BOOL, comment="write TRUE: counters from 0"),
)
_LINK_LATER: Final = _later(_LINK, LINK_STATISTICS)
_SERVER: Final = Struct(
    "ST_RtServer",
    (
        Field("Name", String(63)),
        Field("EngineVersion", String(31)),
        Field("RunningSeconds", LREAL, "s"),
        Field("Tasks", UDINT),
        Field("Models", UDINT),
        Field("Links", UDINT),
        Field("AuditNumber", UDINT, comment="records in the log of changes"),
        Field("AuditHead", String(64), comment="hash of its newest record: kept elsewhere, it proves the log up to it"),
    ),
)


class _Latency:
    """Percentiles of a histogram in microseconds, counted anew now and then."""

    def __init__(
        self, histogram: Histogram | Callable[[], Histogram], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._histogram, self._now, self._due = histogram, now, 0.0
        self._values: tuple[float, ...] = (0.0,) * 4
        self._count = 0

    def values(self) -> tuple[float, ...]:
        now = self._now()
        if now >= self._due:
            self._due = now + LATENCY_EVERY_S
            h = self._histogram if isinstance(self._histogram, Histogram) else self._histogram()
            self._values = (*(ns / 1e3 for ns in h.percentiles(50, 99, 99.9)), h.max / 1e3)
            self._count = h.count
        return (*self._values, self._histogram.count if isinstance(self._histogram, Histogram) else self._count)


class TaskArea(Record):
    """A task: what TwinCAT shows of one, and percentiles."""

    def __init__(self, name: str, scheduler: Scheduler) -> None:
        super().__init__(f"Tasks.{name}", _TASK, "Reset", "ResetState")
        self._name, self._scheduler = name, scheduler
        self._task = next(task for task in scheduler.tasks if task.name == name)
        self._wakeup, self._execution = map(_Latency, scheduler.histograms(name))
        self._reaction = _Latency(lambda: scheduler.reaction(name))
        self._execution_ns = scheduler.histograms(name)[1]

    def values(self) -> Sequence[Any]:
        """See `_TASK`."""
        c = self._scheduler.counters(self._name)
        return (
            self._task.period_ns // 100,
            self._task.priority,
            c["cycles"],
            min(self._execution_ns.last // 100, 0xFFFF_FFFF),
            c["overruns_in_a_row"] > 0,
            c["overruns"] & 0xFFFF_FFFF,
            c["missed"],
            int(self._scheduler.state(self._name)),
            c["action"],
            c["status"],
            c["version"],
            *self._wakeup.values(),
            *self._execution.values(),
            False,
            *(number for name, mask in _TASK_LATER for number in self._later(c, name, mask)),
        )

    def _later(self, counters: Mapping[str, int], name: str, mask: int) -> tuple[float, ...]:
        if name == "Reaction":
            return self._reaction.values()
        if name in _OF_MONITOR:
            value = self._scheduler.monitored(self._name)[_OF_MONITOR.index(name)]
            return (min(max(value, -_MOST_REAL), _MOST_REAL),)
        return (counters[name] & mask if name else 0,)

    def write(self, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        """A TRUE in Reset starts the counters anew; another number than 0 in ResetState, what the task keeps."""
        if data[_TASK.offsets["Reset"]]:
            self._scheduler.reset_stats(self._name, wait=False)
        at = _TASK.offsets["ResetState"]
        if any(data[at : at + UINT.size]):
            self._scheduler.reset_state(self._name)


class LinkArea(Record):
    """A link: how it does."""

    def __init__(self, link: Link) -> None:
        super().__init__(f"Links.{link.name}", _LINK, "Reset")
        self._link = link
        self._round_trip = _Latency(link.status().round_trip)

    def values(self) -> Sequence[Any]:
        """See `_LINK`."""
        s = self._link.status()
        counts = (s.reads, s.writes, s.errors, s.reconnects, s.safe_writes, s.timeouts)
        later = (getattr(s, name) & mask for name, mask in _LINK_LATER)
        return (LINK_STATES.index(s.state), *counts, *self._round_trip.values(), text(s.last_error, 127), False, *later)

    def write(self, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        """A TRUE in Reset starts the counters anew."""
        if data[_LINK.offsets["Reset"]]:
            self._link.reset_counters()


class ServerArea(Record):
    """The station itself."""

    def __init__(
        self, station: str, version: str, counts: tuple[int, int, int], audit_head: Callable[[], tuple[int, str]]
    ) -> None:
        super().__init__("Server", _SERVER)
        self._audit_head = audit_head
        self._head, self._counts = (text(station, 63), text(version, 31)), counts
        self._begun_s = time.monotonic()

    def values(self) -> Sequence[Any]:
        """See `_SERVER`."""
        number, hash_ = self._audit_head()
        running_s = time.monotonic() - self._begun_s
        return (*self._head, running_s, *self._counts, number & 0xFFFF_FFFF, text(hash_, 64))


class ChannelArea(Area):
    """Tags of a link to a device, as they were last read or sent."""

    def __init__(self, name: str, channel: Channel) -> None:
        self._channel = channel
        self.packing = Packing(f"ST_{identifier(name)}", [shown(tag) for tag in channel.tags])
        super().__init__(name, self.packing.type)

    def read(self) -> bytes:
        """All tags of one moment."""
        return self.packing.pack(self._channel.latest()[0])

    def moment(self) -> Moment:
        """The same, with what the link says of it."""
        sample = self._channel.read()
        return Moment(lambda: self.packing.pack(sample.values), sample.quality, sample.timestamp_ns)


class PlcOutputs(Area):
    """What tasks drive for PLC clients."""

    def __init__(self, name: str, link: PlcLink) -> None:
        self._link = link
        self.packing = Packing(f"ST_{identifier(name)}", link.output_tags)
        super().__init__(name, self.packing.type)

    def read(self) -> bytes:
        """All outputs of one moment, safe values where a task does not drive them."""
        return self.packing.pack(self._link.outputs())


class PlcInputs(Area):
    """What PLC clients write for tasks: one group, published at once."""

    def __init__(self, name: str, link: PlcLink) -> None:
        self._link = link
        self.packing = Packing(f"ST_{identifier(name)}", link.input_tags)
        super().__init__(name, self.packing.type, can_write=True)

    def read(self) -> bytes:
        """All inputs as they were last written."""
        return self.packing.pack(self._link.inputs())

    def moment(self) -> Moment:
        """The same; good as long as clients write them."""
        data, quality = self.read(), Quality.GOOD if self._link.status().state == "up" else Quality.BAD
        return Moment(lambda: data, quality, time.monotonic_ns())

    def write(self, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        """Publish all inputs to the tasks."""
        cells = [cell for place in changed for cell in self.packing.cells(*place)]
        self._link.write(self._values(data), cells)

    def _values(self, data: bytes) -> NDArray[np.float64]:
        return self.packing.unpack(data)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a database is made of. `tags` is their order in the station's file; `audit_head`: number and hash of
    the newest record of the log of changes."""

    station: str
    version: str
    links: Mapping[str, Link]
    models: Models
    files: Mapping[str, ModelFile]
    scheduler: Scheduler
    image: ProcessImage
    tags: Sequence[str]
    commands: Commands = NO_COMMANDS
    audit_head: Callable[[], tuple[int, str]] = lambda: (0, "")
    recorder: RecorderShown | None = None


def database(shown: Shown) -> Database:
    """Everything of a station as areas and symbols.

    Raises:
        NameClashError: two names become the same, since clients do not tell case, or `-` from `_`.
    """
    counts = (len(shown.scheduler.tasks), len(shown.models.all), len(shown.links))
    areas: list[Area] = [ServerArea(shown.station, shown.version, counts, shown.audit_head)]
    symbols = [Symbol("Server", _SERVER, 0, 0)]

    def add(name: str, area: Area) -> None:
        symbols.append(Symbol(name, area.type, len(areas), 0))
        areas.append(area)

    for served in shown.models.all:
        add(f"Models.{identifier(served.name)}", ModelArea(served, shown.files[served.name], shown.commands))
    for task in shown.scheduler.tasks:
        add(f"Tasks.{identifier(task.name)}", TaskArea(task.name, shown.scheduler))
    for link in shown.links.values():
        add(f"Links.{identifier(link.name)}", LinkArea(link))
    tags: dict[str, Symbol] = {}
    for link in shown.links.values():
        limits = {tag.name: (tag.low, tag.high) for tag in link.tags}
        for area in _tag_areas(link, shown.image):
            packing: Packing = area.packing  # type: ignore[attr-defined]
            for tag, field in zip(packing.tags, packing.type.fields, strict=True):
                place = packing.type.offsets[field.name]
                name = f"Tags.{field.name}"
                tags[tag.name] = Symbol(name, field.type, len(areas), place, tag.unit, "", *limits[tag.name])
            areas.append(area)
    symbols += [tags[name] for name in shown.tags if name in tags]
    if shown.recorder is not None:  # it came later: it lies behind all others
        add("Recorder", RecorderArea(shown.recorder))
    extra = [struct for served in shown.models.all for struct in (served.signature.inputs, served.signature.outputs)]
    return Database(areas, symbols, extra)


def _tag_areas(link: Link, image: ProcessImage) -> Iterator[Area]:
    inputs = [tag.name for tag in link.tags if tag.direction == "in"]
    has_outputs = len(inputs) < len(link.tags)
    if isinstance(link, PlcLink):
        if inputs:
            yield PlcInputs(f"{link.name}.In", link)
        if has_outputs:
            yield PlcOutputs(f"{link.name}.Out", link)
        return
    if inputs:
        yield ChannelArea(f"{link.name}.In", link.subscribe(image, inputs, READER))
    if has_outputs:
        yield ChannelArea(f"{link.name}.Out", link.observe(image, READER))
