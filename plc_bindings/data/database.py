"""The tag database: everything that a server shows, as named symbols in areas. What the PLC sees, whatever the protocol.

Database  --areas-->   Area       a block of bytes that is read and written as a whole: one consistent group
          --symbols--> Symbol     a name, a type, its place in an area
Session   one client's requests: begin(), read(), write(), commit(). Within a request each area is read once, so no
          request sees half of a cycle; all that it writes to an area is published at once.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fieldbus.tags import Quality
from plc_bindings.data.types import Leaf, Struct, Type, find, leaves
from plc_bindings.errors import NameClashError


@dataclass(frozen=True, slots=True)
class Moment:
    """An area as it was: how good its values are, and since when they are so (CLOCK_MONOTONIC; 0: there never were any).

    `pack` makes its bytes, in any thread: what asks for them pays for them.
    """

    pack: Callable[[], bytes]
    quality: Quality
    timestamp_ns: int


class Area(ABC):
    """A consistent group of values. Called from the servers' thread only.

    `type` says what its bytes are. `can_write` says whether its symbols may be named writable at all,
    `writes` which of their elements: all of them when it is empty.
    """

    def __init__(self, name: str, type_: Struct, can_write: bool = False, writes: tuple[str, ...] = ()) -> None:
        self.name, self.type, self.can_write, self.writes = name, type_, can_write, writes
        self.size = type_.size

    @abstractmethod
    def read(self) -> bytes:
        """All bytes as they are now."""

    def moment(self) -> Moment:
        """What `read` gives, with its quality and time, for protocols that carry them."""
        data = self.read()
        return Moment(lambda: data, Quality.GOOD, time.monotonic_ns())

    def write(self, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        """Publish new bytes at once; `changed` are the (offset, length) that a client wrote."""
        raise NotImplementedError(f"area {self.name} is read-only")

    def write_by(self, who: str, data: bytes, changed: Sequence[tuple[int, int]]) -> None:
        """The same, for areas that want to know which client it was."""
        self.write(data, changed)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named value: `name` is unique without regard to case. `low`, `high`: outside of them it is no value."""

    name: str
    type: Type
    area: int
    offset: int
    unit: str = ""
    comment: str = ""
    low: float = -math.inf
    high: float = math.inf

    @property
    def size(self) -> int:
        """Bytes."""
        return self.type.size

    def leaves(self) -> Iterator[tuple[str, Leaf]]:
        """(whole name, leaf) of each scalar, string and array of scalars in it; offsets are those in the area."""
        for leaf in leaves(self.type, "", self.offset, self.unit, self.comment):
            yield f"{self.name}.{leaf.path}" if leaf.path else self.name, leaf


class Database:
    """All areas and symbols of a station. Immutable while servers run, but for `version`.

    Args:
        areas: in the order of their numbers.
        symbols: those at the top: their elements are found by path.
        types: structures that clients want to know beside those of symbols: what predict calls take and give.

    Raises:
        NameClashError: two symbols have the same name, since clients do not tell case, or `-` from `_`.
    """

    def __init__(self, areas: Iterable[Area], symbols: Iterable[Symbol], types: Iterable[Struct] = ()) -> None:
        self.areas = tuple(areas)
        self.symbols = tuple(symbols)
        self.types = tuple(types)
        self.version = 1
        """Changes when the symbols do (1 to 255, around)."""
        self._by_name: dict[str, Symbol] = {}
        for symbol in self.symbols:
            if symbol.name.lower() in self._by_name:
                raise NameClashError(symbol.name)
            self._by_name[symbol.name.lower()] = symbol
        self._places: dict[int, list[Symbol]] = {}
        self._longest = max(map(len, self._by_name), default=0)

    def find(self, name: str) -> Symbol | None:
        """A symbol, or an element of one (`Tasks.axis.WakeUp.P99`, `Models.policy.In.x[3]`), by its name in any case."""
        plain = name.lower()
        found = self._by_name.get(plain)
        if found is not None:
            return found
        end = min(len(plain), self._longest + 1)  # names come from clients: some are long, and full of dots
        while (end := max(plain.rfind(".", 0, end), plain.rfind("[", 0, end))) > 0:
            top = self._by_name.get(plain[:end])
            if top is not None:
                place = find(top.type, plain[end:])
                if place is None:
                    return None
                return Symbol(top.name + name[end:], place[0], top.area, top.offset + place[1], top.unit, top.comment)
        return None

    def name_at(self, area: int, offset: int) -> str:
        """The symbol, or element of one, that holds a byte; where none does, its place."""
        if area not in self._places:
            inside = (symbol for symbol in self.symbols if symbol.area == area)
            self._places[area] = sorted(inside, key=lambda symbol: symbol.offset)
        places = self._places[area]
        index = bisect_right(places, offset, key=lambda symbol: symbol.offset) - 1
        if index >= 0:
            symbol = places[index]
            for name, leaf in symbol.leaves():
                if leaf.offset <= offset < leaf.offset + leaf.type.size:
                    return name
        return f"{self.areas[area].name} + {offset}"

    def writable(self, patterns: Sequence[str]) -> Writable:
        """What a server whose file names these patterns (`Tags.*`, `Tasks.axis.Reset`) writable lets clients write."""
        masks = [bytearray(area.size) for area in self.areas]
        lowered = [pattern.lower() for pattern in patterns]
        for symbol in self.symbols:
            area = self.areas[symbol.area]
            if not area.can_write:
                continue
            for name, leaf in symbol.leaves():
                if area.writes and leaf.path not in area.writes:
                    continue
                if any(fnmatchcase(name.lower(), pattern) for pattern in lowered):
                    masks[symbol.area][leaf.offset : leaf.offset + leaf.type.size] = b"\1" * leaf.type.size
        return Writable(tuple(bytes(mask) for mask in masks))


@dataclass(frozen=True, slots=True)
class Writable:
    """One byte for each byte of each area: 1 where a client may write."""

    masks: tuple[bytes, ...]

    def allows(self, area: int, offset: int, length: int) -> bool:
        """May these bytes be written, all of them?"""
        return self.masks[area].count(1, offset, offset + length) == length

    def first_closed(self, area: int, offset: int) -> int:
        """The first byte from `offset` on that may not be written."""
        return self.masks[area].find(0, offset)


class NotAllowedError(Exception):
    """A client may not do that."""


class Session:
    """One client's view of the database, for as long as it is connected. Servers' thread only.

    begin(), then reads and writes, then commit(): one request. Reads after a write in the same request see it.
    """

    __slots__ = ("_changed", "_refused", "_snapshots", "_who", "_writable", "database")

    def __init__(
        self,
        database: Database,
        writable: Writable,
        refused: Callable[[str], None] = lambda what: None,
        who: str = "a client",
    ) -> None:
        self.database, self._writable, self._refused, self._who = database, writable, refused, who
        self._snapshots: dict[int, bytes | bytearray] = {}
        self._changed: dict[int, list[tuple[int, int]]] = {}

    def begin(self) -> None:
        """A new request: forget what the last one saw."""
        self._snapshots.clear()
        self._changed.clear()

    def read(self, area: int, offset: int, length: int) -> bytes:
        """Bytes of an area; raises `IndexError` beyond its end."""
        data = self._snapshots.get(area)
        if data is None:
            data = self._snapshots[area] = self.database.areas[area].read()
        if offset + length > len(data):
            raise IndexError(offset)
        return bytes(data[offset : offset + length])

    def write(self, area: int, offset: int, data: bytes) -> None:
        """Stage bytes; raises `IndexError` beyond the area's end, `NotAllowedError` (and says so to `refused`).

        No bytes at all are no write: whoever watches for silence must not take them for one.
        """
        if not 0 <= area < len(self.database.areas) or offset + len(data) > self.database.areas[area].size:
            raise IndexError(offset)
        if not data:
            return
        if not self._writable.allows(area, offset, len(data)):
            self._refused(f"write of {self.database.name_at(area, self._writable.first_closed(area, offset))}")
            raise NotAllowedError
        snapshot = self._snapshots.get(area)
        if not isinstance(snapshot, bytearray):
            snapshot = self._snapshots[area] = bytearray(
                self.database.areas[area].read() if snapshot is None else snapshot
            )
        snapshot[offset : offset + len(data)] = data
        self._changed.setdefault(area, []).append((offset, len(data)))

    def commit(self) -> None:
        """Publish what was staged: each area at once."""
        for area, changed in self._changed.items():
            self.database.areas[area].write_by(self._who, bytes(self._snapshots[area]), changed)
        self._changed.clear()
