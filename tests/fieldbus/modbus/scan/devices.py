"""A Modbus device with habits: without a wire, on a TCP port, or on a pseudoterminal. It keeps what it was asked."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from fieldbus.errors import NoAnswerError
from fieldbus.modbus.crc import with_crc
from fieldbus.modbus.scan.asking import Asker, Clock
from fieldbus.modbus.scan.wire import Oddities
from tests.devices import SerialLine, TcpDevice

FUNCTIONS = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
Tables = Mapping[str, Mapping[int, int]]


@dataclass
class Device:
    """Answers of some units. What a table has not is refused with 2, a table that is not there with 1.

    Attributes:
        units: unit -> table -> address -> word or bit.
        stranger: exception code for other units; 0: silence.
        most: registers that a request may have; `most_bits` likewise.
        pairs: tables whose registers are given two at a time, from even addresses on.
        silent_at: exception codes that are silence instead.
        busy_every: each such answer is exception `busy_code`.
        objects: what FC 43 gives; `report`: what FC 17 gives.
        hangs_on: function codes after which a connection is answered no more.
        gap_s, deaf_s: a request is lost that comes sooner after an answer, or after connecting.
        number, unit_said: of answers, where they are not those of the question.
        echo: a line that hears what it sends.
    """

    units: Mapping[int, Tables]
    stranger: int = 0
    most: int = 125
    most_bits: int = 2000
    pairs: tuple[str, ...] = ()
    silent_at: tuple[int, ...] = ()
    busy_every: int = 0
    busy_code: int = 6
    objects: Mapping[int, bytes] = field(default_factory=dict)
    report: bytes = b""
    hangs_on: tuple[int, ...] = ()
    gap_s: float = 0.0
    deaf_s: float = 0.0
    number: int | None = None
    unit_said: int | None = None
    echo: bool = False
    any_unit: bool = False
    asked: list[tuple[int, int]] = field(default_factory=list)

    def answer(self, unit: int, pdu: bytes) -> bytes:
        """To one request; nothing: silence."""
        self.asked.append((unit, pdu[0]))
        if self.busy_every and len(self.asked) % self.busy_every == 0:
            return bytes([pdu[0] | 0x80, self.busy_code])
        tables = next(iter(self.units.values())) if self.any_unit else self.units.get(unit)
        if tables is None:
            return bytes([pdu[0] | 0x80, self.stranger]) if self.stranger else b""
        code, body = self._read(tables, pdu) if pdu[0] in FUNCTIONS else self._identity(pdu)
        if code in self.silent_at:
            return b""
        return bytes([pdu[0] | 0x80, code]) if code else bytes([pdu[0]]) + body

    def _read(self, tables: Tables, pdu: bytes) -> tuple[int, bytes]:
        name = FUNCTIONS[pdu[0]]
        if name not in tables:
            return 1, b""
        start, count = struct.unpack(">HH", pdu[1:5])
        is_bits = name in ("coil", "discrete")
        if count > (self.most_bits if is_bits else self.most):
            return 3, b""
        if name in self.pairs and (start % 2 or count % 2):
            return 2, b""
        if any(a not in tables[name] for a in range(start, start + count)):
            return 2, b""
        values = [tables[name][a] for a in range(start, start + count)]
        if not is_bits:
            return 0, bytes([2 * count]) + struct.pack(f">{count}H", *values)
        data = bytearray((count + 7) // 8)
        for n, bit in enumerate(values):
            data[n // 8] |= bit << n % 8
        return 0, bytes([len(data)]) + bytes(data)

    def _identity(self, pdu: bytes) -> tuple[int, bytes]:
        if pdu[0] == 17 and self.report:
            return 0, bytes([len(self.report)]) + self.report
        if pdu[:2] != bytes([43, 14]) or not self.objects:
            return 1, b""
        number = pdu[3]  # one object an answer: more follow
        later = [n for n in self.objects if n > number]
        more = bytes([0xFF, min(later)]) if later else b"\0\0"
        text = self.objects[number]
        return 0, bytes([14, pdu[2], 1]) + more + bytes([1, number, len(text)]) + text

    # --- ways to it ---------------------------------------------------------------------------------------------------

    @contextmanager
    def tcp(self) -> Iterator[int]:
        """On a port of this computer, which is given."""
        device = TcpDevice(self._answer_all)
        try:
            yield device.port
        finally:
            device.close()

    def _answer_all(self, sock: socket.socket) -> None:
        stream, began, last, is_hung = sock.makefile("rb"), time.monotonic(), 0.0, False
        while len(head := stream.read(7)) == 7:
            number, _, length, unit = struct.unpack(">HHHB", head)
            pdu, now = stream.read(length - 1), time.monotonic()
            is_hung = is_hung or pdu[0] in self.hangs_on
            if is_hung or now - began < self.deaf_s or now - last < self.gap_s or not (said := self.answer(unit, pdu)):
                continue
            number = number if self.number is None else self.number
            unit = unit if self.unit_said is None else self.unit_said
            sock.sendall(struct.pack(">HHHB", number, 0, len(said) + 1, unit) + said)
            last = time.monotonic()

    @contextmanager
    def line(self) -> Iterator[str]:
        """At a serial port, whose name is given: a pseudoterminal, at any speed."""
        line = SerialLine()
        line.start(self._serve_line, line)
        try:
            yield line.port
        finally:
            line.close()

    def _serve_line(self, line: SerialLine) -> None:
        data = b""
        while came := line.read(256):
            data += came
            size = {17: 4, 43: 7}.get(data[1], 8) if len(data) > 1 else 8
            if len(data) < size:
                continue
            frame, data = data[:size], b""
            assert with_crc(frame[:-2]) == frame
            said = self.answer(frame[0], frame[1:-2])
            line.write((frame if self.echo else b"") + (with_crc(frame[:1] + said) if said else b""))


class Time(Clock):
    """A clock that moves only when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        """Seconds."""
        return self.seconds

    def sleep(self, for_s: float) -> None:
        """Let so much pass."""
        self.seconds += for_s


class Paper:
    """A wire to a device without any system between; an answer takes 1 ms, and silence as long as is waited."""

    def __init__(self, device: Device, clock: Time) -> None:
        self.device = device
        self.oddities = Oddities()
        self._clock = clock
        self._is_hung = False
        self._connected = self._answered = float("-inf")

    def open(self, within_s: float) -> None:
        """Connect."""
        self._connected, self._is_hung = self._clock.now(), False

    def close(self) -> None:
        """Let go."""

    def exchange(self, unit: int, pdu: bytes, within_s: float) -> bytes:
        """A question and its answer."""
        device, now = self.device, self._clock.now()
        self._is_hung = self._is_hung or pdu[0] in device.hangs_on
        is_lost = now - self._connected < device.deaf_s or now - self._answered < device.gap_s
        said = b"" if self._is_hung or is_lost else device.answer(unit, pdu)
        self._clock.sleep(0.001 if said else within_s)
        if not said:
            raise NoAnswerError("no answer in time")
        self._answered = self._clock.now()
        return said


def asker_of(device: Device, timeout_s: float = 0.1) -> Asker:
    """Who asks it, connected, in a time of their own."""
    clock = Time()
    asker = Asker(Paper(device, clock), timeout_s, 0.0, clock)
    asker.connect()
    return asker


def words(start: int, count: int) -> dict[int, int]:
    """Registers that hold their own address."""
    return {a: a for a in range(start, start + count)}
