"""The process image: consistent groups of values between links and tasks, in native memory."""

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldbus.errors import ChannelError
from fieldbus.image.image_layout import CHANNEL, SLOT, SLOTS, channel_bytes, slot_stride
from fieldbus.tags import Quality, Tag
from rt_native.histogram import Histogram
from rt_native.library import Library
from rt_native.memory import Block, offsets

NATIVE = Library("fieldbus", modules=("fieldbus.image.image_native",))

_C = offsets(CHANNEL)
_S = offsets(SLOT)
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One consistent write: `values` is a private copy, `counter` 0 means that nothing was ever written."""

    values: NDArray[np.float64]
    timestamp_ns: int
    counter: int
    quality: Quality


class Channel:
    """One consistent group of cells with one writer and one reader; no reader sees half of a write, no side waits.

    One thread at a time may write and one thread at a time may read, from Python or from native code. `address` is
    what native code takes (`channel_back`, `channel_publish`, `channel_latch` of `fieldbus.image.image_native`).
    """

    def __init__(self, name: str, tags: Sequence[Tag], writer: str, reader: str, block: Block, offset: int) -> None:
        self.name, self.tags, self.writer, self.reader = name, tuple(tags), writer, reader
        self.reaction: Histogram | None = None
        """Of outputs that a native exchange sends: nanoseconds from when inputs came to when what they led to was sent."""
        self._first: dict[str, int] = {}
        cells = 0
        for tag in self.tags:
            self._first[tag.name] = cells
            cells += tag.count
        self.cells = cells
        self._starts = list(self._first.values())
        self.address: int = block.address + offset
        stride = slot_stride(cells)
        header = block.view(CHANNEL, offset)
        header["cells"], header["stride"], header["back"], header["state"], header["front"] = cells, stride, 0, 1, 2
        self._words = _words(block, offset, CHANNEL.itemsize)
        slots = [offset + CHANNEL.itemsize + i * stride for i in range(SLOTS)]
        self._heads = tuple(_words(block, at, SLOT.itemsize) for at in slots)
        self._values = tuple(block.view(np.float64, at + SLOT.itemsize, cells) for at in slots)
        for head in self._heads:
            head[_S.quality // 8] = Quality.BAD  # until the first write
        self._publish = NATIVE.function("channel_publish")
        self._latch = NATIVE.function("channel_latch")

    def index(self, tag_name: str) -> int:
        """First cell of a tag; raises `ChannelError` if the channel does not carry it."""
        try:
            return self._first[tag_name]
        except KeyError:
            has = ", ".join(self._first)
            raise ChannelError(f"channel {self.name!r} has no tag {tag_name!r}; it carries {has}") from None

    def tag_at(self, cell: int) -> tuple[Tag, int]:
        """The tag that a cell belongs to, and which of its elements it is; raises `IndexError` if there is no such cell."""
        if not 0 <= cell < self.cells:
            raise IndexError(f"channel {self.name!r} has no cell {cell}")
        place = bisect_right(self._starts, cell) - 1
        return self.tags[place], cell - self._starts[place]

    def write(self, values: ArrayLike, quality: Quality = Quality.GOOD, timestamp_ns: int | None = None) -> None:
        """Publish one value per cell; `timestamp_ns` (CLOCK_MONOTONIC) is now unless given."""
        back = self._words[_C.back // 8]
        self._values[back][:] = values
        head = self._heads[back]
        head[_S.timestamp_ns // 8] = time.monotonic_ns() if timestamp_ns is None else timestamp_ns
        head[_S.quality // 8] = quality
        self._publish(self.address)

    def read(self) -> Sample:
        """The newest complete write, copied."""
        values, timestamp_ns, counter, quality = self.latest()
        return Sample(values.copy(), timestamp_ns, counter, Quality(quality))

    def latest(self) -> tuple[NDArray[np.float64], int, int, int]:
        """(values, timestamp_ns, counter, quality) of the newest complete write, without a copy.

        `values` is a view that nobody changes until the next call.
        """
        self._latch(self.address)
        front = self._words[_C.front // 8]
        head = self._heads[front]
        return self._values[front], head[_S.timestamp_ns // 8], head[_S.counter // 8], head[_S.quality // 8]

    def __repr__(self) -> str:
        return f"<Channel {self.name!r} {self.writer} -> {self.reader}, {self.cells} cells>"


class ProcessImage:
    """Where channels live. They stay where they are, and valid, as long as the image or one of its channels lives."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self._block = Block(_CHUNK_BYTES)
        self._used = 0

    def channel(self, name: str, tags: Sequence[Tag], *, writer: str, reader: str) -> Channel:
        """A new channel for `tags`, in this order; raises `ChannelError` if the name is taken or a tag comes twice."""
        if name in self.channels:
            raise ChannelError(f"there is a channel {name!r} already: {self.channels[name]!r}")
        names = [tag.name for tag in tags]
        if not names or len(set(names)) != len(names):
            raise ChannelError(f"channel {name!r} needs one or more different tags, got {names}")
        block, offset = self._allocate(channel_bytes(sum(tag.count for tag in tags)))
        self.channels[name] = Channel(name, tags, writer, reader, block, offset)
        return self.channels[name]

    def _allocate(self, nbytes: int) -> tuple[Block, int]:
        if self._used + nbytes > self._block.nbytes:
            self._block, self._used = Block(max(nbytes, _CHUNK_BYTES)), 0
        offset, self._used = self._used, self._used + nbytes
        return self._block, offset


def _words(block: Block, offset: int, nbytes: int) -> Any:
    """A header as int64 words: a memoryview, since its items cost a tenth of a NumPy scalar's access."""
    view: Any = block.view(np.int64, offset, nbytes // 8)
    return memoryview(view)
