"""A link: one device, the tags in it, and the channels between it and tasks.

`fieldbus.link.cyclic` calls its device every cycle; `fieldbus.plc.link` is called by it.
"""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from fieldbus.errors import ChannelError, ConfigurationError
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.link.life import LifeSign
from fieldbus.link.log import ChangeLog
from fieldbus.link.ports import Cells, Inputs, Outputs
from fieldbus.link.state import NEXT, LinkCounts, LinkStatus, State
from fieldbus.link.values import TagValue, selected
from fieldbus.tags import Quality, Tag
from rt_native.histogram import Histogram
from rt_native.text import visible

log = logging.getLogger(__name__)

NS = 1_000_000_000
_ATTEMPTS = 10
"""A copy takes microseconds, the device's cycle longer."""
_MOST_NEWS = 64
"""Older ones that nobody took are forgotten; all are in the log."""


class Link(ABC):
    """Moves the values of `tags` between one device and the channels of those who want or drive them.

    `timeout_s` is the promise: no later than that after the device was last heard, every subscriber has quality BAD; and
    an output sample older than that is not passed on, its safe values are.
    """

    def __init__(self, name: str, tags: Sequence[Tag], timeout_s: float) -> None:
        names = [tag.name for tag in tags]
        if not names or len(set(names)) != len(names):
            raise ConfigurationError(f"link {name!r} needs one or more tags, each name once, got {names}")
        self.name, self.tags, self.timeout_s = name, tuple(tags), timeout_s
        self._in = Inputs(Cells(name, [t for t in tags if t.direction == "in"]))
        self._out = Outputs(Cells(name, [t for t in tags if t.direction == "out"]), round(timeout_s * NS))
        self._round_trip = Histogram()
        self._changes = ChangeLog()
        self._up = threading.Event()
        self._state: tuple[State, datetime] = ("stopped", datetime.now(UTC))
        self._note = ""
        self._life: LifeSign | None = None
        self._news: deque[tuple[str, bool]] = deque(maxlen=_MOST_NEWS)
        self.reset_counters()

    @abstractmethod
    def start(self) -> None:
        """Begin; returns at once."""

    @abstractmethod
    def ask_to_stop(self, safe: bool = True) -> None:
        """Begin what `stop` ends; returns at once, so that several links can stop at the same time."""

    @abstractmethod
    def stop(self, safe: bool = True) -> bool:
        """End, once the device has its safe values; gives whether it confirmed them."""

    def subscribe(self, image: ProcessImage, tag_names: Sequence[str], reader: str, name: str = "") -> Channel:
        """A channel of its own for `reader`, written at every read of the device; raises `ChannelError`."""
        tags = self._in.cells.select(tag_names)
        channel = image.channel(name or f"{self.name}->{reader}", tags, writer=self.name, reader=reader)
        self._in.add(channel)
        return channel

    def drive(self, image: ProcessImage, tag_names: Sequence[str], writer: str, name: str = "") -> Channel:
        """A channel that `writer` fills and the link sends; raises `ChannelError`, also if an output has a writer."""
        tags = self._out.cells.select(tag_names)
        self._out.free(tags, writer)
        channel = image.channel(name or f"{writer}->{self.name}", tags, writer=writer, reader=self.name)
        self._out.add(channel)
        return channel

    def observe(self, image: ProcessImage, reader: str, name: str = "") -> Channel:
        """A channel that shows `reader` all outputs as they were sent; raises `ChannelError` if there are none."""
        tags = self._out.cells.select(list(self._out.cells.tags))
        channel = image.channel(name or f"{self.name} outputs->{reader}", tags, writer=self.name, reader=reader)
        self._out.observe(channel)
        return channel

    def watch_life(self, tag_name: str, timeout_s: float) -> None:
        """Trust no input of this device unless this one changes within `timeout_s`; before `start`. Raises `ChannelError`."""
        (tag,) = self._in.cells.select([tag_name])
        if tag.count != 1:
            raise ChannelError(f"link {self.name!r}: its life sign is one value, and {tag_name!r} has {tag.count}")
        self._life = LifeSign(tag, self._in.cells.first[tag_name], timeout_s)

    @property
    def resettable(self) -> tuple[str, ...]:
        """What in the device has faults that somebody has to reset, by name: drives."""
        return ()

    def reset_fault(self, name: str) -> None:
        """Have one of `resettable` reset its fault; returns at once. Any thread."""
        raise KeyError(name)

    @property
    def has_driven(self) -> bool:
        """May outputs have reached the device? What was not confirmed may have, too."""
        return self._counts["writes"] > 0

    def wait_up(self, timeout_s: float) -> bool:
        """Wait until the link is up; gives whether it is."""
        return self._up.wait(timeout_s)

    def status(self) -> LinkStatus:
        """How the link is, now."""
        counts = dict(self._counts)  # first: who sees an error counted finds its reason
        state, since = self._state
        return LinkStatus(
            state=state,
            since=since,
            round_trip=self._round_trip,
            clock_offsets=None,
            last_error=self._last_error,
            lost_reason=self._lost_reason,
            note="; ".join(filter(None, (self._note, self._doubts()))),
            **counts,
        )

    def values(self, names: Iterable[str] | None = None) -> tuple[TagValue, ...]:
        """The newest of every tag, or of those named, in the order of the tags: inputs as published, outputs as sent. Any thread.

        Inputs are of one publication; their bytes may be of the exchange after it.
        """
        for _ in range(_ATTEMPTS):
            published = self._in.published
            inputs = published[0].copy()
            if self._in.published is published:  # else somebody may have written into them while they were copied
                break
        return tuple(self._value(tag, inputs, published[1]) for tag in selected(self.tags, names))

    def reset_counters(self) -> None:
        """Count from 0 again."""
        self._round_trip.reset()
        self._counts = {field.name: 0 for field in fields(LinkCounts)}
        self._last_error = self._lost_reason = ""

    def __enter__(self) -> "Link":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _value(self, tag: Tag, inputs: NDArray[np.float64], heard_ns: int) -> TagValue:
        port, cells, timestamp_ns = (
            (self._in, inputs, heard_ns) if tag.direction == "in" else (self._out, *self._out.sent)
        )
        first = port.cells.first[tag.name]
        values = tuple(cells[first : first + tag.count].tolist())
        age_ns = max(0, time.monotonic_ns() - timestamp_ns) if timestamp_ns else None
        is_old = age_ns is None or age_ns > self.timeout_s * NS
        return TagValue(tag, values, self._raw(tag), Quality.BAD if is_old else self._quality(tag), age_ns)

    def _raw(self, tag: Tag) -> bytes:
        """The bytes of a tag as they travelled last; empty where they are not known. Any thread."""
        return b""

    def _quality(self, tag: Tag) -> Quality:
        """Of a tag that was read or sent within the timeout. Any thread."""
        if tag.direction == "in":
            _, _, quality, doubtful = self._in.published
            first = self._in.cells.first[tag.name]
            means_nothing = doubtful is not None and doubtful[first : first + tag.count].any()
            return Quality.BAD if means_nothing else quality
        return Quality.GOOD if self._state[0] == "up" else Quality.STALE

    def _lifeless(self, now_ns: int) -> str:
        """Why the values that have just come are not to be trusted; empty: they are."""
        return self._life.look(self._in.values, now_ns) if self._life is not None else ""

    def _doubts(self) -> str:
        """Which inputs mean nothing now, and why. Any thread."""
        return self._in.doubts()

    def take_news(self) -> list[tuple[str, bool]]:
        """What happened in the device since the last call, beside changes of state: (sentence, is it good?). One thread's."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def _tell_news(self, sentence: str, is_good: bool) -> None:
        """To who takes the news, and to the log."""
        self._news.append((sentence, is_good))
        level = logging.INFO if is_good else logging.WARNING
        log.log(level, "link %s: %s", self.name, visible(sentence), extra={"link": self.name})

    def _failed(self, reason: str) -> None:
        self._last_error = reason
        self._counts["errors"] += 1  # last, see `status`

    def _enter(self, state: State) -> None:
        assert state in NEXT[self._state[0]], f"{self._state[0]} -> {state}"
        line = self._changes.change(state, self._last_error, time.monotonic())
        if line:
            log.log(line[0], "link %s: %s", self.name, visible(line[1]), extra={"link": self.name})
        self._state = (state, datetime.now(UTC))
        (self._up.set if state == "up" else self._up.clear)()
