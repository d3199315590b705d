"""Notifications of one client: what is due, what has changed, and what may wait.

A notification is looked at every cycle time. Cyclic ones give a sample each time, the others when the value differs from
the one sent before. Samples wait up to their maximum delay, so that several travel in one packet.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final

from fieldbus.ads.frames import filetime
from plc_bindings.ads.symbols import Place

LEAST_CYCLE_S: Final = 0.001
MOST_SAMPLES_PER_S: Final = 50_000
"""Looks at values, for one connection: 50 notifications with 1 ms, or 500 with 10 ms."""
FIRST_S: Final = 0.002
"""The first sample comes no sooner: AdsLib loses one that comes before it knows the handle."""
MOST_WAITING_BYTES: Final = 32_768
_NEVER: Final = float("inf")

Samples = list[tuple[int, list[tuple[int, bytes]]]]
"""(FILETIME, [(handle, value)])."""


@dataclass(slots=True)
class _Note:
    handle: int
    place: Place
    on_change: bool
    delay_s: float
    cycle_s: float
    last: bytes | None = None


class Notifications:
    """Those of one client."""

    def __init__(self) -> None:
        self._notes: dict[int, _Note] = {}
        self._due: list[tuple[float, int, _Note]] = []
        self._order = count()
        self._waiting: Samples = []
        self._waiting_bytes = 0
        self._send_by = _NEVER
        self.samples_per_s = 0.0

    def __len__(self) -> int:
        return len(self._notes)

    def add(self, handle: int, place: Place, on_change: bool, delay_s: float, cycle_s: float, now: float) -> None:
        """A new notification."""
        note = self._notes[handle] = _Note(handle, place, on_change, delay_s, cycle_s)
        self.samples_per_s += 1 / cycle_s
        heapq.heappush(self._due, (now + FIRST_S, next(self._order), note))

    def remove(self, handle: int) -> bool:
        """Forget one; False if there is none."""
        note = self._notes.pop(handle, None)
        if note is None:
            return False
        self.samples_per_s -= 1 / note.cycle_s
        if len(self._due) > 2 * len(self._notes) + 16:  # long cycles: most of what waits there is forgotten
            self._due = [entry for entry in self._due if entry[2].handle in self._notes]
            heapq.heapify(self._due)
        return True

    @property
    def next_due(self) -> float:
        """When `due` is to be called; infinity if there are none."""
        return min(self._due[0][0] if self._due else _NEVER, self._send_by)

    def due(self, now: float, sample: Callable[[Place], bytes]) -> Samples:
        """What is to be sent now."""
        values: list[tuple[int, bytes]] = []
        while self._due and self._due[0][0] <= now:
            when, _, note = self._due[0]
            if note.handle not in self._notes:
                heapq.heappop(self._due)
                continue
            following = when + note.cycle_s
            if following <= now:
                following = now + note.cycle_s  # no burst after a delay
            heapq.heapreplace(self._due, (following, next(self._order), note))
            value = sample(note.place)
            if note.on_change and value == note.last:
                continue
            note.last = value
            values.append((note.handle, value))
            self._waiting_bytes += len(value) + 8
            self._send_by = min(self._send_by, now + note.delay_s)
        if values:
            self._waiting.append((filetime(), values))
        if self._waiting and (now >= self._send_by or self._waiting_bytes >= MOST_WAITING_BYTES):
            samples, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._send_by = _NEVER
            return samples
        return []
