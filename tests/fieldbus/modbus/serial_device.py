"""Devices on a serial line (a pseudo-terminal) that answer late, twice, not at all, or with noise."""

import os
import random
import select
import struct
import threading
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from fieldbus.modbus.crc import with_crc

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

    def __enter__(self) -> "Serial":
        self._end, self._other = os.openpty()
        tty.setraw(self._other)
        self.port = os.ttyname(self._other)
        self._random = random.Random(self.seed)
        self._waiting: dict[int, list[bytes]] = {unit: [] for unit in range(256)}
        self._is_open = True
        self._threads = [threading.Thread(target=self._hear, daemon=True)]
        self._threads += [threading.Thread(target=self._serve, args=(unit,), daemon=True) for unit in self.units]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_open = False
        for thread in self._threads:
            thread.join()  # before it is closed: a late answer would go to whoever gets the descriptor's number next
        os.close(self._other)
        os.close(self._end)

    def _hear(self) -> None:
        data = b""
        with suppress(OSError):
            while self._is_open:
                if not select.select([self._end], [], [], 0.01)[0]:
                    continue
                if not (came := os.read(self._end, 512)):
                    return
                data += came
                while len(data) >= 8:
                    nbytes = 9 + data[6] if data[1] in (15, 16) else 8
                    if len(data) < nbytes:
                        break
                    request, data = data[:nbytes], data[nbytes:]
                    assert with_crc(request[:-2]) == request, request.hex()
                    self.asked.append((time.monotonic(), request))
                    if self.echo:
                        os.write(self._end, request)
                    self._waiting[request[0]].append(request)

    def _serve(self, unit: int) -> None:
        waiting, chance = self._waiting[unit], self._random.random
        with suppress(OSError):
            while self._is_open:
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
                os.write(self._end, answer * (2 if chance() < self.twice else 1))

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
