"""The requests that carry tags, each a value: what is sent, what must come back. Pure: bytes in, bytes out, no sockets.

Bodies of requests and answers (after the function code; MODBUS Application Protocol V1.1b3, section 6):

    FC 1, 2, 3, 4   address count                                   -> bytes, data
    FC 5, 6         address value                                   -> the same
    FC 15, 16       address count bytes data                        -> address count
    FC 22           address, and mask, or mask                      -> the same
    FC 23           read address, count, write address, count, bytes, data   -> bytes, data read

All requests answer the same questions, for whoever sends them without this module (native code):

    unit, function      to whom, and what
    template            the request's body with every output 0
    outputs, keeps      what is put into it: `Field.byte` and `Keep.byte` count from the start of the body
    answered            False: every device takes it and none answers (a broadcast on a serial line)
    answer              the body that must come back, with every value 0, ...
    fixed               ... and which of its bits must be so: 0xFF for a byte that never differs
    echoed              how many bytes at its beginning are those that were sent, outputs included
    inputs              where the values are in it: `Field.byte` counts from the start of the body
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fieldbus.codec import Codec, Field
from fieldbus.errors import GarbageError, PayloadError
from fieldbus.modbus import protocol as p

READ_FUNCTION = {
    "coil": p.READ_COILS,
    "discrete": p.READ_DISCRETE_INPUTS,
    "holding": p.READ_HOLDING_REGISTERS,
    "input": p.READ_INPUT_REGISTERS,
}
WRITE_ONE = {"coil": p.WRITE_COIL, "holding": p.WRITE_REGISTER}
WRITE_MANY = {"coil": p.WRITE_COILS, "holding": p.WRITE_REGISTERS}
READ_WRITE = p.READ_WRITE_REGISTERS
TABLE_OF = {code: name for codes in (READ_FUNCTION, WRITE_ONE, WRITE_MANY) for name, code in codes.items()}
SHOWN_TAGS = 5

Values = NDArray[np.float64]
NOTHING: Values = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Keep:
    """Bits of a register that are nobody's output: written back as they were read.

    The register is the two bytes from `byte` on, most significant first; its bits `mask` are those of the number in the
    input `cell`. While that is NaN the word has not been read, and nothing may be written.
    """

    byte: int
    mask: int
    cell: int


@dataclass(frozen=True, slots=True)
class Read:
    """Read one block: FC 1, 2, 3 or 4."""

    unit: int
    function: int
    address: int
    count: int
    codec: Codec
    outputs = ()
    keeps = ()
    answered = True
    echoed = 0

    @property
    def template(self) -> bytes:
        """The body."""
        return struct.pack(">HH", self.address, self.count)

    @property
    def answer(self) -> bytes:
        """How many bytes follow, and the bytes."""
        return bytes([self.codec.nbytes]) + bytes(self.codec.nbytes)

    @property
    def fixed(self) -> bytes:
        """The length."""
        return b"\xff" + bytes(self.codec.nbytes)

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The values."""
        return _moved(self.codec.fields, 1)

    def is_ready(self, inputs: Values) -> bool:
        """Always."""
        return True

    def body(self, outputs: Values = NOTHING, inputs: Values = NOTHING) -> bytes:
        """The request after its function code; values play no part."""
        return self.template

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
    """Write one block: FC 15 or 16, or FC 5 or 6 for a block of one. `kept` counts from the start of the data."""

    unit: int
    function: int
    address: int
    count: int
    codec: Codec
    kept: tuple[Keep, ...] = ()
    answered: bool = True
    echoed = 4
    inputs = ()

    @property
    def is_single(self) -> bool:
        """Without count and length: FC 5 or 6."""
        return self.function in WRITE_ONE.values()

    @property
    def head(self) -> bytes:
        """What precedes the data."""
        if self.is_single:
            return struct.pack(">H", self.address)
        return struct.pack(">HHB", self.address, self.count, self.codec.nbytes)

    @property
    def template(self) -> bytes:
        """Head and zeros."""
        return self.head + bytes(self.codec.nbytes)

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The values."""
        return _moved(self.codec.fields, len(self.head))

    @property
    def keeps(self) -> tuple[Keep, ...]:
        """The bits of others."""
        return tuple(replace(keep, byte=keep.byte + len(self.head)) for keep in self.kept)

    @property
    def answer(self) -> bytes:
        """The first four bytes."""
        return self.template[: self.echoed]

    @property
    def fixed(self) -> bytes:
        """Address and count; of a single one the value differs."""
        return b"\xff\xff\0\0" if self.is_single else b"\xff\xff\xff\xff"

    def is_ready(self, inputs: Values) -> bool:
        """Whether all words whose bits are kept have been read."""
        return all(math.isfinite(inputs[keep.cell]) for keep in self.kept)

    def data(self, outputs: Values, inputs: Values) -> bytes:
        """The values, among bits that are kept; ask `is_ready` first."""
        data = self.codec.encode(outputs)
        if self.kept:
            data = self.codec.payload = _with_kept(data, self.kept, inputs)
        return data

    def body(self, outputs: Values, inputs: Values = NOTHING) -> bytes:
        """The request after its function code."""
        return self.head + self.data(outputs, inputs)

    def accept(self, request: bytes, answer: bytes, inputs: Values) -> None:
        """Raises `GarbageError` unless the answer repeats what was written."""
        _check_echo(self, request[: self.echoed], answer)

    def __str__(self) -> str:
        return f"unit {self.unit} FC {self.function}, {_where(self)}"


@dataclass(frozen=True, slots=True)
class MaskWrite:
    """Write some bits of one holding register, which the device combines with the others itself: FC 22.

    Result = (what is there AND and mask) OR (or mask AND NOT and mask): section 6.16.
    """

    unit: int
    address: int
    keep_mask: int
    """The bits that stay as they are."""
    codec: Codec
    answered: bool = True
    function = p.MASK_REGISTER
    count = 1
    keeps = ()
    echoed = 6
    inputs = ()

    @property
    def head(self) -> bytes:
        """What precedes the bits."""
        return struct.pack(">HH", self.address, self.keep_mask)

    @property
    def template(self) -> bytes:
        """Head and zeros."""
        return self.head + bytes(self.codec.nbytes)

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The bits."""
        return _moved(self.codec.fields, len(self.head))

    @property
    def answer(self) -> bytes:
        """The same."""
        return self.template

    @property
    def fixed(self) -> bytes:
        """Address and and mask."""
        return b"\xff" * 4 + bytes(2)

    def is_ready(self, inputs: Values) -> bool:
        """Always."""
        return True

    def body(self, outputs: Values, inputs: Values = NOTHING) -> bytes:
        """The request after its function code."""
        return self.head + self.codec.encode(outputs)

    def accept(self, request: bytes, answer: bytes, inputs: Values) -> None:
        """Raises `GarbageError` unless the answer repeats what was written."""
        _check_echo(self, request, answer)

    def __str__(self) -> str:
        return f"unit {self.unit} FC {self.function}, {_where(self)}"


@dataclass(frozen=True, slots=True)
class ReadWrite:
    """Write one block of holding registers, then read one, in a single round trip: FC 23."""

    write: Write
    read: Read
    function = READ_WRITE
    answered = True
    echoed = 0

    @property
    def unit(self) -> int:
        """The device."""
        return self.read.unit

    @property
    def head(self) -> bytes:
        """What precedes the data."""
        read, write = self.read, self.write
        return struct.pack(">HHHHB", read.address, read.count, write.address, write.count, write.codec.nbytes)

    @property
    def template(self) -> bytes:
        """Head and zeros."""
        return self.head + bytes(self.write.codec.nbytes)

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The values that are written."""
        return _moved(self.write.codec.fields, len(self.head))

    @property
    def keeps(self) -> tuple[Keep, ...]:
        """The bits of others."""
        return tuple(replace(keep, byte=keep.byte + len(self.head)) for keep in self.write.kept)

    @property
    def answer(self) -> bytes:
        """That of the read."""
        return self.read.answer

    @property
    def fixed(self) -> bytes:
        """That of the read."""
        return self.read.fixed

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The values that are read."""
        return self.read.inputs

    def is_ready(self, inputs: Values) -> bool:
        """Whether all words whose bits are kept have been read."""
        return self.write.is_ready(inputs)

    def body(self, outputs: Values, inputs: Values = NOTHING) -> bytes:
        """The request after its function code."""
        return self.head + self.write.data(outputs, inputs)

    def accept(self, request: bytes, answer: bytes, inputs: Values) -> None:
        """Decode what was read; raises `GarbageError`."""
        self.read.accept(request, answer, inputs)

    def __str__(self) -> str:
        return f"unit {self.unit} FC 23, write {_where(self.write)}, read {_where(self.read)}"


Request = Read | Write | MaskWrite | ReadWrite
"""What is asked of a device in one frame."""


def _moved(fields: Iterable[Field], nbytes: int) -> tuple[Field, ...]:
    return tuple(replace(field, byte=field.byte + nbytes) for field in fields)


def _with_kept(data: bytes, kept: Iterable[Keep], inputs: Values) -> bytes:
    words = bytearray(data)
    for keep in kept:
        ours, theirs = int.from_bytes(words[keep.byte : keep.byte + 2], "big"), int(inputs[keep.cell])
        words[keep.byte : keep.byte + 2] = (ours & ~keep.mask | theirs & keep.mask).to_bytes(2, "big")
    return bytes(words)


def _check_echo(request: Write | MaskWrite, expected: bytes, answer: bytes) -> None:
    if answer != expected:
        raise GarbageError(f"{request}: expected the echo {expected.hex()}, got {answer.hex()}")


def _where(part: Read | Write | MaskWrite) -> str:
    """`input 500..501 (x_ra)`: the table, its registers or bits, and the tags in them."""
    last = part.address + part.count - 1
    numbers = f"{part.address}" if part.count == 1 else f"{part.address}..{last}"
    names = part.codec.names().split(", ")
    more = f" and {len(names) - SHOWN_TAGS} more" if len(names) > SHOWN_TAGS else ""
    table = "holding" if isinstance(part, MaskWrite) else TABLE_OF[part.function]
    return f"{table} {numbers} ({', '.join(names[:SHOWN_TAGS])}{more})"
