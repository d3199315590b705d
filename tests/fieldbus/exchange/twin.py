"""What an exchange must do with what comes, in plain Python: a twin of the verification, written from the protocol.

MODBUS Messaging on TCP/IP V1.0b: number 2 | 0 0 | length 2 | unit 1 | function 1 | ...
"""

import struct
from dataclasses import dataclass, field

from fieldbus.exchange.block import Event
from fieldbus.tags import Quality
from tests.fieldbus.exchange.bench import MS

ASKED = ((1, 16, b"\0\x64\0\2"), (1, 3, None), (2, 3, None))
"""Of each question: unit, function, the body that must come back; None: `BYTES` bytes of values."""
BYTES = 4
LONGEST, SHORTEST = 6 + 254, 6 + 3
PASSING = (5, 6, 10, 11)
GOOD, STALE, BAD = int(Quality.GOOD), int(Quality.STALE), int(Quality.BAD)


@dataclass
class Twin:
    """The state of an exchange of three questions. Times in nanoseconds."""

    timeout_ns: int
    answer_ns: int
    now_ns: int
    number: int = 0
    buffer: bytes = b""
    pending: int | None = None
    position: int = 0
    is_late: bool = True
    fault: Event = Event.NONE
    give_up_ns: int = 0
    sent_ns: int = 0
    quality: list[int] = field(default_factory=lambda: [BAD] * 3)
    fresh: list[bool] = field(default_factory=lambda: [False] * 3)
    asked_ns: list[int] = field(default_factory=lambda: [0] * 3)
    values: list[bytes] = field(default_factory=lambda: [b""] * 3)
    accepted: int = 0
    began_ns: int = 0
    heard_ns: int = 0
    missed_again_ns: int = 0
    misses: list[int] = field(default_factory=lambda: [0] * 3)
    skip_until_ns: list[int] = field(default_factory=lambda: [0] * 3)

    def begin(self) -> None:
        """A cycle begins."""
        self.now_ns += MS
        self.began_ns = self.now_ns
        self.position, self.is_late, self.fresh = 0, True, [False] * 3
        self.step()

    def step(self) -> None:
        """Give up what has waited too long; ask what is to be asked."""
        if self.fault:
            return
        if self.pending is not None and self.now_ns >= self.give_up_ns:
            self.quality[self.pending] = max(self.quality[self.pending], STALE)
            self._miss(self.pending)
            self._done()
        while self.pending is None and self.position < 3 and self._is_left_out(self.position):
            self.position += 1
        if self.pending is None and self.position < 3:
            self.number = (self.number + 1) % 65536
            self.pending, self.is_late = self.position, False
            self.sent_ns, self.give_up_ns = self.now_ns, self.now_ns + self.answer_ns

    def _miss(self, i: int) -> None:
        self.misses[i] += 1
        if self.misses[i] > 1:
            self.missed_again_ns = self.began_ns
            if self.heard_ns >= self.began_ns:
                self.skip_until_ns[i] = self.now_ns + 2 * 3 * self.answer_ns

    def _is_left_out(self, i: int) -> bool:
        """Who was silent is asked now and then, one in a cycle."""
        has_waited = self.missed_again_ns == self.began_ns
        return self.now_ns < self.skip_until_ns[i] or (self.misses[i] > 0 and has_waited)

    def feed(self, data: bytes) -> None:
        """Bytes come."""
        if self.fault:
            return
        self.buffer += data
        while len(self.buffer) >= 6 and not self.fault:
            length = 6 + int.from_bytes(self.buffer[4:6])
            if not SHORTEST <= length <= LONGEST:
                self.fault = Event.GARBAGE
            elif length > len(self.buffer):
                break
            else:
                self._judge(self.buffer[:length])
                self.buffer = self.buffer[length:]
        self.step()

    def end(self) -> tuple[int, int, tuple[int, ...], tuple[bytes, ...]]:
        """The cycle ends; gives fault, number, qualities and the newest values."""
        for i in range(3):
            if self.quality[i] == GOOD and not self.fresh[i]:
                self.quality[i] = STALE
            if self.quality[i] == STALE and self.now_ns - self.asked_ns[i] > self.timeout_ns:
                self.quality[i] = BAD
        outcome = int(self.fault), self.number, tuple(self.quality), tuple(self.values[1:])
        if self.fault:
            self.fault, self.buffer, self.pending = Event.NONE, b"", None
            self.heard_ns = self.now_ns
        return outcome

    def _judge(self, frame: bytes) -> None:
        number, protocol, _, unit, function = struct.unpack(">HHHBB", frame[:8])
        self.heard_ns = self.now_ns
        body, behind = frame[8:], (self.number - number) % 65536
        if 0 < behind <= 1024 or (behind == 0 and self.pending is None):
            return  # late
        if behind:
            self.fault = Event.UNASKED
            return
        assert self.pending is not None
        i = self.pending
        of_unit, of_function, back = ASKED[i]
        if protocol == 0 and unit == of_unit and function == of_function and _fits(body, back):
            self.quality[i], self.fresh[i], self.asked_ns[i] = GOOD, not self.is_late, self.sent_ns
            self.values[i], self.misses[i] = body[1:], 0
            self.accepted += 1
        elif protocol == 0 and unit == of_unit and function == of_function | 0x80 and len(body) == 1:
            self.quality[i] = max(self.quality[i], STALE) if body[0] in PASSING else BAD
            self.misses[i] = 0
        else:
            self.fault = Event.UNEXPECTED
            return
        self._done()

    def _done(self) -> None:
        if not self.is_late:
            assert self.pending is not None
            self.position = self.pending + 1
        self.pending = None


def _fits(body: bytes, back: bytes | None) -> bool:
    if back is not None:
        return body == back
    return len(body) == 1 + BYTES and body[0] == BYTES
