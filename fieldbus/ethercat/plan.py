"""Slaves and the places of tags in their process data -> the plan of an exchange. Pure.

    own-thread   [ LRW slave 0 | LWR slave 1 | LRW slave 2 | LRD slave 1 | FRMW clock | BRD AL status ]   or as many frames as it takes
    in-cycle     [ LRD slave 0 | LRD slave 1 | FRMW clock | BRD AL status ]   when the cycle begins
                 [ LWR slave 0 | LWR slave 2 ]                                when the outputs are there

A datagram is of one slave alone, so each is as good as its own working counter: what it writes counts 1, or 2 in an LRW, what it
reads 1 (ETG.1000.4, clause 5.4). Logical addresses are ours: the outputs of a slave and its inputs begin at the same byte.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from fieldbus.codec import Field
from fieldbus.errors import ConfigurationError
from fieldbus.ethercat.protocol import AL_ERROR, AlState, Command, Register
from fieldbus.ethercat.wire.frames import (
    CIRCULATED,
    COUNTER,
    DATAGRAM,
    HEAD_BYTES,
    LEAST_FRAME,
    MORE,
    MOST_DATA,
    MOST_DATAGRAMS,
    SOURCE,
    Datagram,
    at,
    head,
)
from fieldbus.exchange.plan import FIXED, FREE, Frames, Packet, Pattern, Plan, Transaction
from fieldbus.tags import Order, Tag

READS: Final = 1
WRITES: Final = 1
WRITES_OF_LRW: Final = 2
"""What a datagram counts that was read, or written (ETG.1000.4, table 17)."""
_LENGTH_AT: Final = 6
_BITS: Final = 8
_STATE_BYTES: Final = 2
_STATE_MASK: Final = 0x0F | AL_ERROR
_CLOCK_BYTES: Final = 8
_MOST_BITS: Final = 56


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSlave:
    """A slave of the bus, as it is mapped: its outputs, and its inputs, begin at the logical address `logical`.

    Attributes:
        name: for people.
        station_address: that it was given; 0: not known here.
        has_lrw: can it read and write in one datagram (ESC feature register 0x0008, bit 4)?
    """

    name: str
    logical: int
    out_bytes: int = 0
    in_bytes: int = 0
    has_lrw: bool = True
    station_address: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tag is: from bit `bit` on of the outputs, or the inputs, of slave number `slave`; `bits`: of one element.

    `cell` is that of its first element among the link's inputs, or its outputs.
    """

    tag: Tag
    cell: int
    slave: int
    bit: int
    bits: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return -(-(self.bit + self.bits * self.tag.count) // _BITS)


def aligned(slaves: Sequence[BusSlave], first: int = 0) -> list[BusSlave]:
    """The same, one after the other from the logical address `first` on, each at a multiple of 8."""
    placed = []
    for slave in slaves:
        placed.append(replace(slave, logical=first))
        first += -(-max(slave.out_bytes, slave.in_bytes) // _BITS) * _BITS
    return placed


def plan_of(
    slaves: Sequence[BusSlave],
    places: Sequence[Place],
    how: Literal["own-thread", "in-cycle"],
    answer_ns: int,
    *,
    clock: int | None = None,
    source: bytes = SOURCE,
) -> Plan:
    """What is exchanged with all slaves of a bus, in their order.

    Args:
        slaves: all that are there, also those without process data: they say what state they are in.
        answer_ns: so long a frame may be under way; less than a cycle.
        clock: station address of the reference clock; None: there is none.

    Raises:
        ConfigurationError: A tag does not lie within the process data of its slave, or cannot be taken from where it lies.
    """
    for place in places:
        _check(place, slaves)
    is_split = how == "in-cycle"
    together = [not is_split and s.has_lrw and s.out_bytes > 0 and s.in_bytes > 0 for s in slaves]
    writes: list[Transaction] = []
    reads: list[Transaction] = []
    for number, slave in enumerate(slaves):
        here = [place for place in places if place.slave == number]
        if together[number]:
            writes += _parts(Command.LRW, slave, here)
        else:
            writes += _parts(Command.LWR, slave, here)
            reads += _parts(Command.LRD, slave, here)
    reads += [_clock(clock)] if clock is not None else []
    reads.append(_states(len(slaves)))
    written = _frames(writes) if is_split else []
    frames = [*written, *_frames(reads)] if is_split else _frames([*writes, *reads])
    sealed = [_sealed(frame) for frame in frames]
    return Plan(
        frames=Frames(most=HEAD_BYTES + MOST_DATAGRAMS),
        transactions=tuple(one for frame in sealed for one in frame),
        writes=sum(map(len, written)) if is_split else _behind(frames, len(writes)),
        answer_ns=answer_ns,
        packets=tuple(
            Packet(head(sum(len(t.request) for t in frame), source), len(frame), LEAST_FRAME) for frame in sealed
        ),
    )


# --- datagrams --------------------------------------------------------------------------------------------------------


def _parts(command: Command, slave: BusSlave, places: Sequence[Place]) -> Iterator[Transaction]:
    """The datagrams with this command to a slave: one, or as many as its process data fill."""
    nbytes = {
        Command.LWR: slave.out_bytes,
        Command.LRD: slave.in_bytes,
        Command.LRW: max(slave.out_bytes, slave.in_bytes),
    }[command]
    first = 0
    while first < nbytes:
        end = _cut(first, min(first + MOST_DATA, nbytes), nbytes, places)
        yield _part(command, slave, places, first, end)
        first = end


def _cut(first: int, end: int, nbytes: int, places: Sequence[Place]) -> int:
    """The last byte not beyond `end` that no tag has on both sides."""
    for place in sorted(places, key=lambda p: p.bit, reverse=True) if end < nbytes else ():
        begin = place.bit // _BITS
        end = begin if begin < end < place.end else end
        if end <= first:
            raise ConfigurationError(f"tag {place.tag.name!r} has more than the {MOST_DATA} bytes of a datagram")
    return end


def _part(command: Command, slave: BusSlave, places: Sequence[Place], first: int, end: int) -> Transaction:
    """One datagram, for bytes `first` to `end` of the slave's."""
    fields: dict[str, tuple[Field, ...]] = {
        way: tuple(_field(p, first) for p in places if p.tag.direction == way and first <= p.bit // _BITS < end)
        for way in ("in", "out")
    }
    counter, writes, reads = 0, command != Command.LRD, command != Command.LWR
    if reads and first < slave.in_bytes:
        counter += READS
    if writes and first < slave.out_bytes:
        counter += WRITES_OF_LRW if command == Command.LRW else WRITES
    names = [f.tag.name for way, on in (("out", writes), ("in", reads)) if on for f in fields[way]]
    label = f"{slave.name}, {command.name} {end - first} bytes" + (f" ({', '.join(names)})" if names else "")
    return _transaction(
        label,
        Datagram(command, slave.logical + first, bytes(end - first)),
        counter,
        outputs=fields["out"] if writes else (),
        inputs=fields["in"] if reads else (),
    )


def _transaction(
    label: str,
    datagram: Datagram,
    counter: int,
    *,
    outputs: tuple[Field, ...] = (),
    inputs: tuple[Field, ...] = (),
    state: tuple[int, int] | None = None,
) -> Transaction:
    """What a datagram is in a plan; `state`: the word that all must be in, and its bits that count."""
    request, data = datagram.packed(is_last=True), datagram.data
    position = FREE if datagram.command == Command.BRD else FIXED  # each slave adds 1 to it
    mask = bytes([FIXED, FREE, position, position, FIXED, FIXED, FIXED, FIXED ^ CIRCULATED >> _BITS, FREE, FREE])
    word, bits = state or (0, 0)
    good = request[: DATAGRAM.size] + word.to_bytes(len(data), "little") + bytes(COUNTER.size)
    return Transaction(
        label=label,
        request=request,
        answer=Pattern(good, mask + bits.to_bytes(len(data), "little") + bytes(COUNTER.size)),
        outputs=outputs,
        outputs_at=DATAGRAM.size,
        inputs=inputs,
        inputs_at=DATAGRAM.size,
        counter=counter,
        tells_time=datagram.command == Command.FRMW,
        tells_state=state is not None,
    )


def _clock(station: int) -> Transaction:
    """The reference clock's time, which all others take over on its way. Any of them counts: data of 0 says that it is not there."""
    datagram = Datagram(Command.FRMW, at(station, Register.DC_SYSTEM_TIME), bytes(_CLOCK_BYTES))
    return _transaction(f"the clock of station {station}", datagram, READS)


def _states(slaves: int) -> Transaction:
    """The states of all, one bit each: good when all are in OP and none has an error."""
    datagram = Datagram(Command.BRD, at(0, Register.AL_STATUS), bytes(_STATE_BYTES))
    label = f"the state of all {slaves} slaves"
    return _transaction(label, datagram, slaves * READS, state=(AlState.OP, _STATE_MASK))


def _number() -> Transaction:
    """Nothing: a frame of a single datagram would have a number of only 7 bits, and one that is late could pass for another."""
    return _transaction("nothing", Datagram(Command.NOP, 0, bytes(_STATE_BYTES)), 0)


# --- frames -----------------------------------------------------------------------------------------------------------


def _frames(asked: Sequence[Transaction]) -> list[list[Transaction]]:
    """What fits into a frame travels together, in order."""
    frames: list[list[Transaction]] = []
    room = 0
    for one in asked:
        if len(one.request) > room:
            frames.append([])
            room = MOST_DATAGRAMS
        frames[-1].append(one)
        room -= len(one.request)
    for frame in frames:
        number = _number()
        if len(frame) == 1 and len(frame[0].request) + len(number.request) <= MOST_DATAGRAMS:
            frame.append(number)
    return frames


def _sealed(frame: Sequence[Transaction]) -> list[Transaction]:
    """All but the last say that another follows."""
    return [*(_followed(one) for one in frame[:-1]), frame[-1]]


def _followed(one: Transaction) -> Transaction:
    assert one.answer is not None
    return replace(
        one,
        request=_with_more(one.request),
        answer=Pattern(_with_more(one.answer.frame), one.answer.fixed),
    )


def _with_more(datagram: bytes) -> bytes:
    head, length, rest = datagram[:_LENGTH_AT], datagram[_LENGTH_AT : _LENGTH_AT + 2], datagram[_LENGTH_AT + 2 :]
    return head + (int.from_bytes(length, "little") | MORE).to_bytes(2, "little") + rest


def _behind(frames: Sequence[Sequence[Transaction]], writes: int) -> int:
    """The place behind so many transactions, not counting those that are nothing."""
    place = 0
    for one in (one for frame in frames for one in frame):
        if writes == 0:
            break
        writes -= 1 if one.counter else 0
        place += 1
    return place


# --- tags -------------------------------------------------------------------------------------------------------------


def _check(place: Place, slaves: Sequence[BusSlave]) -> None:
    tag, slave = place.tag, slaves[place.slave]
    nbytes = slave.out_bytes if tag.direction == "out" else slave.in_bytes
    if place.bit < 0 or place.end > nbytes:
        what = "outputs" if tag.direction == "out" else "inputs"
        raise ConfigurationError(
            f"tag {tag.name!r}: bits {place.bit} to {place.bit + place.bits * tag.count - 1} are not within the {nbytes} bytes of "
            f"{what} that slave {slave.name!r} has"
        )
    if _is_whole(place):
        return
    most = 1 if tag.type == "bool" else 0 if tag.number.is_float else min(_BITS * tag.number.nbytes, _MOST_BITS)
    if not 1 <= place.bits <= most:
        raise ConfigurationError(
            f"tag {tag.name!r}: {place.bits} bits from bit {place.bit} of the process data of slave {slave.name!r} on "
            f"are no {tag.type}"
        )


def _is_whole(place: Place) -> bool:
    """Is each element of bytes of its own, as many as its type has?"""
    return place.bit % _BITS == 0 and place.bits == _BITS * place.tag.number.nbytes


def _field(place: Place, first: int) -> Field:
    """Where it is in a datagram that begins with byte `first`."""
    tag, byte = place.tag, place.bit // _BITS - first
    if _is_whole(place):
        return Field(tag, place.cell, byte, tag.number.nbytes, Order.DCBA, tag.count)
    bits = 0 if place.bits == 1 and tag.type == "bool" else place.bits
    return Field(tag, place.cell, byte, 1, Order.DCBA, tag.count, bit=place.bit % _BITS, bits=bits)
