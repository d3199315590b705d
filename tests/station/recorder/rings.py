"""A ring in plain memory, with room for so many records and checkpoints, filled by the test."""

import numpy as np

from tests.station.recorder.records import LAYOUT


class FakeRing:
    """As `scheduler.ring.Ring`; `put` and `put_checkpoints` are its tap."""

    def __init__(self, layout=LAYOUT, capacity=1000, checkpoint_capacity=10):
        self.layout, self.capacity, self.checkpoint_capacity = layout, capacity, checkpoint_capacity
        self.head = self.tail = self.dropped = self.checkpoint_head = self.checkpoint_tail = 0
        self._records = np.zeros(64, layout.dtype)
        self._checkpoints = np.zeros(0, layout.checkpoint_dtype)

    def put(self, records):
        room = self.capacity - (self.head - self.tail)
        self.dropped += max(0, len(records) - room)
        end = self.head + min(room, len(records))
        while end > len(self._records):
            self._records = np.concatenate((self._records, np.zeros_like(self._records)))
        self._records[self.head : end] = records[:room]
        self.head = end

    def put_checkpoints(self, ticks, numbers):
        made = np.zeros(len(ticks), self.layout.checkpoint_dtype)
        made["tick_ns"], made["number"] = ticks, numbers
        self._checkpoints = np.concatenate((self._checkpoints, made))
        self.checkpoint_head += len(made)

    def records(self, most=None, start=None):
        start = self.tail if start is None else start
        assert self.tail <= start <= self.head
        return self._records[start : self.head if most is None else min(start + most, self.head)].copy()

    def release(self, count):
        assert 0 <= count <= self.head - self.tail
        self.tail += count

    def checkpoints(self, most=None, start=None):
        start = self.checkpoint_tail if start is None else start
        return self._checkpoints[start : None if most is None else start + most].copy()

    def release_checkpoints(self, count):
        assert 0 <= count <= self.checkpoint_head - self.checkpoint_tail
        self.checkpoint_tail += count
