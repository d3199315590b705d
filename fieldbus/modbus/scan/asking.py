"""Asking an unknown device: gently, again where that may help, and never with a function code that writes."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import Final

from fieldbus.errors import ConnectionLostError, DeviceError, GarbageError, NoAnswerError, RefusedError
from fieldbus.modbus import protocol as p
from fieldbus.modbus.scan.wire import Wire

REPORT_SERVER: Final = 17
READS: Final = frozenset(
    (
        p.READ_COILS,
        p.READ_DISCRETE_INPUTS,
        p.READ_HOLDING_REGISTERS,
        p.READ_INPUT_REGISTERS,
        REPORT_SERVER,
        p.ENCAPSULATED,
    )
)
"""Function codes that change nothing in a device."""
PASSING: Final = frozenset((p.Code.ACKNOWLEDGE, p.Code.BUSY, p.Code.NO_PATH, p.Code.NO_TARGET))
TRIES: Final = 5
SILENT_TRIES: Final = 3
LEAST_PATIENCE_S: Final = 0.1
PATIENCE: Final = 10
"""Of a device that has answered, an answer is waited for so many times as long as its slowest."""
PAUSES_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Between requests, one after the other, for a device that loses some."""
MOST_DEAF_S: Final = 1.0
REST_S: Final = 1.0
"""For a device that waits for the rest of a request which it does not understand."""
_RECENT: Final = 12
_MOST_CALIBRATING: Final = 24
_ENOUGH: Final = 4
_REMEMBERED: Final = 1000


class Clock:
    """The time that an `Asker` lives in."""

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    def sleep(self, for_s: float) -> None:
        """Let so much pass."""
        time.sleep(for_s)


class Asker:
    """One question at a time.

    Attributes:
        pause_s: between them; grows by itself when a device answers only what is asked after a while (`needs_pause`).
        deaf_s: so long the device heard nothing after connecting.
        lost: questions that were heard when they were asked again.
        busy: refusals that passed.
        hung: how often the device answered only on a new connection.
        last_s: how long the newest answer took.
    """

    def __init__(self, wire: Wire, timeout_s: float, pause_s: float, clock: Clock | None = None) -> None:
        self.wire = wire
        self._clock = clock or Clock()
        self.timeout_s = timeout_s
        self.pause_s = pause_s
        self.needs_pause = False
        self.deaf_s = 0.0
        self.asked = 0
        self.busy = 0
        self.answered = 0
        self.lost = 0
        self.hung = 0
        self.is_calibrated = False
        self.last_s = 0.0
        self._slowest_s = 0.0
        self._times: deque[float] = deque(maxlen=_REMEMBERED)
        self._connected_at = 0.0
        self._is_fresh = False
        self._lost: deque[bool] = deque(maxlen=_RECENT)
        self._last_at = 0.0
        self._heard: dict[int, tuple[int, bytes]] = {}

    @property
    def patience_s(self) -> float:
        """How long an answer is waited for: `timeout_s`, until it is known how fast the device is."""
        if not self.answered or self._is_fresh:
            return self.timeout_s
        return min(self.timeout_s, max(LEAST_PATIENCE_S, PATIENCE * self._slowest_s))

    @property
    def usual_s(self) -> float:
        """How long an answer takes: 19 of 20 came sooner."""
        times = sorted(self._times)
        return times[len(times) * 19 // 20] if times else 0.0

    def connect(self) -> None:
        """Connect anew; raises `ConnectionLostError`."""
        self.wire.open(max(self.timeout_s, 2.0))
        self._connected_at, self._is_fresh = self._clock.now(), True

    def ask(
        self, unit: int, function: int, body: bytes, silent_tries: int = SILENT_TRIES, passing_tries: int = TRIES
    ) -> bytes:
        """The answer's body; a refusal that passes and silence are asked again, so many times in all.

        Raises:
            DeviceError: as it was at the last try.
        """
        assert function in READS, function
        silent = passing = lost = 0
        while True:
            try:
                body_back = self._once(unit, bytes([function]) + body)
            except RefusedError as error:
                passing += 1
                self._note(silent > 0)
                if error.code not in PASSING or passing >= passing_tries:
                    self._heard[unit] = function, body
                    raise
                self._clock.sleep(min(0.02 * 2**passing, 0.5))
            except ConnectionLostError:
                lost += 1
                if lost >= 2:
                    raise
                self.connect()
            except (NoAnswerError, GarbageError):
                silent += 1
                if silent >= self._tries(silent_tries):
                    raise
            else:
                self._note(silent > 0)
                self.busy += passing
                self._heard[unit] = function, body
                return body_back

    def still_there(self, unit: int) -> None:
        """Ask what the unit has answered before, at last on a new connection; raises `DeviceError` if it answers no more."""
        if unit not in self._heard:
            return
        for is_last in (False, True):
            try:
                self.ask(unit, *self._heard[unit])
            except RefusedError:
                pass
            except DeviceError:
                if is_last:
                    raise
                self._clock.sleep(REST_S)
                self.connect()
                continue
            self.hung += is_last
            return

    def calibrate(self, unit: int) -> None:
        """Ask what the unit has answered before, as fast as allowed, until it is known which pause it needs.

        Raises:
            DeviceError: it answers no more.
        """
        self.is_calibrated = True
        in_a_row = 0
        for _ in range(_MOST_CALIBRATING):
            before = self.lost
            with suppress(RefusedError):
                self.ask(unit, *self._heard[unit])
            in_a_row = 0 if self.lost > before else in_a_row + 1
            if in_a_row == _ENOUGH:
                return

    def _tries(self, wished: int) -> int:
        """A device that was just connected may need a while until it hears."""
        if not self._is_fresh or self._clock.now() - self._connected_at > MOST_DEAF_S:
            return wished
        return max(wished, 2 + int(MOST_DEAF_S / max(self.timeout_s, LEAST_PATIENCE_S)))

    def _once(self, unit: int, pdu: bytes) -> bytes:
        wait = self._last_at + self.pause_s - self._clock.now()
        if wait > 0:
            self._clock.sleep(wait)
        self.asked += 1
        began = self._clock.now()
        try:
            answer = self.wire.exchange(unit, pdu, self.patience_s)
        finally:
            self._last_at = self._clock.now()
        self.last_s = self._last_at - began
        self._slowest_s = max(self._slowest_s, self.last_s)
        self._times.append(self.last_s)
        self.answered += 1
        if answer[0] & p.REFUSED:
            code: int = answer[1] if len(answer) > 1 else 0
            raise RefusedError(f"exception {code}, {p.meaning_of(code)}", code)
        return answer[1:]

    def _note(self, was_lost: bool) -> None:
        """A question was lost, and heard when it was asked again: after connecting once, or always when it comes too soon."""
        if self._is_fresh:
            self._is_fresh = False
            if was_lost:
                self.deaf_s = max(self.deaf_s, self._clock.now() - self._connected_at)
            return
        self._lost.append(was_lost)
        self.lost += was_lost
        if sum(self._lost) >= 2:
            slower = [s for s in PAUSES_S if s > self.pause_s]
            self.pause_s = slower[0] if slower else self.pause_s
            self.needs_pause = True
            self._lost.clear()
