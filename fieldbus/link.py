"""A link: one device, one thread, one cycle: write the outputs, read the inputs, tell everybody."""

import ctypes
import logging
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from fieldbus.errors import ConfigurationError, DeviceError, GarbageError, NoAnswerError, RefusedError
from fieldbus.image import Channel, ProcessImage
from fieldbus.link_log import ChangeLog
from fieldbus.link_ports import Cells, Inputs, Outputs
from fieldbus.link_state import NEXT, Backoff, LinkStatus, State
from fieldbus.tags import Quality, Tag
from rt_native.histogram import Histogram

log = logging.getLogger(__name__)

NS = 1_000_000_000
TOLD_IN_TIME = 0.9
"""Share of the timeout after which waiting ends: the rest is for telling the subscribers within the timeout."""
CONNECT_S = 3.0
"""Time for an attempt to connect, if the timeout is shorter: looking up many symbols takes longer than an exchange."""
_SHORT_SLEEP_S = 0.005  # below this, a stop request waits for the sleep to end
_PR_SET_TIMERSLACK = 29


class Link(ABC):
    """Moves the values of `tags` to and from one device, every `cycle_s`, in a thread of its own.

    `timeout_s` is the promise: no later than that after the last good exchange, every subscriber has quality BAD; and
    an output sample older than that is not sent, its safe values are. It must be at least two cycles. Reconnecting
    waits `backoff_s[0]` seconds, doubled on each failure up to `backoff_s[1]`.

    A device is written by three methods, called from the link's thread only; each raises a `DeviceError` on failure and
    may wait until `deadline_ns` (CLOCK_MONOTONIC), not longer: `_open`, `_exchange` and `_write`; and `_close`, which
    never fails. `lossy` says that single frames get lost on this medium (a serial line): a missed answer then makes
    the inputs STALE and is asked again, until the timeout.
    """

    lossy = False

    def __init__(
        self,
        name: str,
        tags: Sequence[Tag],
        cycle_s: float,
        timeout_s: float,
        *,
        backoff_s: tuple[float, float] = (0.05, 2.0),
    ) -> None:
        if not cycle_s > 0.0 or timeout_s < 2.0 * cycle_s:
            raise ConfigurationError(
                f"link {name!r}: cycle_s {cycle_s} must be above 0 and timeout_s {timeout_s} at least twice as long"
            )
        names = [tag.name for tag in tags]
        if not names or len(set(names)) != len(names):
            raise ConfigurationError(f"link {name!r} needs one or more tags, each name once, got {names}")
        self.name, self.tags, self.cycle_s, self.timeout_s = name, tuple(tags), cycle_s, timeout_s
        self._in = Inputs(Cells(name, [t for t in tags if t.direction == "in"]))
        self._out = Outputs(Cells(name, [t for t in tags if t.direction == "out"]), round(timeout_s * NS))
        self._backoff = Backoff(*backoff_s)
        self._round_trip = Histogram()
        self._changes = ChangeLog()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._up = threading.Event()
        self._state: tuple[State, datetime] = ("stopped", datetime.now(UTC))
        self._is_open = False
        self._safe_at_stop = self._safe_written = False
        self._heard_ns = 0
        self._clear_counters()

    # --- what the device's side provides ------------------------------------------------------------------------------

    @abstractmethod
    def _open(self, deadline_ns: int) -> None:
        """Connect."""

    @abstractmethod
    def _close(self) -> None:
        """Drop the connection, if any."""

    @abstractmethod
    def _exchange(self, outputs: NDArray[np.float64], inputs: NDArray[np.float64], deadline_ns: int) -> None:
        """Write all outputs, if the link has any, then read all inputs into `inputs`."""

    @abstractmethod
    def _write(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        """Write all outputs."""

    # --- what users call ----------------------------------------------------------------------------------------------

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

    def start(self) -> None:
        """Begin to connect and to exchange, in a thread; returns at once."""
        if self._thread is not None:
            raise ConfigurationError(f"link {self.name!r} runs already")
        self._clear_counters()
        self._round_trip.reset()
        self._backoff.reset()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=f"link-{self.name}", daemon=True)
        self._thread.start()

    def ask_to_stop(self, safe: bool = True) -> None:
        """Begin what `stop` ends; returns at once, so that several links can stop at the same time."""
        if not self._stop.is_set():
            self._safe_at_stop, self._safe_written = safe, False
            self._stop.set()

    def stop(self, safe: bool = True) -> bool:
        """End the thread, after having written the safe values; gives whether the device confirmed them.

        Without a connection, one attempt is made to get one. Waits for what is under way: an exchange, or an attempt to
        connect. A device that never returns (a function of an in-process link) is left behind.
        """
        if self._thread is None:
            return False
        self.ask_to_stop(safe)
        self._thread.join(CONNECT_S + 4.0 * self.timeout_s)
        if self._thread.is_alive():
            self._failed("the device does not return: the link's thread cannot be stopped")
            return False
        self._thread = None
        return self._safe_written

    def wait_up(self, timeout_s: float) -> bool:
        """Wait until the link is up; gives whether it is."""
        return self._up.wait(timeout_s)

    def status(self) -> LinkStatus:
        """How the link is, now."""
        state, since = self._state
        return LinkStatus(
            state=state,
            since=since,
            round_trip=self._round_trip,
            reads=self._reads,
            writes=self._writes,
            errors=self._errors,
            reconnects=self._reconnects,
            last_error=self._last_error,
            safe_writes=self._safe_writes,
            limited=self._limited,
        )

    def __enter__(self) -> "Link":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        _precise_sleep()
        while not self._stop.is_set():
            self._enter("connecting")
            try:
                self._connect(max(self.timeout_s, CONNECT_S))
                self._cycles()
            except DeviceError as error:
                self._lost(f"{type(error).__name__}: {error}")
            except Exception as error:  # a mistake of ours must not leave subscribers with a value that looks good
                log.exception("link %s: unexpected error", self.name)
                self._lost(f"internal error, please report: {error!r}")
        self._finish()

    def _connect(self, limit_s: float) -> None:
        self._open(time.monotonic_ns() + round(limit_s * NS))
        self._is_open = True
        self._heard_ns = time.monotonic_ns()

    def _cycles(self) -> None:
        """Exchange every `cycle_s` until stopped or the connection is lost. A late cycle moves the next: no burst."""
        cycle_ns = round(self.cycle_s * NS)
        due_ns = time.monotonic_ns()
        while not self._stop.is_set():
            self._cycle(time.monotonic_ns())
            now_ns = time.monotonic_ns()
            due_ns = max(due_ns + cycle_ns, now_ns)
            self._sleep((due_ns - now_ns) / NS)

    def _cycle(self, now_ns: int) -> None:
        final_ns = self._heard_ns + round(self.timeout_s * TOLD_IN_TIME * NS)
        safe, limited = self._out.gather(now_ns)
        try:
            self._exchange(self._out.values, self._in.incoming, final_ns)
        except RefusedError as error:
            self._degraded(error, Quality.BAD)
        except (NoAnswerError, GarbageError) as error:
            if not self.lossy or time.monotonic_ns() >= final_ns:
                raise
            self._degraded(error, Quality.STALE)
        else:
            self._good(time.monotonic_ns(), now_ns, safe, limited)

    def _good(self, now_ns: int, begun_ns: int, safe: bool, limited: int) -> None:
        self._heard_ns = now_ns
        self._in.accept(now_ns)
        self._in.publish(Quality.GOOD)
        self._round_trip.add(now_ns - begun_ns)
        self._reads += self._in.values.size > 0
        self._writes += self._out.values.size > 0
        self._safe_writes += safe
        self._limited += limited
        if self._state[0] != "up":
            self._backoff.reset()
            self._enter("up")

    def _degraded(self, error: DeviceError, quality: Quality) -> None:
        """The connection holds, the exchange failed: say so, and go on."""
        self._failed(f"{type(error).__name__}: {error}")
        if quality == Quality.BAD:
            self._heard_ns = time.monotonic_ns()  # it answered: a silence from here on has the whole timeout
        if self._state[0] != "degraded":
            self._enter("degraded")
        self._in.publish(quality)

    def _lost(self, reason: str) -> None:
        """The connection is gone: everybody knows at once, then wait a little."""
        self._failed(reason)
        self._reconnects += self._state[0] in ("up", "degraded")
        self._enter("down")
        self._in.publish(Quality.BAD)
        self._shut()
        self._stop.wait(self._backoff.next_s())

    def _finish(self) -> None:
        if self._safe_at_stop and self._out.values.size:
            was_open = self._is_open
            self._safe_written = self._write_safe() or (was_open and self._write_safe())  # then on a new connection
        self._shut()
        self._in.publish(Quality.BAD)
        if self._state[0] != "stopped":  # it is, when it was stopped before its thread began
            self._enter("stopped")

    def _write_safe(self) -> bool:
        try:
            if not self._is_open:
                self._connect(self.timeout_s)
            self._write(self._out.safe, time.monotonic_ns() + round(self.timeout_s * NS))
        except Exception as error:  # also a mistake of ours: the answer is no, and the second attempt is still made
            self._failed(f"safe values not written: {type(error).__name__}: {error}")
            self._shut()
            return False
        return True

    def _shut(self) -> None:
        self._is_open = False
        try:
            self._close()
        except Exception as error:  # the thread goes on: it has safe values to write, and a device to find again
            log.exception("link %s: unexpected error", self.name)
            self._failed(f"internal error, please report: {error!r}")

    def _failed(self, reason: str) -> None:
        self._errors += 1
        self._last_error = reason

    def _enter(self, state: State) -> None:
        assert state in NEXT[self._state[0]], f"{self._state[0]} -> {state}"
        line = self._changes.change(state, self._last_error, time.monotonic())
        if line:
            log.log(line[0], "link %s: %s", self.name, line[1])
        self._state = (state, datetime.now(UTC))
        (self._up.set if state == "up" else self._up.clear)()

    def _sleep(self, seconds: float) -> None:
        if seconds < _SHORT_SLEEP_S:
            time.sleep(seconds)
        else:
            self._stop.wait(seconds)

    def _clear_counters(self) -> None:
        self._reads = self._writes = self._errors = self._reconnects = self._safe_writes = self._limited = 0
        self._last_error = ""


def _precise_sleep() -> None:
    """Let this thread's sleeps end within a microsecond of their time; the kernel's default slack is 50."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
