"""Devices on a serial line (a pseudo-terminal) that answer late, twice, not at all, or with noise."""

import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fieldbus.modbus.crc import with_crc
from tests.devices import SerialLine

Delays = Callable[[random.Random], float]
READS = (1, 2, 3, 4)


def framed(body: bytes) -> bytes:
    """With its checksum."""
    return with_crc(body)


@dataclass
class Serial:
    """Serves `port`. Register n of unit u holds 1000 * u + n, or what was written; a read of `most` registers and more is refused.

    Requests are answered one after the other, as units do, each after `delay` seconds.

    Attributes:
        units: who is there.
        delay: seconds from a request to its answer.
        lose, garble, noise, twice: probabilities: of no answer; of one with a wrong byte; of bytes before it; of a second one.
        echo: what is sent comes back first.
        silent: function codes, of lengths, that are not answered at all: (unit, function, count) -> bool.
    """

    units: tuple[int, ...] = (1,)
    delay: Delays = lambda _: 0.0
    lose: float = 0.0
    garble: float = 0.0
    noise: float = 0.0
    twice: float = 0.0
    echo: bool = False
    most: int = 126
    silent: Callable[[int, int, int], bool] = lambda *_: False
    seed: int = 1
    asked: list[tuple[float, bytes]] = field(default_factory=list)
    written: dict[tuple[int, int], int] = field(default_factory=dict)
    answered: int = 0

    def __enter__(self) -> "Serial":
        self.line = SerialLine()
        self.port = self.line.port
        self._random = random.Random(self.seed)
        self._waiting: dict[int, list[bytes]] = {unit: [] for unit in range(256)}
        self.line.start(self._hear)
        for unit in self.units:
            self.line.start(self._serve, unit)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.line.close()

    def _hear(self) -> None:
        data = b""
        while came := self.line.read():
            data += came
            while len(data) >= 8:
                nbytes = 9 + data[6] if data[1] in (15, 16) else 8
                if len(data) < nbytes:
                    break
                request, data = data[:nbytes], data[nbytes:]
                assert with_crc(request[:-2]) == request, request.hex()
                self.asked.append((time.monotonic(), request))
                if self.echo:
                    self.line.write(request)
                self._waiting[request[0]].append(request)

    def _serve(self, unit: int) -> None:
        waiting, chance = self._waiting[unit], self._random.random
        while self.line.is_open:
            if not waiting:
                time.sleep(0.0002)
                continue
            request = waiting.pop(0)
            time.sleep(self.delay(self._random))
            answer = self.answer(request)
            if not answer or chance() < self.lose:
                continue
            if chance() < self.garble:
                at = self._random.randrange(len(answer))
                answer = answer[:at] + bytes([answer[at] ^ self._random.randrange(1, 256)]) + answer[at + 1 :]
            if chance() < self.noise:
                answer = self._random.randbytes(self._random.randrange(1, 12)) + answer
            self.answered += 1
            self.line.write(answer * (2 if chance() < self.twice else 1))

    def answer(self, request: bytes) -> bytes:
        """What the unit says; nothing when it is silent."""
        unit, function, address, count = struct.unpack(">BBHH", request[:6])
        if self.silent(unit, function, count):
            return b""
        if function in (6, 16):
            data = request[4:6] if function == 6 else request[7:-2]
            for i, (word,) in enumerate(struct.iter_unpack(">H", data)):
                self.written[unit, address + i] = word
            return framed(request[:6])
        if function not in READS or count >= self.most:
            return framed(bytes([unit, function | 0x80, 2]))
        words = [self.written.get((unit, address + i), 1000 * unit + address + i) & 0xFFFF for i in range(count)]
        data = struct.pack(f">{count}H", *words) if function > 2 else bytes((count + 7) // 8)
        return framed(bytes([unit, function, len(data)]) + data)
