"""Modbus RTU: asyncio around a serial port and one session. There is one client, the line's master."""

from __future__ import annotations

import asyncio
import os
import termios
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import serial

from fieldbus.modbus import protocol
from plc_bindings.modbus import rtu
from plc_bindings.modbus.options import Rtu
from plc_bindings.modbus.session import Job, ModbusSession
from plc_bindings.security.access import Client

REOPEN_S: Final = 1.0
_BITS: Final = 11
"""2.5.1: start, eight data, parity, stop."""
_LEAST_PAUSE_S: Final = 0.00175
"""2.5.1.1: above 19200 baud the 3.5 characters are 1.750 ms."""
_WRITES: Final = (
    protocol.WRITE_COIL,
    protocol.WRITE_REGISTER,
    protocol.WRITE_COILS,
    protocol.WRITE_REGISTERS,
    protocol.MASK_REGISTER,
)
_MOST_QUEUED: Final = 16


class SerialLine:
    """Answers requests for `unit` on a serial port; opens it again when it was unplugged."""

    def __init__(
        self,
        options: Rtu,
        unit: int,
        session: ModbusSession,
        pool: ThreadPoolExecutor,
        client: Client,
        note: Callable[[str, str], None],
    ) -> None:
        self._options, self._unit, self._session, self._pool, self._note = options, unit, session, pool, note
        self.client, self.requests = client, 0
        self._loop = asyncio.get_running_loop()
        self._reader = rtu.Reader(unit)
        self._pause_s = max(3.5 * _BITS / options.baudrate, _LEAST_PAUSE_S)
        self._port: serial.Serial | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._requests: deque[tuple[int, bytes]] = deque(maxlen=_MOST_QUEUED)
        self._is_busy = False
        self._unsent = b""

    def open(self) -> None:
        """Open the port; raises `OSError`."""
        o = self._options
        try:
            port = serial.Serial(o.device, o.baudrate, parity=o.parity, stopbits=o.stopbits, timeout=0, exclusive=True)
        except (termios.error, ValueError) as error:
            raise OSError(f"{o.device}: {error}") from error
        self._port = port
        self._loop.add_reader(port.fileno(), self._receive)

    def close(self) -> None:
        """Close the port, for good."""
        for timer in self._timers.values():
            timer.cancel()
        self._shut()

    def _shut(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            self._loop.remove_reader(port.fileno())
            self._loop.remove_writer(port.fileno())
            port.close()
        self._reader.silence()
        self._requests.clear()
        self._unsent = b""

    def _lost(self, error: Exception) -> None:
        self._note("serial port", f"lost: {error}")
        self._shut()
        self._later("reopen", REOPEN_S, self._reopen)

    def _reopen(self) -> None:
        try:
            self.open()
            self._note("serial port", "open again")
        except OSError:
            self._later("reopen", REOPEN_S, self._reopen)

    def _later(self, name: str, seconds: float, function: Callable[[], None]) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = self._loop.call_later(seconds, function)

    def _receive(self) -> None:
        if self._port is None:
            return
        try:
            data = os.read(self._port.fileno(), 4096)
            if not data:
                raise OSError("hung up")
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        self._take(self._reader.feed(data))
        if self._reader.is_waiting:
            self._later("silence", max(self._options.silence_s, self._pause_s), self._silence)
        elif "silence" in self._timers:
            self._timers["silence"].cancel()

    def _silence(self) -> None:
        self._take(self._reader.silence())

    def _take(self, frames: list[tuple[int, bytes]]) -> None:
        self._requests.extend(frames)
        if not self._is_busy:
            self._next()

    def _next(self) -> None:
        while self._requests and not self._is_busy:
            unit, request = self._requests.popleft()
            if unit == rtu.BROADCAST and request[0] not in _WRITES:
                continue
            self.requests += 1
            answer = self._session.answer(request)
            if isinstance(answer, Job):
                self._start(answer)
            elif unit != rtu.BROADCAST and not self._requests:  # who asks again does not expect the old answer
                self._answer(answer)

    def _start(self, job: Job) -> None:
        self._is_busy = True

        def done(future: asyncio.Future[None]) -> None:
            self._is_busy = False
            if self._port is not None and not future.cancelled():
                if not self._requests:
                    self._answer(job.finish())
                self._next()

        self._loop.run_in_executor(self._pool, job.run).add_done_callback(done)

    def _answer(self, answer: bytes) -> None:
        """Send after the silence that ends the request."""
        self._later("answer", self._pause_s, lambda: self._send(rtu.frame(self._unit, answer)))

    def _send(self, data: bytes) -> None:
        if self._port is None:
            return
        number = self._port.fileno()
        try:
            self._unsent = data[os.write(number, data) :]
        except BlockingIOError:
            self._unsent = data
        except OSError as error:
            self._lost(error)
            return
        self._loop.remove_writer(number)
        if self._unsent:
            self._loop.add_writer(number, lambda: self._send(self._unsent))
