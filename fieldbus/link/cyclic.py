"""A link that calls its device: one thread, one cycle: write the outputs, read the inputs, tell everybody."""

import ctypes
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldbus.errors import (
    BusyError,
    ConfigurationError,
    DeviceError,
    OutdatedError,
    RefusedError,
    ResourceError,
    told,
)
from fieldbus.link.link import NS, Link, log
from fieldbus.link.state import Backoff
from fieldbus.tags import Quality, Tag

TOLD_IN_TIME = 0.9
"""Share of the timeout after which waiting ends: the rest is for telling the subscribers within the timeout."""
CONNECT_S = 3.0
"""Time for an attempt to connect, if the timeout is shorter: looking up many symbols takes longer than an exchange."""
_SHORT_SLEEP_S = 0.005  # below this, a stop request waits for the sleep to end
_PR_SET_TIMERSLACK = 29


class CyclicLink(Link):
    """Moves the values of `tags` to and from one device, every `cycle_s`, in a thread of its own.

    `timeout_s` is the promise: no later than that after the last good exchange, every subscriber has quality BAD; and
    an output sample older than that is not sent, its safe values are. It must be at least two cycles. Inputs count
    their age from when they were asked for, so a process that stood still takes no old answer for a new one.
    Reconnecting waits `backoff_s[0]` seconds, doubled on each failure up to `backoff_s[1]`.

    A device is written by three methods, called from the link's thread only; each raises a `DeviceError` on failure and
    may wait until `deadline_ns` (CLOCK_MONOTONIC), not longer: `_open`, `_exchange` and `_write`; and `_close`, which
    never fails. Right before it sends outputs it asks `self._out.check_age()`.
    """

    confirms = True
    """Does the device answer what is written to it? A broadcast it does not: then nothing is ever confirmed."""
    connects_at_end = True
    """Are safe values that were not confirmed written once more, on a new connection?"""

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
        super().__init__(name, tags, timeout_s)
        self.cycle_s = cycle_s
        self._backoff = Backoff(*backoff_s)
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._is_open = False
        self._safe_at_stop = self._safe_written = False
        self._heard_ns = 0

    # --- what the device's side provides ------------------------------------------------------------------------------

    @abstractmethod
    def _open(self, deadline_ns: int) -> None:
        """Connect."""

    @abstractmethod
    def _close(self) -> None:
        """Drop the connection, if any."""

    @abstractmethod
    def _exchange(self, outputs: NDArray[np.float64], inputs: NDArray[np.float64], deadline_ns: int) -> int:
        """Write all outputs, if the link has any, then read all inputs into `inputs`.

        Gives when the first of the inputs was asked for (CLOCK_MONOTONIC).
        """

    @abstractmethod
    def _write(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        """Write all outputs."""

    # --- what users call ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect and to exchange, in a thread; returns at once."""
        if self._thread is not None:
            raise ConfigurationError(f"link {self.name!r} runs already")
        self.reset_counters()
        self._backoff.reset()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=f"link-{self.name}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            message = f"the system gave no thread for link {self.name!r}: {error}; see 'ulimit -u'"
            raise ResourceError(message) from error

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
        self._thread.join(self._longest_end_s)
        if self._thread.is_alive():
            self._failed("the device does not return: the link's thread cannot be stopped")
            return False
        self._thread = None
        return self._safe_written and self.confirms

    @property
    def _longest_end_s(self) -> float:
        """So long a device that is alive may take to come to its end."""
        return CONNECT_S + 4.0 * self.timeout_s

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        precise_sleep()
        while not self._stop.is_set():
            self._enter("connecting")
            try:
                self._connect(max(self.timeout_s, CONNECT_S))
                self._cycles()
            except DeviceError as error:
                self._lost(told(error))
            except Exception as error:  # a mistake of ours must not leave subscribers with a value that looks good
                log.exception("link %s: unexpected error", self.name)
                self._lost(f"internal error, please report: {error!r}")
        self._finish()

    def _connect(self, limit_s: float) -> None:
        self._open(time.monotonic_ns() + round(limit_s * NS))
        self._is_open = True
        self._heard_ns = time.monotonic_ns()
        if self._life is not None:
            self._life.reset()

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
        try:
            asked_ns, safe, limited = self._exchange_of_now(final_ns)
        except BusyError as error:
            until_ns = self._in.timestamp_ns + round((self.timeout_s * TOLD_IN_TIME - 2.0 * self.cycle_s) * NS)
            self._degraded(error, Quality.STALE if time.monotonic_ns() < until_ns else Quality.BAD)
        except RefusedError as error:
            self._degraded(error, Quality.BAD)
        else:
            self._good(time.monotonic_ns(), asked_ns, now_ns, safe, limited)

    def _exchange_of_now(self, deadline_ns: int) -> tuple[int, bool, int]:
        """Exchange; gives (when inputs were asked for, were safe values sent, cells limited).

        Again from the start when outputs grew too old before they were sent: then with newer ones, or the safe values.
        """
        while True:
            safe, limited = self._out.gather(time.monotonic_ns())
            try:
                return self._exchange(self._out.values, self._in.incoming, deadline_ns), safe, limited
            except OutdatedError:
                continue

    def _good(self, now_ns: int, asked_ns: int, begun_ns: int, safe: bool, limited: int) -> None:
        self._heard_ns = now_ns
        self._counts["implausible"] += self._in.accept(asked_ns)
        lifeless = self._lifeless(now_ns)
        is_good = not lifeless and now_ns - asked_ns <= self.timeout_s * NS
        self._in.publish(Quality.GOOD if is_good else Quality.BAD)
        self._out.publish(begun_ns)
        self._round_trip.add(now_ns - begun_ns)
        self._counts["reads"] += self._in.values.size > 0
        self._counts["writes"] += self._out.values.size > 0
        self._counts["safe_writes"] += safe
        self._counts["limited"] += limited
        if trouble := lifeless or self._shortcomings():
            self._not_well(trouble)
        elif self._state[0] != "up":
            self._backoff.reset()
            self._enter("up")

    def _shortcomings(self) -> str:
        """What of a good exchange is not as it was declared, where a device can say so of each value; empty: nothing."""
        return ""

    def _not_well(self, reason: str) -> None:
        """Everything was answered, by a device that does not work, or not all of it: told and counted once."""
        if self._last_error != reason or self._state[0] != "degraded":
            self._failed(reason)
        if self._state[0] != "degraded":
            self._enter("degraded")

    def _degraded(self, error: DeviceError, quality: Quality) -> None:
        """The connection holds, the exchange failed: say so, and go on."""
        self._failed(told(error))
        if quality == Quality.BAD:
            self._heard_ns = time.monotonic_ns()  # it answered: a silence from here on has the whole timeout
        if self._state[0] != "degraded":
            self._enter("degraded")
        self._in.publish(quality)

    def _lost(self, reason: str) -> None:
        """The connection is gone: everybody knows at once, then wait a little."""
        self._failed(reason)
        if self._state[0] in ("up", "degraded"):
            self._lost_reason = reason
            self._counts["reconnects"] += 1
        self._enter("down")
        self._all_bad()
        self._shut()
        self._stop.wait(self._backoff.next_s())

    def _finish(self) -> None:
        if self._safe_at_stop and self._out.values.size:
            again = self._is_open and self.connects_at_end
            self._safe_written = self._write_safe() or (again and self._write_safe())
        self._shut()
        self._all_bad()
        if self._state[0] != "stopped":  # it is, when it was stopped before its thread began
            self._enter("stopped")

    def _all_bad(self) -> None:
        """Every subscriber knows at once."""
        self._in.publish(Quality.BAD)

    def _write_safe(self) -> bool:
        try:
            if not self._is_open:
                self._connect(self.timeout_s)
            self._out.make_safe()
            self._write(self._out.values, time.monotonic_ns() + round(self.timeout_s * NS))
            self._out.publish(time.monotonic_ns())
        except Exception as error:  # also a mistake of ours: the answer is no, and the second attempt is still made
            self._failed(f"safe values not written: {told(error)}")
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

    def _sleep(self, seconds: float) -> None:
        if seconds < _SHORT_SLEEP_S:
            time.sleep(seconds)
        else:
            self._stop.wait(seconds)


def precise_sleep() -> None:
    """Let this thread's sleeps end within a microsecond of their time; the kernel's default slack is 50."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
