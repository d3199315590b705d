"""A station at one moment, as plain values: what the live table shows, the socket sends and the report keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from fieldbus.link.state import LINK_STATISTICS, LinkStatus
from plc_bindings.data.changes import ChangeView
from scheduler.stats import NO_LATENCY, TASK_STATISTICS, Latency, MonitorStats, SliceStats, TaskStats
from scheduler.status import TaskStatus
from station.show.recorder import RecorderView
from station.show.tags import TagView
from station.terms.durations import format_duration

_OWN: Final = ("cycles", "overruns")
"""Statistics that are attributes of `TaskView`; the others are among its `counters`."""


@dataclass(frozen=True, slots=True)
class MonitorView:
    """What a task's monitor found. `value`, `largest`: None where there was no number, or no look yet; `worst`: see `MonitorStats`."""

    value: float | None
    largest: float | None
    speaks: bool
    worst: str
    cost: Latency

    @classmethod
    def of(cls, stats: MonitorStats | None) -> MonitorView | None:
        """A monitor as it is."""
        if stats is None:
            return None
        value, largest = (number if math.isfinite(number) else None for number in (stats.value, stats.largest))
        return cls(value, largest, stats.speaks, stats.worst, stats.cost)

    @property
    def words(self) -> str:
        """For people: `monitor speaks: 2.4, speed is furthest out`; empty where it does not."""
        value = "no number" if self.value is None else f"{self.value:.3g}"
        return (
            f"monitor speaks: {value}" + (f", {self.worst} is furthest out" if self.worst else "")
            if self.speaks
            else ""
        )


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task: what it is and how it runs. `note` says in words what a person should know (outputs safe, inputs bad).

    `is_hung`: it stopped ticking inside a cycle, and its outputs were taken from it. `starting`: of the cycles with safe
    or held outputs, those before they were first live (0 as long as they never were).

    Ticks: `first_due_ns` the first, `due_ns` the next (this one as CLOCK_MONOTONIC has it, also where a bus clock shifts
    ticks), `switched_ns` the first that the newest model version served (0: there was no update). `cycles + counters["missed"]`
    ticks have come since the first.
    """

    name: str
    model: str
    model_version: int
    cycle_ns: int
    cycles: int
    overruns: int
    wake_up: Latency
    execution: Latency
    counters: Mapping[str, int]
    note: str
    first_due_ns: int
    due_ns: int
    switched_ns: int
    is_hung: bool = False
    starting: int = 0
    reaction: Latency = NO_LATENCY
    """From when inputs came to when outputs computed from them were sent; only native links count it."""
    monitor: MonitorView | None = None
    slices: SliceStats | None = None
    """Of a model that runs in slices."""

    @classmethod
    def of(cls, stats: TaskStats, model: str, note: str, starting: int) -> TaskView:
        """A task as it is."""
        return cls(
            name=stats.name,
            model=model,
            model_version=stats.model_version,
            cycle_ns=stats.period_ns,
            cycles=stats.cycles,
            overruns=stats.overruns,
            wake_up=stats.wakeup,
            execution=stats.execution,
            reaction=stats.reaction,
            counters={s.name: getattr(stats, s.name) for s in TASK_STATISTICS if s.name not in _OWN},
            monitor=MonitorView.of(stats.monitor),
            slices=stats.slices,
            note=note,
            first_due_ns=stats.first_due_ns,
            due_ns=stats.due_ns,
            switched_ns=stats.switched_ns,
            is_hung=stats.status == TaskStatus.HUNG,
            starting=starting,
        )

    def count(self, statistic: str) -> int | None:
        """A statistic by its name; None: who made this did not count it."""
        return getattr(self, statistic) if statistic in _OWN else self.counters.get(statistic)

    @property
    def slice_words(self) -> str:
        """For people, of a model in slices: `a run in 292 cycles (292 ms), at most 301; longest slice 296 of 300 us`; else empty."""
        found = self.slices
        if found is None:
            return ""
        if not found.cycles:
            return "no run in slices is done yet"
        over = self.counters.get("slice_overruns", 0)
        longer = f", {over:,} were longer" if over else ""
        latency = format_duration(found.cycles * self.cycle_ns)
        return (
            f"a run in {found.cycles:,} cycles ({latency}), at most {found.most_cycles:,}; "
            f"longest slice {found.longest_ns / 1e3:,.0f} of {found.slice_ns / 1e3:,.0f} us{longer}"
        )

    @property
    def unlive(self) -> int:
        """Cycles whose outputs were not the model's own, but safe or held."""
        return self.counters.get("safe", 0) + self.counters.get("held", 0)

    @property
    def never_live(self) -> bool:
        """Did no cycle give the model's own outputs?"""
        return self.unlive >= self.cycles > 0


class LinkView(BaseModel):
    """One link: where it goes and how it does. Statistics that have no name of their own here are attributes all the same.

    `safe_confirmed`: did the device confirm its safe values at the end? None while it runs, or without outputs, or where no client
    has called. `is_called`: by PLC clients, when they like.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, int]

    name: str
    device: str
    state: str
    round_trip: Latency
    reads: int
    writes: int
    errors: int
    reconnects: int
    safe_writes: int
    last_error: str
    safe_confirmed: bool | None = None
    timeouts: int = 0
    lost_reason: str = ""
    note: str = ""
    is_called: bool = False

    @classmethod
    def of(
        cls, name: str, device: str, status: LinkStatus, safe_confirmed: bool | None, is_called: bool = False
    ) -> LinkView:
        """A link as it is."""
        return cls(
            name=name,
            device=device,
            state=status.state,
            round_trip=Latency.of(status.round_trip),
            last_error=status.last_error,
            lost_reason=status.lost_reason,
            note=status.note,
            safe_confirmed=safe_confirmed,
            is_called=is_called,
            **{statistic.name: getattr(status, statistic.name) for statistic in LINK_STATISTICS},
        )

    def count(self, statistic: str) -> int | None:
        """A statistic by its name; None: who made this did not count it."""
        return getattr(self, statistic, None)

    @property
    def never_up(self) -> bool:
        """Was there not one good exchange?"""
        return not self.reads and not self.writes


_TELLING: Final = ("stored_records", "dropped_records", "dropped_commands", "left_out_looks")
"""Numbers of servers that people are told of when they are not 0."""


@dataclass(frozen=True, slots=True)
class ServerView:
    """One server: where it listens, and how much its clients ask. `refused`: connections, users, writes, calls, commands.

    `numbers`: what its kind counts and measures besides; `trouble`: what keeps it from serving.
    """

    name: str
    address: str
    clients: int
    requests: int
    refused: int
    numbers: Mapping[str, int] = field(default_factory=dict)
    trouble: str = ""

    @property
    def note(self) -> str:
        """Numbers that are not 0 and mean that something is not as it should be, and the trouble; empty: all is well."""
        told = [f"{self.numbers[name]:,} {name.replace('_', ' ')}" for name in _TELLING if self.numbers.get(name)]
        return "; ".join(filter(None, (", ".join(told), self.trouble)))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole station. `models`: slot -> file; `rights`: what the system did not grant, and how to get it; `tags`: as many
    as were asked for, of `tag_count`; `changes`: of each slot, its newest; `audit_number`, `audit_head`: number and hash of
    the newest record of the log of changes."""

    station: str
    pid: int
    running_s: float
    tasks: tuple[TaskView, ...]
    links: tuple[LinkView, ...]
    models: Mapping[str, str]
    rights: tuple[str, ...]
    servers: tuple[ServerView, ...] = ()
    tags: tuple[TagView, ...] = ()
    tag_count: int = 0
    changes: tuple[ChangeView, ...] = ()
    audit_number: int = 0
    audit_head: str = ""
    recorder: RecorderView | None = None
    """None: it has none."""

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        plain: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return plain

    @classmethod
    def from_json(cls, data: Any) -> Snapshot:
        """The inverse of `to_json`; raises `pydantic.ValidationError` on anything else."""
        return _adapter().validate_python(data)


@cache
def _adapter() -> TypeAdapter[Snapshot]:
    return TypeAdapter(Snapshot)
