"""What a recorder costs: bytes a second, hours that fit its quota, memory. Before compression, which nobody can foretell."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rt_native.memory import align
from scheduler.scheduler import Scheduler
from scheduler.task import Task
from station.recorder.home import BASE
from station.recorder.recorder import capacity, checkpoints
from station.terms.lengths import format_size
from station.terms.recorder import RecorderTable

NS: Final = 1e9
S_PER_HOUR: Final = 3600.0
MESSAGE_BYTES: Final = 35 + 16
"""Around each record in a file: the head of its message, its header, its place in the index."""


@dataclass(frozen=True, slots=True)
class Cost:
    """`bytes_per_s`: of all recorded tasks, while cycles are kept; `episode_bytes`: of one trigger; 0 where all is kept."""

    mode: str
    tasks: int
    bytes_per_s: float
    quota: int
    quota_s: float
    episode_bytes: float
    memory: int
    compression: str
    room: int | None = None
    """Bytes that shared memory has now; None: not known."""

    def lines(self) -> Iterator[str]:
        """For people."""
        packed = ", before compression" if self.compression != "none" else ""
        rate = (
            f"{format_size(self.bytes_per_s)} per second of {self.tasks} task{'s' if self.tasks != 1 else ''}{packed}"
        )
        holds = f"the quota of {format_size(self.quota)} holds {_length(self.quota_s)}"
        if self.episode_bytes:
            count = int(self.quota // self.episode_bytes)
            holds = f"a trigger keeps {format_size(self.episode_bytes)}, the quota of {format_size(self.quota)} holds {count:,}"
        yield f"recorder: {rate}; {holds}; {format_size(self.memory)} of locked memory"
        if self.room is not None and self.memory > self.room:
            yield (
                f"note: {BASE} has room for {format_size(self.room)} now: nothing would be recorded; less `before` or `stall`, "
                f"or a larger one (mount -o remount,size=... {BASE}; docker --shm-size)"
            )
        if self.episode_bytes > self.quota:
            yield "note: one trigger keeps more than the quota holds: a larger quota, or less before and after"


def cost_of(table: RecorderTable, tasks: Sequence[Task]) -> Cost:
    """Of a station with these tasks."""
    scheduler = Scheduler(tasks)
    try:
        layouts = scheduler.layouts()
    finally:
        scheduler.close()
    found = {name: layout for name, layout in layouts.items() if name in (table.tasks or layouts)}
    rate, memory = 0.0, 0
    for layout in found.values():
        rate += (layout.nbytes + MESSAGE_BYTES) * NS / layout.period_ns
        rate += (layout.checkpoint_bytes + MESSAGE_BYTES) * NS / max(table.checkpoint_ns, layout.period_ns)
        memory += capacity(table, layout.period_ns) * align(layout.nbytes)
        memory += checkpoints(table, layout.period_ns) * align(layout.checkpoint_bytes)
    kept_s = (table.before_ns + table.checkpoint_ns + table.after_ns) / NS
    episode = rate * kept_s if table.mode == "trigger" else 0.0
    quota_s = table.quota / rate if rate else 0.0
    return Cost(table.mode, len(found), rate, table.quota, quota_s, episode, memory, table.compression, _room())


def _room() -> int | None:
    try:
        found = os.statvfs(BASE)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _length(seconds: float) -> str:
    if seconds >= 48 * S_PER_HOUR:
        return f"{seconds / (24 * S_PER_HOUR):.1f} days"
    return f"{seconds / S_PER_HOUR:.1f} hours" if seconds >= S_PER_HOUR else f"{seconds / 60:.0f} min"
