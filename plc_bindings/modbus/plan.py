"""Where the values of a request are: made once for an address and a quantity, then kept.

read 40010, 20   ->   Values(area 3, bytes 10 to 34), Values(area 3, bytes 40 to 56)     converted together
write 10000, 16  ->   Inputs(model 1, bytes 0 to 32)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final, TypeVar

from fieldbus.modbus.protocol import Code
from fieldbus.tags import Order
from plc_bindings.data.database import Session, Writable
from plc_bindings.data.types import BOOL, SINT, UDINT, USINT, Scalar, String
from plc_bindings.modbus.convert import Converter, elements, scalars
from plc_bindings.modbus.map import Block, Place, RegisterMap, registers
from plc_bindings.modbus.pdu import Refused

MOST_KEPT: Final = 512
"""Plans of one kind; when there are more, all are made anew: clients ask the same again and again."""
_SMALL: Final = (BOOL, SINT, USINT)
_DIGITS: Final = bytes([48, *[49] * 255])
_BITS: Final = bytes([0] * 49 + [1] + [0] * 206)

_Plan = TypeVar("_Plan")
Segment = tuple[int, int, int]
"""(area, offset, length)"""


class SharedBlock:
    """A predict block for all connections: how it is converted."""

    def __init__(self, index: int, block: Block, order: Order) -> None:
        self.index, self.block = index, block
        ends = block.served.signature
        self.input_types = scalars(ends.inputs)
        self.inputs = Converter(self.input_types, order)
        self.result = Converter([UDINT, UDINT, *scalars(ends.outputs)], order)


@dataclass(frozen=True, slots=True)
class Values:
    """Bytes of areas. `start` and `stop` cut what was not asked for from their registers."""

    segments: tuple[Segment, ...]
    converter: Converter
    start: int
    stop: int

    def read(self, session: Session) -> bytes:
        """Their registers."""
        data = _read(session, self.segments)
        return self.converter.to_wire(data)[self.start : self.stop]

    def decode(self, data: bytes) -> bytes:
        """Bytes for the areas; raises `Refused` when a value is illegal for its type."""
        try:
            memory = self.converter.to_memory(data)
            self.converter.check(memory)
        except ValueError as error:
            raise Refused(Code.ILLEGAL_VALUE, f"write of an illegal value: {error}") from None
        return memory

    def write(self, session: Session, memory: bytes) -> None:
        """Stage them."""
        _write(session, self.segments, memory)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Bytes `start` to `stop` of a predict block's inputs, as registers. `checks`: values that registers may exceed."""

    shared: SharedBlock
    start: int
    stop: int
    checks: tuple[tuple[int, int, Converter], ...]

    def decode(self, data: bytes) -> bytes:
        """The same data; raises `Refused` when a value is illegal for its type."""
        try:
            for start, stop, converter in self.checks:
                converter.check(converter.to_memory(data[start:stop]))
        except ValueError as error:
            raise Refused(Code.ILLEGAL_VALUE, f"predict: {error}") from None
        return data


@dataclass(frozen=True, slots=True)
class Result:
    """Bytes `start` to `stop` of a predict block's status, version and outputs, as registers."""

    shared: SharedBlock
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """Registers to read: pieces in their order. `results` are the predict blocks that must be computed first."""

    pieces: tuple[Values | Inputs | Result, ...]
    results: tuple[SharedBlock, ...]
    has_values: bool


@dataclass(frozen=True, slots=True)
class WritePlan:
    """Registers to write: (first byte, byte behind the last, piece). `plain`: inputs of a model, with nothing to check."""

    pieces: tuple[tuple[int, int, Values | Inputs], ...]
    plain: Inputs | None


@dataclass(frozen=True, slots=True)
class CoilPlan:
    """BOOLs, each a byte of an area. `spans`: the same for reading: (area, offset, length), and which bytes of these."""

    segments: tuple[Segment, ...]
    spans: tuple[tuple[Segment, Callable[[bytes], Iterable[int]] | None], ...]

    def read(self, session: Session) -> bytes:
        """Eight in a byte, the first in the lowest bit."""
        parts = []
        for segment, pick in self.spans:
            data = session.read(*segment)
            parts.append(data if pick is None else bytes(pick(data)))
        data = b"".join(parts)
        return int(data[::-1].translate(_DIGITS), 2).to_bytes((len(data) + 7) // 8, "little")

    def write(self, session: Session, data: bytes) -> None:
        """Stage them; bits behind the last are ignored."""
        count = sum(length for _, _, length in self.segments)
        bits = format(int.from_bytes(data, "little") & (1 << count) - 1, f"0{count}b")
        _write(session, self.segments, bits[::-1].encode().translate(_BITS))


class Planner:
    """Plans for one server's map. `writable` says what its clients may write."""

    def __init__(self, map_: RegisterMap, writable: Writable, order: Order) -> None:
        self.map, self._writable, self._order = map_, writable, order
        self.blocks = tuple(SharedBlock(i, block, order) for i, block in enumerate(map_.blocks))
        spans: list[tuple[int, int, Place | SharedBlock, bool]] = [
            (place.register, place.register + place.count, place, False) for place in map_.places if place.count
        ]
        for shared in self.blocks:
            block = shared.block
            spans.append((block.inputs, block.result, shared, True))
            spans.append((block.result, block.end, shared, False))
        self._spans = sorted(spans, key=lambda span: span[0])
        self._starts = [span[0] for span in self._spans]
        self._coils = [place for place in map_.places if place.coil is not None and place.count]
        self._coil_starts = [place.coil or 0 for place in self._coils]
        self._names: dict[int, list[tuple[int, str]]] = {}
        for place in sorted(map_.places, key=lambda place: place.offset):
            self._names.setdefault(place.area, []).append((place.offset, place.name))
        self._reads: dict[tuple[int, int], ReadPlan | Refused] = {}
        self._writes: dict[tuple[int, int], WritePlan | Refused] = {}
        self._coil_reads: dict[tuple[int, int], CoilPlan | Refused] = {}
        self._coil_writes: dict[tuple[int, int], CoilPlan | Refused] = {}

    def read(self, address: int, quantity: int) -> ReadPlan:
        """Registers to read; raises `Refused` when one does not exist."""
        return _kept(self._reads, address, quantity, self._plan_read)

    def write(self, address: int, quantity: int) -> WritePlan:
        """Registers to write; raises `Refused` when one does not exist, is read-only, or is a part of a value."""
        return _kept(self._writes, address, quantity, self._plan_write)

    def read_coils(self, address: int, quantity: int) -> CoilPlan:
        """Coils to read; raises `Refused` when one does not exist."""
        return _kept(self._coil_reads, address, quantity, self._plan_coils)

    def write_coils(self, address: int, quantity: int) -> CoilPlan:
        """Coils to write; raises `Refused` when one does not exist, or may not be written."""
        return _kept(self._coil_writes, address, quantity, self._plan_coil_write)

    def _plan_read(self, address: int, quantity: int) -> ReadPlan:
        pieces = tuple(self._pieces(address, address + quantity))
        results = tuple({p.shared.index: p.shared for p in pieces if isinstance(p, Result)}.values())
        return ReadPlan(pieces, results, any(isinstance(p, Values) for p in pieces))

    def _plan_write(self, address: int, quantity: int) -> WritePlan:
        at = 0
        pieces: list[tuple[int, int, Values | Inputs]] = []
        for piece in self._pieces(address, address + quantity):
            if isinstance(piece, Result):
                raise Refused(Code.ILLEGAL_ADDRESS, f"write of the result of {piece.shared.block.served.name}")
            if isinstance(piece, Values):
                self._check_writable(piece)
            size = piece.stop - piece.start
            pieces.append((at, at + size, piece))
            at += size
        first = pieces[0][2]
        is_plain = len(pieces) == 1 and isinstance(first, Inputs) and not first.checks
        return WritePlan(tuple(pieces), first if is_plain and isinstance(first, Inputs) else None)

    def _plan_coil_write(self, address: int, quantity: int) -> CoilPlan:
        plan = self._plan_coils(address, quantity)
        self._check_segments(plan.segments)
        return plan

    def _plan_coils(self, address: int, quantity: int) -> CoilPlan:
        segments: list[Segment] = []
        at, end = address, address + quantity
        i = max(0, bisect_right(self._coil_starts, address) - 1)
        while at < end and i < len(self._coils):
            place, first = self._coils[i], self._coil_starts[i]
            if not first <= at < first + place.count:
                break
            count = min(end, first + place.count) - at
            _append(segments, (place.area, place.offset + at - first, count))
            at += count
            i += 1
        if at < end:
            raise Refused(Code.ILLEGAL_ADDRESS)
        return CoilPlan(tuple(segments), tuple(_spans(segments)))

    def _pieces(self, address: int, end: int) -> Iterator[Values | Inputs | Result]:
        places: list[Place] = []
        at = address
        for first, last, item, is_input in self._covering(address, end):
            if isinstance(item, Place):
                places.append(item)
            else:
                if places:
                    yield self._values(places, address, end)
                    places = []
                start, stop = 2 * (at - first), 2 * (min(end, last) - first)
                if is_input:
                    yield Inputs(item, start, stop, tuple(self._checks(item, start // 2, stop // 2)))
                else:
                    yield Result(item, start, stop)
            at = last
        if places:
            yield self._values(places, address, end)

    def _covering(self, address: int, end: int) -> Iterator[tuple[int, int, Place | SharedBlock, bool]]:
        at = address
        for span in self._spans[max(0, bisect_right(self._starts, address) - 1) :]:
            if at >= end or not span[0] <= at < span[1]:
                break
            yield span
            at = span[1]
        if at < end:
            raise Refused(Code.ILLEGAL_ADDRESS)

    def _values(self, places: Sequence[Place], address: int, end: int) -> Values:
        """The values of `places` that have a register from `address` to `end`, as they lie in the areas."""
        types: list[Scalar | String] = []
        segments: list[Segment] = []
        begin = -1
        for place in places:
            values = elements(place.type)
            each = registers(values[0])
            first = max(0, (address - place.register) // each)
            last = min(len(values), -(-(end - place.register) // each))
            begin = place.register + first * each if begin < 0 else begin
            size = values[0].size
            types += values[first:last]
            _append(segments, (place.area, place.offset + first * size, (last - first) * size))
        begin_wanted = max(address, places[0].register)
        start = 2 * (begin_wanted - begin)
        end_wanted = min(end, places[-1].register + places[-1].count)
        return Values(tuple(segments), Converter(types, self._order), start, start + 2 * (end_wanted - begin_wanted))

    def _checks(self, shared: SharedBlock, first: int, last: int) -> Iterator[tuple[int, int, Converter]]:
        """Values of 8 bits among registers `first` to `last` of the inputs."""
        at = 0
        for type_ in shared.input_types:
            if type_ in _SMALL and first <= at < last:
                yield 2 * (at - first), 2 * (at - first + 1), Converter([type_], self._order)
            at += registers(type_)

    def _check_writable(self, piece: Values) -> None:
        self._check_segments(piece.segments)
        if piece.start or piece.stop != piece.converter.wire_size:
            raise Refused(Code.ILLEGAL_ADDRESS, "write of a part of a value: write all of its registers at once")

    def _check_segments(self, segments: Sequence[Segment]) -> None:
        """Raises `Refused` with the first value that may not be written."""
        for area, first, length in segments:
            mask = self._writable.masks[area][first : first + length]
            if 0 in mask:
                offset = first + mask.index(0)
                raise Refused(Code.ILLEGAL_ADDRESS, f"write of {self._name(area, offset)}: not writable")

    def _name(self, area: int, offset: int) -> str:
        """What begins at or before a byte of an area."""
        names = self._names[area]
        return names[bisect_right(names, offset, key=lambda entry: entry[0]) - 1][1]


def _read(session: Session, segments: Sequence[Segment]) -> bytes:
    if len(segments) == 1:
        return session.read(*segments[0])
    return b"".join([session.read(*segment) for segment in segments])


def _write(session: Session, segments: Sequence[Segment], data: bytes) -> None:
    at = 0
    for area, offset, length in segments:
        session.write(area, offset, data[at : at + length])
        at += length


def _append(segments: list[Segment], more: Segment) -> None:
    if segments:
        area, offset, length = segments[-1]
        if (area, offset + length) == more[:2]:
            segments[-1] = (area, offset, length + more[2])
            return
    segments.append(more)


def _spans(segments: Sequence[Segment]) -> Iterator[tuple[Segment, Callable[[bytes], Iterable[int]] | None]]:
    """Segments of one area in a row become one span of it, and a choice of its bytes."""
    for area, group in groupby(segments, key=lambda segment: segment[0]):
        parts = [range(offset, offset + length) for _, offset, length in group]
        first, last = min(part.start for part in parts), max(part.stop for part in parts)
        pick = None if len(parts) == 1 else itemgetter(*(i - first for part in parts for i in part))
        yield (area, first, last - first), pick


def _kept(
    plans: dict[tuple[int, int], _Plan | Refused], address: int, quantity: int, make: Callable[[int, int], _Plan]
) -> _Plan:
    """The plan, or the refusal, for an address and a quantity."""
    found = plans.get((address, quantity))
    if found is None:
        try:
            found = make(address, quantity)
        except Refused as refused:
            found = Refused(refused.code, refused.why)
        if len(plans) >= MOST_KEPT:
            plans.clear()
        plans[address, quantity] = found
    if isinstance(found, Refused):
        raise Refused(found.code, found.why)
    return found
