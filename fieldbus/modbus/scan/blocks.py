"""Which addresses of a table can be read, found in few questions.

points    0 . . 100 . . . . . 1000 . . . . . . . . . 40000       one address each, well chosen
grow          [96 <- 100 -> 139]                                 from one that answers, in steps that double
wall          [96 .. 139] 140: refused                           a step that is refused is halved: bisection
leap                            141 143 147 155 171 203          behind a wall often lies the next block

A step may be refused for its address or for being too long. If its parts can be read, it was too long: the device's own
limit lies below, and is found by bisection over what can be read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fieldbus.errors import ConnectionLostError, DeviceError, RefusedError
from fieldbus.modbus import protocol as p
from fieldbus.modbus.scan.asking import Asker

TABLES: Final = {
    "holding": p.READ_HOLDING_REGISTERS,
    "input": p.READ_INPUT_REGISTERS,
    "coil": p.READ_COILS,
    "discrete": p.READ_DISCRETE_INPUTS,
}
"""Table -> the function code that reads it."""
BIT_TABLES: Final = ("coil", "discrete")
BUDGET: Final = 5000
"""Questions to one table; a device that has a hole behind each register would take 65,536."""
LEAPS: Final = (1, 2, 4, 8, 16, 32, 64)
_CHOSEN: Final = (
    *(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 20, 32, 40, 50, 64, 100, 128, 150, 200, 256, 300, 400, 500, 512, 600, 768),
    *(1000, 1001, 1024, 1100, 1200, 1280, 1500, 2000, 2001, 2048, 2100, 2500, 3000, 3001, 3050, 3100, 3500),
    *(4000, 4001, 4096, 4352, 4500, 5000, 5001, 5500, 6000, 6001, 7000, 7001, 8000, 8192, 9000, 9001),
    *(10000, 10001, 11000, 12000, 12288, 15000, 16384, 20000, 20001, 20480, 24576, 28672),
    *(30000, 30001, 30051, 30100, 30201, 30500, 30700, 30775, 31000, 32000, 32768, 35000, 36864, 37000),
    *(40000, 40001, 40002, 40069, 40100, 41000, 42000, 43000, 45056, 49152, 49999, 50000, 53248, 57344, 60000),
    *(61440, 65000, 65280, 65535),
)
"""Where devices have something: the beginning of tables, round numbers in both ways of counting, SunSpec at 40000."""
_EVEN_POINTS: Final = 128
_LACKING: Final = 4
"""So many answers of one kind, and no other, mean that a device lacks the function code."""
Cut = Literal["", "too many holes", "stopped"]


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses from `start` on that can be read, and what was there: 16-bit words, or bits."""

    start: int
    values: tuple[int, ...]

    @property
    def end(self) -> int:
        """The address after the last one."""
        return self.start + len(self.values)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a unit."""

    name: str
    blocks: tuple[Block, ...]
    most: int
    """So many addresses a request may have, as far as is known."""
    is_limited: bool = False
    """Was more than `most` refused, though it could be read in parts?"""
    why: str = ""
    """Of a table without blocks: what the device says."""
    cut: Cut = ""
    """Why the search ended early, if it did."""

    @property
    def count(self) -> int:
        """How many addresses can be read."""
        return sum(len(block.values) for block in self.blocks)


Tell = Callable[[str], object]


def survey(
    asker: Asker, unit: int, name: str, within: range = range(p.ADDRESSES), tell: Tell = lambda text: None
) -> Table:
    """Find what can be read of one table.

    Raises:
        DeviceError: the device answers no more.
    """
    return _Survey(asker, unit, name, within, tell).run()


def reread(asker: Asker, unit: int, table: Table) -> Table:
    """The same addresses, with what is there now; those that are not answered now are left out. Raises `DeviceError`."""
    reading = _Survey(asker, unit, table.name, range(p.ADDRESSES), lambda text: None)
    for block in table.blocks:
        for start in range(block.start, block.end, table.most):
            reading.read_in_parts(start, min(table.most, block.end - start))
    return Table(table.name, reading.blocks(), table.most, table.is_limited)


def points(within: range) -> list[int]:
    """Where to ask first."""
    even = range(within.start, within.stop, max(1, len(within) // _EVEN_POINTS))
    return sorted({*(n for n in _CHOSEN if n in within), *even}, key=lambda n: (n not in _CHOSEN, n))


class _Out(Exception):
    """The questions are used up."""


class _Survey:
    def __init__(self, asker: Asker, unit: int, name: str, within: range, tell: Tell) -> None:
        self.words: dict[int, int] = {}
        self._asker, self._unit, self._name, self._within, self._tell = asker, unit, name, within, tell
        self._most = p.READ_BITS if name in BIT_TABLES else p.READ_REGISTERS
        self._longest = 1
        self._is_limited = False
        self._left = BUDGET
        self._refusals: dict[int, int] = {}  # exception code, or 0 for an answer of a wrong length -> how often
        self._silences = 0

    def run(self) -> Table:
        cut: Cut = ""
        try:
            for point in points(self._within):
                if self._lacks_function():
                    break
                self._explore(point)
            self._check_limit()
        except _Out:
            cut = "too many holes"
        except KeyboardInterrupt:
            cut = "stopped"
        blocks = self.blocks()
        return Table(self._name, blocks, self._most, self._is_limited, "" if blocks else self._why(), cut)

    def _lacks_function(self) -> bool:
        """Nothing but "illegal function", answers of a wrong length, or silence, so far."""
        if self.words or len(self._refusals) + bool(self._silences) != 1:
            return False
        return max(self._refusals.get(p.Code.ILLEGAL_FUNCTION, 0), self._refusals.get(0, 0), self._silences) >= _LACKING

    def _why(self) -> str:
        if set(self._refusals) == {p.Code.ILLEGAL_FUNCTION}:
            return "the device does not have it"
        if set(self._refusals) == {0}:
            return "answers of a wrong length"
        return "silent" if self._silences and not self._refusals else "nothing found"

    def _explore(self, point: int) -> None:
        """Grow from a point, and leap over the walls around what was found."""
        waiting = [point]
        while waiting:
            at = waiting.pop()
            if at in self.words or at not in self._within or self._lacks_function():
                continue
            if grain := self._probe(at):
                end, start = self._grow(at + grain, 1, grain), self._grow(at, -1, grain)
                waiting += [end + leap for leap in reversed(LEAPS)] + [start - 1 - leap for leap in LEAPS]

    def _probe(self, at: int) -> int:
        """So many addresses can be read here: one, or two of a device that gives no half values; 0: none."""
        if self.read(at, 1):
            return 1
        may_be_two = self._name not in BIT_TABLES and not self._silences and at + 1 in self._within
        return 2 if may_be_two and self._has_other_refusals() and self.read(at, 2) else 0

    def _has_other_refusals(self) -> bool:
        return bool(self._refusals) and set(self._refusals) != {p.Code.ILLEGAL_FUNCTION}

    def _grow(self, edge: int, way: int, grain: int) -> int:
        """Extend what can be read from `edge` on, upwards or downwards (`way`); gives the new edge."""
        step, wall, refused = grain, None, 0
        while True:
            while (edge if way > 0 else edge - 1) in self.words:
                edge += way
            if wall is not None and (wall - edge) * way <= 0:  # the refused step could be read in parts
                self._learn_limit(edge, way, refused, grain)
                wall, step = None, self._most
            room = self._within.stop - edge if way > 0 else edge - self._within.start
            n = min(step, self._most, room)
            if wall is not None:
                n = min(n, max(grain, abs(wall - edge) // 2))
            n -= n % grain
            if n <= 0:
                return edge
            if self.read(edge if way > 0 else edge - n, n):
                edge += way * n
                step = 2 * n
            elif n > grain:
                wall, refused = edge + way * n, n
            else:
                return edge

    def _check_limit(self) -> None:
        """The longest block was read in parts: may it be read at once?"""
        longest = max(self.blocks(), key=lambda block: len(block.values), default=Block(0, ()))
        n = min(len(longest.values), self._most)
        if n > self._longest and not self.read(longest.start, n):
            self._learn_limit(longest.start + n, 1, n, 1)

    def _learn_limit(self, edge: int, way: int, refused: int, grain: int) -> None:
        """Bisect how many addresses a request may have, over the `refused` ones that lie before the edge."""
        start = edge - refused if way > 0 else edge
        if self._longest >= refused or self.read(start, refused):  # a border inside, or it was lost
            return
        low, high = self._longest, refused - grain
        while low < high:
            middle = (low + high + 1) // 2
            middle += middle % grain
            if self.read(start, middle):
                low = middle
            else:
                high = middle - grain
        if low < refused - grain and self.read(start + refused - low - grain, low + grain):
            return  # it was a border that no request may cross
        self._most, self._is_limited = low, True

    def read_in_parts(self, start: int, count: int) -> None:
        """Read what is known to be readable, halving what is refused."""
        if not self.read(start, count) and count > 1:
            self.read_in_parts(start, count // 2)
            self.read_in_parts(start + count // 2, count - count // 2)

    def read(self, start: int, count: int) -> bool:
        """Read and keep; False: refused, or not answered by a device that answers else. Raises `DeviceError`, `_Out`."""
        if self._left <= 0:
            raise _Out
        self._left -= 1
        last = start + count - 1
        self._tell(f"{self._name} {start}" + (f"..{last}" if last > start else ""))
        tries = 1 if self._silences >= 3 else 3
        try:
            body = self._asker.ask(self._unit, TABLES[self._name], struct.pack(">HH", start, count), tries)
        except RefusedError as error:
            self._refusals[error.code] = self._refusals.get(error.code, 0) + 1
            return False
        except ConnectionLostError:
            raise
        except DeviceError:  # some devices are silent where they should refuse
            self._asker.still_there(self._unit)
            self._silences += 1
            return False
        values = self._values(body, count)
        if not values:
            self._refusals[0] = self._refusals.get(0, 0) + 1
            return False
        self.words.update(enumerate(values, start))
        self._longest = max(self._longest, count)
        return True

    def _values(self, body: bytes, count: int) -> Sequence[int]:
        """Words or bits of an answer; nothing if it has not as many bytes as were asked for."""
        data = body[1:]
        nbytes = (count + 7) // 8 if self._name in BIT_TABLES else 2 * count
        if len(data) != nbytes or body[0] != nbytes:
            return ()
        if self._name in BIT_TABLES:
            return [data[n // 8] >> n % 8 & 1 for n in range(count)]
        return struct.unpack(f">{count}H", data)

    def blocks(self) -> tuple[Block, ...]:
        """What was read, in rows."""
        found: list[Block] = []
        row: list[int] = []
        start = 0
        for address in sorted(self.words):
            if row and address != start + len(row):
                found.append(Block(start, tuple(row)))
                row = []
            if not row:
                start = address
            row.append(self.words[address])
        return (*found, Block(start, tuple(row))) if row else ()
