"""Where a link meets the process image: one read fanned out to all subscribers, all drivers merged into one write."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldbus.codec import Limiter, run
from fieldbus.errors import ChannelError, OutdatedError
from fieldbus.image.image import Channel
from fieldbus.link.plausible import Plausible
from fieldbus.tags import Quality, Tag

_BAD = int(Quality.BAD)
NEVER = (1 << 63) - 1

Where = slice | NDArray[np.intp]


class Cells:
    """The cells of a link's tags of one direction, in the order of the tags."""

    def __init__(self, link: str, tags: Sequence[Tag]) -> None:
        self._link = link
        self.tags = {tag.name: tag for tag in tags}
        self.first: dict[str, int] = {}
        self.count = 0
        for tag in tags:
            self.first[tag.name] = self.count
            self.count += tag.count

    def select(self, names: Sequence[str]) -> list[Tag]:
        """The named tags; raises `ChannelError` if the link has no such tag of this direction."""
        for name in names:
            if name not in self.tags:
                has = ", ".join(self.tags) or "none"
                raise ChannelError(f"link {self._link!r} has no tag {name!r} of that direction; it has {has}")
        return [self.tags[name] for name in names]

    def of(self, tags: Sequence[Tag]) -> NDArray[np.intp]:
        """The cells of some tags, in their order."""
        return np.array([self.first[tag.name] + i for tag in tags for i in range(tag.count)], np.intp)


class Inputs:
    """The newest values of all input tags, and the channels that want some of them."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.values = np.zeros(cells.count)
        self.incoming = np.zeros(cells.count)
        self.timestamp_ns = 0
        self._plausible = Plausible(list(cells.tags.values()))
        self._doubtful: NDArray[np.bool_] | None = None
        self.qualities: NDArray[np.uint8] | None = None
        """Of each cell that comes in, where a device says so of each value; None: they are as good as the exchange."""
        self._uncertain: NDArray[np.bool_] | None = None
        self.published: tuple[NDArray[np.float64], int, Quality, NDArray[np.bool_] | None] = (
            self.values,
            0,
            Quality.BAD,
            None,
        )
        """(values as they came, timestamp_ns, quality, which cells mean nothing), as subscribers have them; nobody writes
        into these values before the next one."""
        self._subscribers: tuple[tuple[Channel, Where], ...] = ()

    def add(self, channel: Channel) -> None:
        """Feed `channel` from now on. Safe while the link runs."""
        self._subscribers = (*self._subscribers, (channel, run(self.cells.of(channel.tags))))

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Those who want inputs."""
        return tuple(channel for channel, _ in self._subscribers)

    def accept(self, timestamp_ns: int) -> int:
        """What came in is complete: it becomes the values; gives how many of them mean nothing (`Plausible`), or were bad."""
        self.values, self.incoming = self.incoming, self.values
        self.timestamp_ns = timestamp_ns
        self._doubtful = self._plausible.doubtful(self.values)
        if self.qualities is not None:
            bad = self.qualities == _BAD
            self._doubtful = bad if self._doubtful is None else self._doubtful | bad
            self._uncertain = self.qualities == int(Quality.STALE)
        return 0 if self._doubtful is None else int(self._doubtful.sum())

    def publish(self, quality: Quality) -> None:
        """Write the values to every subscriber, with the time at which they were good; BAD where one means nothing."""
        doubtful = self._doubtful
        for channel, cells in self._subscribers:
            if doubtful is not None and doubtful[cells].any():
                values = np.where(doubtful[cells], np.nan, self.values[cells])
                channel.write(values, Quality.BAD, self.timestamp_ns)
            else:
                is_uncertain = self._uncertain is not None and self._uncertain[cells].any()
                channel.write(
                    self.values[cells], max(quality, Quality.STALE) if is_uncertain else quality, self.timestamp_ns
                )
        self.published = (self.values, self.timestamp_ns, quality, doubtful)

    def doubts(self) -> str:
        """Which tags mean nothing now, and why, in words. Any thread."""
        values, _, _, doubtful = self.published
        return self.doubts_of(values, doubtful)

    def doubts_of(self, values: NDArray[np.float64], doubtful: NDArray[np.bool_] | None) -> str:
        """The same of other values, as they came."""
        return self._plausible.words(values, doubtful)


class Outputs:
    """The values to send: each driver's newest sample while it is valid, else the safe values."""

    def __init__(self, cells: Cells, timeout_ns: int) -> None:
        self.cells = cells
        self._limiter = Limiter(list(cells.tags.values()))
        self.safe = self._limiter.safe
        self.values = self.safe.copy()
        self.until_ns = NEVER
        """From then on `values` are too old to be sent."""
        self.sent: tuple[NDArray[np.float64], int] = (self.safe, 0)
        """(values, timestamp_ns) of the newest that were sent; 0: none yet."""
        self._timeout_ns = timeout_ns
        self._drivers: tuple[tuple[Channel, Where], ...] = ()
        self._driven: dict[str, str] = {}
        self._observers: tuple[Channel, ...] = ()

    def free(self, tags: Sequence[Tag], writer: str) -> None:
        """Raises `ChannelError` if one of `tags` has a writer already."""
        for tag in tags:
            if tag.name in self._driven:
                raise ChannelError(f"output {tag.name!r} has two writers: {self._driven[tag.name]!r} and {writer!r}")

    def add(self, channel: Channel) -> None:
        """Take values from `channel` from now on. Safe while the link runs."""
        self._driven.update({tag.name: channel.writer for tag in channel.tags})
        self._drivers = (*self._drivers, (channel, run(self.cells.of(channel.tags))))

    def observe(self, channel: Channel) -> None:
        """Show all values on `channel`, whenever they were sent. Safe while the link runs."""
        self._observers = (*self._observers, channel)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Those who bring outputs."""
        return tuple(channel for channel, _ in self._drivers)

    @property
    def observers(self) -> tuple[Channel, ...]:
        """Those who show them."""
        return self._observers

    def publish(self, timestamp_ns: int) -> None:
        """Tell observers what was sent."""
        self.sent = (self.values.copy(), timestamp_ns)
        for channel in self._observers:
            channel.write(self.values, Quality.GOOD, timestamp_ns)

    def gather(self, now_ns: int) -> tuple[bool, int]:
        """Fill `values`; gives (whether a driver's safe values were taken, how many cells were limited).

        A driver's sample counts unless its quality is BAD or it is older than the link's timeout. Tags without a driver
        stay at their safe values.
        """
        safe, self.until_ns = False, NEVER
        for channel, cells in self._drivers:
            values, timestamp_ns, _, quality = channel.latest()
            if quality == _BAD or now_ns - timestamp_ns > self._timeout_ns:
                self.values[cells] = self.safe[cells]
                safe = True
            else:
                self.values[cells] = values
                self.until_ns = min(self.until_ns, timestamp_ns + self._timeout_ns)
        return safe, self._limiter.apply(self.values)

    def make_safe(self) -> None:
        """The safe values become `values`; they never grow old."""
        self.values[:] = self.safe
        self.until_ns = NEVER

    def check_age(self) -> None:
        """To be asked right before `values` are sent; raises `OutdatedError` if they must not be any more."""
        check_age(self.until_ns)


def check_age(until_ns: int) -> None:
    """Raises `OutdatedError` if it is later than `until_ns`."""
    if time.monotonic_ns() > until_ns:
        raise OutdatedError("the outputs are older than the timeout")
