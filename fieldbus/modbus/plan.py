"""From tags to the Modbus requests that carry them, worked out once. Pure: bytes in, bytes out, no sockets.

Bodies of requests and answers (after the function code; MODBUS Application Protocol V1.1b3, section 6):

    FC 1, 2, 3, 4   address count                                   -> bytes, data
    FC 5, 6         address value                                   -> the same
    FC 15, 16       address count bytes data                        -> address count
    FC 23           read address, count, write address, count, bytes, data   -> bytes, data read
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldbus.codec import WORD_BYTES, Codec, Field
from fieldbus.errors import AddressError, GarbageError, PayloadError
from fieldbus.link.ports import Cells
from fieldbus.modbus import protocol as p
from fieldbus.modbus.address import ModbusAddress
from fieldbus.modbus.blocks import Block, Span, merge, pieces
from fieldbus.tags import Order, Tag

READ_FUNCTION = {
    "coil": p.READ_COILS,
    "discrete": p.READ_DISCRETE_INPUTS,
    "holding": p.READ_HOLDING_REGISTERS,
    "input": p.READ_INPUT_REGISTERS,
}
READ_LIMIT = {"coil": p.READ_BITS, "discrete": p.READ_BITS, "holding": p.READ_REGISTERS, "input": p.READ_REGISTERS}
WRITE_ONE = {"coil": p.WRITE_COIL, "holding": p.WRITE_REGISTER}
WRITE_MANY = {"coil": p.WRITE_COILS, "holding": p.WRITE_REGISTERS}
WRITE_LIMIT = {"coil": p.WRITE_BITS, "holding": p.WRITE_MOST}
TABLE_OF = {code: name for codes in (READ_FUNCTION, WRITE_ONE, WRITE_MANY) for name, code in codes.items()}
SHOWN_TAGS = 5
READ_WRITE = p.READ_WRITE_REGISTERS
BIT_TABLES = ("coil", "discrete")

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Read:
    """Read one block: FC 1, 2, 3 or 4."""

    unit: int
    function: int
    address: int
    count: int
    codec: Codec

    def body(self, outputs: Values) -> bytes:
        """The request after its function code; `outputs` plays no part."""
        return struct.pack(">HH", self.address, self.count)

    def accept(self, request: bytes, answer: bytes, inputs: Values) -> None:
        """Decode the answer into `inputs`; raises `GarbageError` if it is not as long as was asked for."""
        if not answer or answer[0] != len(answer) - 1:
            raise GarbageError(f"{self}: byte count {answer[:1].hex()} of an answer with {len(answer) - 1} bytes")
        try:
            self.codec.decode(answer[1:], inputs)
        except PayloadError as error:
            raise GarbageError(f"{self}: {error}") from None

    def __str__(self) -> str:
        return f"unit {self.unit} FC {self.function}, {_where(self)}"


@dataclass(frozen=True, slots=True)
class Write:
    """Write one block: FC 15 or 16, or FC 5 or 6 for a block of one."""

    unit: int
    function: int
    address: int
    count: int
    codec: Codec

    def body(self, outputs: Values) -> bytes:
        """The request after its function code."""
        data = self.codec.encode(outputs)
        if self.function == WRITE_ONE["coil"]:
            data = p.ON if data[0] else p.OFF
        if self.function in WRITE_ONE.values():
            return struct.pack(">H", self.address) + data
        return struct.pack(">HHB", self.address, self.count, len(data)) + data

    def accept(self, request: bytes, answer: bytes, inputs: Values) -> None:
        """Raises `GarbageError` unless the answer repeats what was written."""
        if answer != request[:4]:
            raise GarbageError(f"{self}: expected the echo {request[:4].hex()}, got {answer.hex()}")

    def __str__(self) -> str:
        return f"unit {self.unit} FC {self.function}, {_where(self)}"


@dataclass(frozen=True, slots=True)
class ReadWrite:
    """Write one block of holding registers, then read one, in a single round trip: FC 23."""

    write: Write
    read: Read
    function = READ_WRITE

    @property
    def unit(self) -> int:
        """The device."""
        return self.read.unit

    def body(self, outputs: Values) -> bytes:
        """The request after its function code."""
        data = self.write.codec.encode(outputs)
        read, write = self.read, self.write
        return struct.pack(">HHHHB", read.address, read.count, write.address, write.count, len(data)) + data

    def accept(self, request: bytes, answer: bytes, inputs: Values) -> None:
        """Decode what was read; raises `GarbageError`."""
        self.read.accept(request, answer, inputs)

    def __str__(self) -> str:
        return f"unit {self.unit} FC 23, write {_where(self.write)}, read {_where(self.read)}"


Request = Read | Write | ReadWrite


def _where(part: Read | Write) -> str:
    """`input 500..501 (x_ra)`: the table, its registers or bits, and the tags in them."""
    last = part.address + part.count - 1
    numbers = f"{part.address}" if part.count == 1 else f"{part.address}..{last}"
    names = part.codec.names().split(", ")
    more = f" and {len(names) - SHOWN_TAGS} more" if len(names) > SHOWN_TAGS else ""
    return f"{TABLE_OF[part.function]} {numbers} ({', '.join(names[:SHOWN_TAGS])}{more})"


def plan_reads(cells: Cells, gap: int = 0) -> list[Read]:
    """The requests that read all tags of `cells`; holes of at most `gap` addresses are read too, and ignored."""
    reads = []
    for (unit, table), spans in _spans(cells, READ_LIMIT).items():
        for block in merge(spans, READ_LIMIT[table], gap):
            codec = _codec(cells, table, block)
            reads.append(Read(unit, READ_FUNCTION[table], block.start, block.count, codec))
    return reads


def plan_writes(cells: Cells, single: bool = True) -> list[Write]:
    """The requests that write all tags of `cells`, without holes. `single`: FC 5 or 6 for a block of one address.

    Raises `AddressError` for a table that cannot be written, and for two tags that share an address.
    """
    writes = []
    for (unit, table), spans in _spans(cells, WRITE_LIMIT).items():
        for block in merge(spans, WRITE_LIMIT[table]):
            _check_overlap(table, block)
            function = WRITE_ONE[table] if single and block.count == 1 else WRITE_MANY[table]
            writes.append(Write(unit, function, block.start, block.count, _codec(cells, table, block)))
    return writes


def pair(writes: Sequence[Write], reads: Sequence[Read]) -> list[Request]:
    """Writes, then reads, where possible joined into FC 23: a write and a read of one unit's holding registers."""
    joined: list[Request] = []
    left = list(reads)
    for write in writes:
        holding = write.function in (WRITE_ONE["holding"], WRITE_MANY["holding"]) and write.count <= p.READ_WRITE_MOST
        mate = next((r for r in left if r.unit == write.unit and r.function == READ_FUNCTION["holding"]), None)
        if holding and mate:
            left.remove(mate)
            joined.append(ReadWrite(write, mate))
        else:
            joined.append(write)
    joined.sort(key=lambda r: isinstance(r, ReadWrite))  # plain writes come first
    return [*joined, *left]


# --- spans and fields ------------------------------------------------------------------------------------------------

_Piece = tuple[Tag, int, int]  # tag, first element, elements


def _spans(cells: Cells, limits: dict[str, int]) -> dict[tuple[int, str], list[Span[_Piece]]]:
    """(unit, table) -> what must be moved there."""
    spans: dict[tuple[int, str], list[Span[_Piece]]] = {}
    for tag in cells.tags.values():
        address = tag.address
        if not isinstance(address, ModbusAddress):
            raise AddressError(f"tag {tag.name!r} needs a ModbusAddress, has {address!r}")
        if address.table not in limits:
            raise AddressError(f"output {tag.name!r}: table {address.table} cannot be written; use coil or holding")
        _check_type(tag, address)
        width = _width(tag, address)
        count = 1 if address.bit is not None else tag.count
        if address.address + width * count > p.ADDRESSES:
            raise AddressError(f"tag {tag.name!r} ends beyond address {p.ADDRESSES - 1}")
        here = spans.setdefault((address.unit, address.table), [])
        for start, first, n in pieces(address.address, width, count, limits[address.table]):
            here.append(Span(start, n * width, (tag, first, tag.count if address.bit is not None else n)))
    return spans


def _check_type(tag: Tag, address: ModbusAddress) -> None:
    if address.table in BIT_TABLES and tag.type != "bool":
        raise AddressError(f"tag {tag.name!r}: the {address.table} table holds bool, not {tag.type}")
    if address.bit is not None and (tag.type != "bool" or address.bit + tag.count > 16):
        raise AddressError(f"tag {tag.name!r}: bits {address.bit} and up of one register hold at most 16 bools")


def _check_overlap(table: str, block: Block[_Piece]) -> None:
    """No output may overwrite another; bits of one register may share it."""
    taken: dict[int, dict[str, int]] = {}  # address -> tag -> the bits that it writes
    for span in block.spans:
        tag, _, count = span.owner
        bit = _address(tag).bit
        mask = 0xFFFF if bit is None else ((1 << count) - 1) << bit
        for address in range(span.start, span.end):
            here = taken.setdefault(address, {})
            for other, bits in here.items():
                if bits & mask:
                    raise AddressError(f"outputs {other!r} and {tag.name!r} share {table} {address}")
            here[tag.name] = mask


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
        swapped = address.order in (Order.BADC, Order.DCBA)  # the low byte comes first
        for n in range(count):
            high, bit = divmod(address.bit + n, 8)
            yield Field(tag, cell + n, place * WORD_BYTES + (high if swapped else 1 - high), 1, bit=bit)


def _width(tag: Tag, address: ModbusAddress) -> int:
    """Addresses of one element."""
    return 1 if address.table in BIT_TABLES else max(1, tag.number.nbytes // WORD_BYTES)


def _address(tag: Tag) -> ModbusAddress:
    assert isinstance(tag.address, ModbusAddress)
    return tag.address
