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

from plc_bindings.ads.frames import filetime

LEAST_CYCLE_S: Final = 0.001
FIRST_S: Final = 0.002
"""The first sample comes no sooner: AdsLib loses one that comes before it knows the handle."""
MOST_WAITING_BYTES: Final = 32_768

Place = tuple[int, int, int]
Samples = list[tuple[int, list[tuple[int, bytes]]]]


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
        self._due: list[tuple[float, int, int]] = []
        self._order = count()
        self._next = 1
        self._waiting: Samples = []
        self._waiting_bytes = 0
        self._send_by = float("inf")

    def __len__(self) -> int:
        return len(self._notes)

    def add(self, place: Place, on_change: bool, delay_s: float, cycle_s: float, now: float) -> int:
        """A new notification; gives its handle."""
        handle, self._next = self._next, self._next % 0xFFFF_FFFE + 1
        cycle_s = max(cycle_s, LEAST_CYCLE_S)
        self._notes[handle] = _Note(handle, place, on_change, delay_s, cycle_s)
        heapq.heappush(self._due, (now + FIRST_S, next(self._order), handle))
        return handle

    def remove(self, handle: int) -> bool:
        """Forget one; False if there is none."""
        return self._notes.pop(handle, None) is not None

    @property
    def next_due(self) -> float:
        """When `due` is to be called; infinity if there are none."""
        return min(self._due[0][0] if self._due else float("inf"), self._send_by)

    def due(self, now: float, sample: Callable[[Place], bytes]) -> Samples:
        """What is to be sent now."""
        values: list[tuple[int, bytes]] = []
        while self._due and self._due[0][0] <= now:
            when, _, handle = heapq.heappop(self._due)
            note = self._notes.get(handle)
            if note is None:
                continue
            late = now - when
            following = when + note.cycle_s if late < note.cycle_s else now + note.cycle_s  # no burst after a delay
            heapq.heappush(self._due, (following, next(self._order), handle))
            value = sample(note.place)
            if note.on_change and value == note.last:
                continue
            note.last = value
            values.append((handle, value))
            self._waiting_bytes += len(value) + 8
            self._send_by = min(self._send_by, now + note.delay_s)
        if values:
            self._waiting.append((filetime(), values))
        if self._waiting and (now >= self._send_by or self._waiting_bytes >= MOST_WAITING_BYTES):
            samples, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._send_by = float("inf")
            return samples
        return []
