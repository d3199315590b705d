"""From tags to the Modbus requests that carry them, worked out once. Pure: no sockets.

    tags -> spans of each unit's tables -> blocks within the limits -> requests (`fieldbus.modbus.requests`)

An exchange asks in this order:

    before   words of which outputs are only some bits: the others are written back as they are read here
    middle   writes, or with FC 23 writes and reads in one
    after    reads
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fieldbus.codec import WORD_BYTES, Codec, Field
from fieldbus.errors import AddressError
from fieldbus.link.ports import Cells
from fieldbus.modbus import protocol as p
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.blocks import Block, Span, merge, pieces
from fieldbus.modbus.requests import (
    READ_FUNCTION,
    WRITE_MANY,
    WRITE_ONE,
    Keep,
    MaskWrite,
    Read,
    ReadWrite,
    Request,
    Write,
)
from fieldbus.tags import Address, Order, Tag

BIT_TABLES = ("coil", "discrete")
WRITABLE = ("coil", "holding")
ALL_BITS = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a device can do, and what it is asked for.

    Attributes:
        gap: read over holes of at most this many addresses, to save requests.
        read_write: join a write and a read into FC 23.
        single_writes: FC 5 or 6 for a block of one.
        mask_writes: FC 22 for a register of which outputs are only some bits; else it is read, and written back.
        keep_bits: False: the other bits of such a register are written 0.
        broadcasts: unit 0 is every device, and none answers: a serial line.
        max_read, max_write: registers of one request.
        max_read_bits, max_write_bits: coils or discrete inputs of one request.
    """

    gap: int = 0
    read_write: bool = False
    single_writes: bool = True
    mask_writes: bool = False
    keep_bits: bool = True
    broadcasts: bool = False
    max_read: int = p.READ_REGISTERS
    max_write: int = p.WRITE_MOST
    max_read_bits: int = p.READ_BITS
    max_write_bits: int = p.WRITE_BITS

    def read_limit(self, table: str) -> int:
        """Addresses of one request that reads."""
        return min(self.max_read_bits, p.READ_BITS) if table in BIT_TABLES else min(self.max_read, p.READ_REGISTERS)

    def write_limit(self, table: str) -> int:
        """Addresses of one request that writes."""
        return min(self.max_write_bits, p.WRITE_BITS) if table in BIT_TABLES else min(self.max_write, p.WRITE_MOST)


PROTOCOL = Options()
"""All that the protocol allows."""


@dataclass(frozen=True, slots=True)
class KeptWord(ModbusAddress):
    """Where a register lies that is read only because bits of it have to be written back."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests of an exchange, in their order."""

    before: tuple[Read, ...]
    middle: tuple[Request, ...]
    after: tuple[Read, ...]
    writes: tuple[Write | MaskWrite, ...]
    """What writes, alone: after `before`, for who has nothing to read."""

    @property
    def requests(self) -> tuple[Request, ...]:
        """All."""
        return (*self.before, *self.middle, *self.after)

    @property
    def to_write(self) -> tuple[Request, ...]:
        """All that it takes to write the outputs."""
        return (*self.before, *self.writes)

    @property
    def codecs(self) -> list[Codec]:
        """Of all tags, and of no kept word."""
        joined = [request.read for request in self.middle if isinstance(request, ReadWrite)]
        return [request.codec for request in (*self.writes, *joined, *self.after)]


def make_plan(inputs: Cells, outputs: Cells, options: Options = PROTOCOL) -> Plan:
    """The plan of a link. `inputs` has the link's tags and its `kept_words`; raises `AddressError`."""
    theirs = {tag.address: inputs.first[name] for name, tag in inputs.tags.items() if _is_kept(tag)}
    before, reads = plan_reads(inputs, options, kept=True), plan_reads(inputs, options)
    writes = plan_writes(outputs, options, theirs)
    middle, after = pair(writes, reads) if options.read_write else (writes, reads)
    return Plan(tuple(before), tuple(middle), tuple(after), tuple(writes))


def kept_words(tags: Iterable[Tag], options: Options = PROTOCOL) -> list[Tag]:
    """An input for each register of which outputs among `tags` are only some bits, to be read before it is written.

    None where the device masks bits itself, or the others are to become 0. Raises `AddressError`.
    """
    if options.mask_writes or not options.keep_bits:
        return []
    outputs = Cells("", [tag for tag in tags if tag.direction == "out"])
    words = []
    for (unit, table), spans in _spans(outputs, options, "out").items():
        words += [
            Tag(f"unit {unit} {table} {at}, other bits", "uint16", "in", address=KeptWord("holding", at, unit=unit))
            for at, bits in _bits_by_address(table, spans).items()
            if bits != ALL_BITS
        ]
    return words


def plan_reads(cells: Cells, options: Options = PROTOCOL, *, kept: bool = False) -> list[Read]:
    """The requests that read all tags of `cells`, but for kept words; or these alone. Raises `AddressError`."""
    reads = []
    for (unit, table), spans in _spans(cells, options, "in").items():
        if options.broadcasts and unit == 0:
            raise AddressError(
                f"tag {spans[0].owner[0].name!r}: unit 0 of a serial line is every device at once, and none answers: "
                "nothing can be read from it; name the device's own unit, 1 to 247"
            )
        wanted = [span for span in spans if _is_kept(span.owner[0]) is kept]
        for block in merge(wanted, options.read_limit(table), options.gap):
            codec = _codec(cells, table, block)
            reads.append(Read(unit, READ_FUNCTION[table], block.start, block.count, codec))
    return reads


def plan_writes(
    cells: Cells, options: Options = PROTOCOL, kept: Mapping[Address | None, int] | None = None
) -> list[Write | MaskWrite]:
    """The requests that write all tags of `cells`, without holes. `kept`: the input cell of each `KeptWord`.

    Registers of which outputs are only some bits have requests of their own: if such a word cannot be read, the others
    are written nevertheless. Raises `AddressError` for a table that cannot be written, and for two tags that share an
    address.
    """
    writes: list[Write | MaskWrite] = []
    for (unit, table), spans in _spans(cells, options, "out").items():
        bits = _bits_by_address(table, spans)
        partly = {at for at, mask in bits.items() if mask != ALL_BITS and options.keep_bits}
        whole = [span for span in spans if span.start not in partly]
        shared = [span for span in spans if span.start in partly]
        answered = not (options.broadcasts and unit == 0)
        for block in merge(whole, options.write_limit(table)):
            writes.append(_write(cells, options, unit, table, block, answered))
        for block in merge(shared, 1 if options.mask_writes else options.write_limit(table)):
            if options.mask_writes:
                others = ALL_BITS & ~bits[block.start]
                writes.append(MaskWrite(unit, block.start, others, _codec(cells, table, block), answered))
            else:
                write = _write(cells, options, unit, table, block, answered)
                writes.append(replace(write, kept=tuple(_keeps(unit, block, bits, kept or {}))))
    return writes


def shorter(options: Options, request: Request) -> Options | None:
    """Options under which `request`, which a device finds too long, becomes several of half its length.

    None if it is as short as its widest value.
    """
    if isinstance(request, ReadWrite):
        read, write = shorter(options, request.read), shorter(options, request.write)
        return replace(read or options, max_write=(write or options).max_write) if read or write else None
    half = max((request.count + 1) // 2, _widest(request.codec))
    if isinstance(request, MaskWrite) or half >= request.count:
        return None
    what = "max_read" if isinstance(request, Read) else "max_write"
    in_bits = request.function in (p.READ_COILS, p.READ_DISCRETE_INPUTS, p.WRITE_COILS)
    changed: dict[str, Any] = {what + "_bits" * in_bits: half}
    return replace(options, **changed)


def pair(writes: Sequence[Write | MaskWrite], reads: Sequence[Read]) -> tuple[list[Request], list[Read]]:
    """Writes, where possible joined into FC 23 with a read of the same unit's holding registers, and the reads left over."""
    joined: list[Request] = []
    left = list(reads)
    for write in writes:
        mate = next((r for r in left if r.unit == write.unit and r.function == READ_FUNCTION["holding"]), None)
        if mate and isinstance(write, Write) and _can_be_joined(write):
            left.remove(mate)
            joined.append(ReadWrite(write, mate))
        else:
            joined.append(write)
    joined.sort(key=lambda r: isinstance(r, ReadWrite))  # plain writes come first
    return joined, left


def _can_be_joined(write: Write) -> bool:
    is_holding = write.function in (WRITE_ONE["holding"], WRITE_MANY["holding"])
    return is_holding and write.count <= p.READ_WRITE_MOST and write.answered


def _write(cells: Cells, options: Options, unit: int, table: str, block: Block["_Piece"], answered: bool) -> Write:
    function = WRITE_ONE[table] if options.single_writes and block.count == 1 else WRITE_MANY[table]
    codec = _codec(cells, table, block)
    if function == p.WRITE_COIL:  # ON is 0xFF00, OFF is 0: all eight bits of the first byte are the coil
        (field,) = codec.fields
        codec = Codec([replace(field, bit=bit) for bit in range(8)], WORD_BYTES)
    return Write(unit, function, block.start, block.count, codec, answered=answered)


def _keeps(
    unit: int, block: Block["_Piece"], bits: Mapping[int, int], cells: Mapping[Address | None, int]
) -> Iterator[Keep]:
    for at in range(block.start, block.start + block.count):
        cell = cells.get(KeptWord("holding", at, unit=unit))
        if cell is None:
            raise AddressError(
                f"unit {unit} holding {at}: no input reads the bits that have to be kept: see kept_words"
            )
        yield Keep((at - block.start) * WORD_BYTES, ALL_BITS & ~bits[at], cell)


# --- spans and fields ------------------------------------------------------------------------------------------------

_Piece = tuple[Tag, int, int]  # tag, first element, elements


def _spans(cells: Cells, options: Options, direction: str) -> dict[tuple[int, str], list[Span[_Piece]]]:
    """(unit, table) -> what must be moved there."""
    spans: dict[tuple[int, str], list[Span[_Piece]]] = {}
    for tag in cells.tags.values():
        address = tag.address
        if not isinstance(address, ModbusAddress):
            raise AddressError(f"tag {tag.name!r} needs a ModbusAddress, has {address!r}")
        if direction == "out" and address.table not in WRITABLE:
            raise AddressError(f"output {tag.name!r}: table {address.table} cannot be written; use coil or holding")
        _check_type(tag, address)
        width = _width(tag, address)
        count = 1 if address.bit is not None else tag.count
        if address.address + width * count > p.ADDRESSES:
            raise AddressError(f"tag {tag.name!r} ends beyond address {p.ADDRESSES - 1}")
        limit = options.write_limit(address.table) if direction == "out" else options.read_limit(address.table)
        if width > limit:
            raise AddressError(
                f"tag {tag.name!r}: a {tag.type} takes {width} registers, more than {limit} of a request"
            )
        here = spans.setdefault((address.unit, address.table), [])
        for start, first, n in pieces(address.address, width, count, limit):
            here.append(Span(start, n * width, (tag, first, tag.count if address.bit is not None else n)))
    return spans


def _check_type(tag: Tag, address: ModbusAddress) -> None:
    if address.table in BIT_TABLES and tag.type != "bool":
        raise AddressError(f"tag {tag.name!r}: the {address.table} table holds bool, not {tag.type}")
    if address.bit is not None and (tag.type != "bool" or address.bit + tag.count > 16):
        raise AddressError(f"tag {tag.name!r}: bits {address.bit} and up of one register hold at most 16 bools")


def _bits_by_address(table: str, spans: Iterable[Span[_Piece]]) -> dict[int, int]:
    """Address -> the bits of it that outputs write, as on the wire. No output may overwrite another's."""
    taken: dict[int, dict[str, int]] = {}
    for span in sorted(spans, key=lambda s: (s.start, s.count)):
        tag, _, count = span.owner
        address = _address(tag)
        mask = ALL_BITS if address.bit is None else ((1 << count) - 1) << address.bit
        if address.bit is not None and _is_swapped(address):
            mask = (mask << 8 | mask >> 8) & ALL_BITS
        for at in range(span.start, span.end):
            here = taken.setdefault(at, {})
            for other, bits in here.items():
                if bits & mask:
                    raise AddressError(f"outputs {other!r} and {tag.name!r} share {table} {at}")
            here[tag.name] = mask
    return {at: sum(here.values()) for at, here in taken.items()}


def _codec(cells: Cells, table: str, block: Block[_Piece]) -> Codec:
    bits = table in BIT_TABLES
    fields = [f for span in block.spans for f in _fields(cells, span, span.start - block.start, bits)]
    return Codec(fields, (block.count + 7) // 8 if bits else block.count * WORD_BYTES)


def _fields(cells: Cells, span: Span[_Piece], place: int, bits: bool) -> Iterator[Field]:
    """Fields of one span whose first coil or register is number `place` of its block."""
    tag, first, count = span.owner
    address = _address(tag)
    cell = cells.first[tag.name] + first
    if bits:
        yield Field(tag, cell, 0, 1, bit=place, count=count)
    elif address.bit is None:
        width = _width(tag, address) * WORD_BYTES
        yield Field(tag, cell, place * WORD_BYTES, width, address.order, count)
    else:
        for n in range(count):
            high, bit = divmod(address.bit + n, 8)
            yield Field(tag, cell + n, place * WORD_BYTES + (high if _is_swapped(address) else 1 - high), 1, bit=bit)


def _is_swapped(address: ModbusAddress) -> bool:
    """Whether the low byte of a register comes first."""
    return address.order in (Order.BADC, Order.DCBA)


def _is_kept(tag: Tag) -> bool:
    return isinstance(tag.address, KeptWord)


def _widest(codec: Codec) -> int:
    """Addresses of the widest value."""
    return max(1 if field.bit is not None else field.width // WORD_BYTES for field in codec.fields)


def _width(tag: Tag, address: ModbusAddress) -> int:
    """Addresses of one element."""
    return 1 if address.table in BIT_TABLES else max(1, tag.number.nbytes // WORD_BYTES)


def _address(tag: Tag) -> ModbusAddress:
    assert isinstance(tag.address, ModbusAddress)
    return tag.address
