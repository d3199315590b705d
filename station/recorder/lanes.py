"""A lane: what one ring holds of records, or of checkpoints, and what becomes of it.

    tail                     decided              seen           head
     |  jobs, oldest first      |  undecided ticks  |  not yet      |
     v                          v                   v  looked at    v
    [job: kept][job: dropped][..][..................][..............]

The drain's thread looks and decides; the writer's thread takes jobs and gives their room back to the tap. What is not written yet
stays in the ring, which survives this process. Where the writer is too slow, the oldest jobs give way, and are counted.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np

from rt_engine.recording.layout import TaskLayout
from station.recorder.episodes import Episode, Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["records", "checkpoints"]
JOB_BYTES: Final = 1 << 20
FULL: Final = 7 / 8
"""Of a ring: fuller, and the oldest jobs give way."""


class RingLike(Protocol):
    """What is used of `scheduler.ring.Ring`."""

    layout: TaskLayout
    capacity: int
    checkpoint_capacity: int

    @property
    def head(self) -> int:
        """Records written."""

    @property
    def tail(self) -> int:
        """Records released."""

    @property
    def dropped(self) -> int:
        """Cycles for which there was no room."""

    @property
    def checkpoint_head(self) -> int:
        """Checkpoints written."""

    @property
    def checkpoint_tail(self) -> int:
        """Checkpoints released."""

    def records(self, most: int | None = None, start: int | None = None) -> Any:
        """Copies."""

    def release(self, count: int) -> None:
        """Give room back."""

    def checkpoints(self, most: int | None = None, start: int | None = None) -> Any:
        """Copies."""

    def release_checkpoints(self, count: int) -> None:
        """Give room back."""


@dataclass(eq=False, slots=True)
class Job:
    """So many, from number `first` of the ring on: kept for an episode, or dropped."""

    first: int
    count: int
    episode: Episode | None


class Lane:
    """See the module. Any thread.

    Args:
        ring: whose.
        kind: records or checkpoints.
    """

    def __init__(self, ring: RingLike, kind: Kind) -> None:
        self.ring, self.kind, self.task = ring, kind, ring.layout.task
        self._read: Callable[[int | None, int | None], Any] = ring.records if kind == "records" else ring.checkpoints
        self._release = ring.release if kind == "records" else ring.release_checkpoints
        self._capacity = ring.capacity if kind == "records" else ring.checkpoint_capacity
        nbytes = ring.layout.nbytes if kind == "records" else ring.layout.checkpoint_bytes
        self._most = max(1, JOB_BYTES // nbytes)
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._busy: Job | None = None
        self._ticks: NDArray[np.int64] = np.zeros(0, np.int64)
        self.seen = self._decided = self._tail
        self.lost = 0
        """Kept ones that gave way before they were written."""

    @property
    def _head(self) -> int:
        return self.ring.head if self.kind == "records" else self.ring.checkpoint_head

    @property
    def _tail(self) -> int:
        return self.ring.tail if self.kind == "records" else self.ring.checkpoint_tail

    def new(self, most: int | None = None) -> Any:
        """Copies of what came since the last look; they are undecided."""
        found = self._read(most, self.seen)
        self.seen += len(found)
        self._ticks = np.concatenate((self._ticks, found["tick_ns"]))
        return found

    def decide(self, plan: Plan, look_ns: int) -> None:
        """What `plan` says becomes jobs."""
        done = 0
        with self._lock:
            for part in plan.cut(self._ticks, look_ns):
                self._add(part.count, part.episode)
                done += part.count
        self._ticks = self._ticks[done:]

    def drop(self) -> None:
        """Nobody keeps anything: what was looked at is released."""
        self._release(self.seen - self._tail)
        self._decided, self._ticks = self.seen, self._ticks[:0]

    def _add(self, count: int, episode: Episode | None) -> None:
        while count:
            last = self._jobs[-1] if self._jobs else None
            most = self._most if episode is not None else count
            if last is None or last.episode is not episode or last is self._busy or last.count >= most:
                last = Job(self._decided, 0, episode)
                self._jobs.append(last)
            part = min(count, most - last.count) if episode is not None else count
            last.count, self._decided, count = last.count + part, self._decided + part, count - part

    def take(self) -> tuple[Job, Any] | None:
        """The oldest job that is kept, and copies of what is in it; None: there is none. Then `done`, before the next."""
        with self._lock:
            while self._jobs:
                job = self._jobs[0]
                if job.episode is not None:
                    self._busy = job
                    return job, self._read(job.count, job.first)
                self._jobs.popleft()
                self._release(job.count)
        return None

    def done(self) -> None:
        """What was taken is written, or given up: its room is the tap's."""
        with self._lock:
            if self._jobs and self._jobs[0] is self._busy:
                self._release(self._jobs.popleft().count)
            self._busy = None

    def given_up(self) -> None:
        """What was taken is not written: it is taken again, or lost where it gave way meanwhile."""
        with self._lock:
            if self._busy is not None and not (self._jobs and self._jobs[0] is self._busy):
                self.lost += self._busy.count
            self._busy = None

    def spare(self) -> None:
        """Make room for the tap where the writer is too slow. What is being written is in memory already, and not lost."""
        with self._lock:
            while self._jobs and self._head - self._tail > self._capacity * FULL:
                job = self._jobs.popleft()
                self._release(job.count)
                if job is not self._busy and job.episode is not None:
                    self.lost += job.count

    @property
    def waits(self) -> int:
        """How many of those that are kept are not written."""
        with self._lock:
            return sum(job.count for job in self._jobs if job.episode is not None)
