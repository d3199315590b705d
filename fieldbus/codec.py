"""Bytes <-> values: a pure codec, compiled once per request, with the byte and word order of each tag.

payload   00 00 41 48 | 01 00 | 7f ff          as the device sends it
gather    41 48 00 00 | 00 01 | ff 7f          each field's bytes, low one first   (`_gather`)
unpack    12.5          1       32767          one struct.unpack                   (`_struct`)
scale     12.5          1.0     3.2767         value = raw * scale + offset
place     values[cells]                        where the link keeps them
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldbus.errors import OutOfRangeError, PayloadError
from fieldbus.tags import Order, Tag

WORD_BYTES = 2
"""A Modbus register."""


@dataclass(frozen=True, slots=True)
class Field:
    """A run of elements of one tag in a payload.

    `cell` is where the first one goes in the values, `byte` where it starts in the payload, `width` the bytes from one
    to the next (2 for an int8 in a register, else the type's own size). `bit`, from the lowest bit of `byte` on, is for
    packed bools; successive elements are successive bits. `bits`: so many, from `bit` on, are a whole number; successive elements are
    neighbours (native exchanges only).
    """

    tag: Tag
    cell: int
    byte: int
    width: int
    order: Order = Order.ABCD
    count: int = 1
    bit: int | None = None
    bits: int = 0


class Codec:
    """Decodes and encodes payloads of `nbytes` bytes that carry `fields`; other bytes are ignored, and sent as 0.

    The common case, values one after the other in one order, skips the gathering: a cycle of 1 ms has little time.
    """

    def __init__(self, fields: Sequence[Field], nbytes: int) -> None:
        plain = [f for f in fields if f.bit is None]
        packed = [f for f in fields if f.bit is not None]
        self.fields, self.nbytes = tuple(fields), nbytes
        self.payload = b""
        """The newest that was decoded or encoded."""
        self.places = _places(fields)
        """Tag -> where its bytes are in the payload; of one bit of a register, the register."""
        self._tags = tags = _tags(plain) + _tags(packed)
        self._cells = np.concatenate([_cells(plain), _cells(packed)])
        self._where = run(self._cells)
        self._plain_count = len(_tags(plain))
        chars = "".join(_char(f) * f.count for f in plain)
        gather = [i for f in plain for n in range(f.count) for i in little_endian(f, f.byte + n * f.width)]
        sign, self._is_direct = _direct(plain, nbytes, gather)
        self._struct = struct.Struct(sign + chars)
        self._gather = np.array(gather, np.intp)
        self._integers = [i for i, c in enumerate(chars) if c not in "fd"]
        self._truths = {i for i, t in enumerate(_tags(plain)) if t.type == "bool"}
        bits = [f.byte * 8 + (f.bit or 0) + n for f in packed for n in range(f.count)]
        self._bit_bytes = np.array([b // 8 for b in bits], np.intp)
        self._bit_masks = np.array([1 << b % 8 for b in bits], np.uint8)
        self._scale = np.array([t.scale for t in tags], np.float64)
        self._offset = np.array([t.offset for t in tags], np.float64)
        self._is_scaled = bool((self._scale != 1.0).any() or self._offset.any())
        self._low = np.array([t.number.low for t in tags], np.float64)
        self._high = np.array([t.number.high for t in tags], np.float64)

    def decode(self, payload: bytes, values: NDArray[np.float64]) -> None:
        """Put the payload's values into `values[cells]`; raises `PayloadError` on a wrong length."""
        if len(payload) != self.nbytes:
            raise PayloadError(f"expected {self.nbytes} bytes for {self.names()}, got {len(payload)}")
        self.payload = payload
        numbers: Sequence[float]
        if self._is_direct:
            numbers = self._struct.unpack(payload)
        else:
            data = np.frombuffer(payload, np.uint8)
            numbers = self._struct.unpack(data[self._gather].tobytes())
            if self._bit_bytes.size:
                numbers += tuple(((data[self._bit_bytes] & self._bit_masks) != 0).tolist())
        if self._truths:
            numbers = [float(n != 0) if i in self._truths else n for i, n in enumerate(numbers)]
        values[self._where] = numbers if not self._is_scaled else np.array(numbers) * self._scale + self._offset

    def encode(self, values: NDArray[np.float64]) -> bytes:
        """The payload that carries `values[cells]`, integers rounded to the nearest, halves to even.

        Raises `OutOfRangeError` when a value is NaN, inf, or more than its type can hold: nothing wraps around.
        """
        raw = values[self._where]
        if self._is_scaled:
            raw = (raw - self._offset) / self._scale
        numbers = raw.tolist()
        try:
            for i in self._integers:
                numbers[i] = round(numbers[i])
            packed = self._struct.pack(*numbers[: self._plain_count])
        except (struct.error, OverflowError, ValueError):  # too much for its type; NaN or inf for an integer
            raise self._refusal(values, raw) from None
        if not math.isfinite(sum(numbers)) or any(numbers[i] not in (0, 1) for i in self._truths):
            self._check(values, raw)
        if self._is_direct:
            self.payload = packed
            return packed
        payload = np.zeros(self.nbytes, np.uint8)
        payload[self._gather] = np.frombuffer(packed, np.uint8)
        if self._bit_bytes.size:
            on = np.rint(raw[self._plain_count :])
            if not ((on == 0.0) | (on == 1.0)).all():
                raise self._refusal(values, raw)
            np.bitwise_or.at(payload, self._bit_bytes, np.where(on != 0.0, self._bit_masks, np.uint8(0)))
        self.payload = payload.tobytes()
        return self.payload

    def newest(self, tag: str) -> bytes:
        """The bytes of a tag in the newest payload, as they travelled; empty before the first. Any thread."""
        payload = self.payload
        return b"".join(payload[place] for place in self.places[tag])

    def _check(self, values: NDArray[np.float64], raw: NDArray[np.float64]) -> None:
        """Raise if a value is really out of range: the quick test in `encode` also fires on sums that overflow."""
        if self._bad(raw).any():
            raise self._refusal(values, raw)

    def _bad(self, raw: NDArray[np.float64]) -> NDArray[np.bool_]:
        rounded = np.array([r if t.number.is_float else np.rint(r) for r, t in zip(raw, self._tags, strict=True)])
        return ~((rounded >= self._low) & (rounded <= self._high))  # NaN is bad too

    def _refusal(self, values: NDArray[np.float64], raw: NDArray[np.float64]) -> OutOfRangeError:
        i = int(np.argmax(self._bad(raw)))
        tag = self._tags[i]
        low, high = tag.representable
        return OutOfRangeError(
            f"tag {tag.name!r}: {values[self._cells[i]]:g} is {raw[i]:g} in the device, but {tag.type} "
            f"at scale {tag.scale:g} and offset {tag.offset:g} holds {low:g} to {high:g}; "
            "limit the value first (fieldbus.codec.Limiter)"
        )

    def names(self) -> str:
        """The tags, in the order of the payload."""
        return ", ".join(dict.fromkeys(t.name for t in self._tags))


class Limiter:
    """Makes output values sendable. The saturation, in this order, cell by cell:

    1. NaN, inf and -inf become the tag's safe value;
    2. what is beyond the tag's limits becomes the limit;
    3. what the device's type cannot hold becomes the nearest value that it can.
    """

    def __init__(self, tags: Sequence[Tag]) -> None:
        cells = [t for t in tags for _ in range(t.count)]
        held = [t.representable for t in cells]
        self.safe = np.array([t.safe for t in cells], np.float64)
        self.low = np.array([max(t.low, low) for t, (low, _) in zip(cells, held, strict=True)], np.float64)
        self.high = np.array([min(t.high, high) for t, (_, high) in zip(cells, held, strict=True)], np.float64)

    def apply(self, values: NDArray[np.float64]) -> int:
        """Limit `values` in place; gives how many cells were changed."""
        limited = np.minimum(np.maximum(values, self.low), self.high)
        if (limited == values).all():  # NaN differs from itself
            return 0
        limited = np.where(np.isfinite(values), values, self.safe).clip(self.low, self.high)
        changed = int(np.count_nonzero(limited != values))
        values[:] = limited
        return changed


def run(cells: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """The same cells as a slice, which NumPy reaches faster, if they follow each other."""
    if cells.size and np.array_equal(cells, np.arange(cells[0], cells[0] + cells.size)):
        return slice(int(cells[0]), int(cells[0]) + cells.size)
    return cells


def _direct(fields: Sequence[Field], nbytes: int, gather: Sequence[int]) -> tuple[str, bool]:
    """(byte order for `struct`, whether the payload can be packed and unpacked as it is)."""
    sizes = [_nbytes(f) for f in fields for _ in range(f.count)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    big = [i for start, size in zip(starts, sizes, strict=True) for i in reversed(range(start, start + size))]
    complete = len(gather) == nbytes
    if complete and gather == big:
        return ">", True
    return "<", complete and gather == list(range(nbytes))


def little_endian(field: Field, byte: int) -> list[int]:
    """Payload indices of the bytes of the element at `byte`, least significant first.

    An 8-bit value in a register is its low byte: the second on the wire for ABCD and CDAB, the first for BADC and DCBA.
    """
    nbytes = max(_nbytes(field), field.width) if field.width == WORD_BYTES else _nbytes(field)
    indices = list(range(byte, byte + nbytes))  # as if most significant first: ABCD
    if field.order in (Order.BADC, Order.DCBA):  # bytes swapped in each word
        indices = [i for w in range(0, nbytes, 2) for i in reversed(indices[w : w + 2])]
    words = [indices[w : w + 2] for w in range(0, nbytes, 2)]
    if field.order in (Order.CDAB, Order.DCBA):  # low word first
        words.reverse()
    return [i for word in reversed(words) for i in reversed(word)][: _nbytes(field)]


def _places(fields: Sequence[Field]) -> dict[str, list[slice]]:
    places: dict[str, list[slice]] = {}
    for field in fields:
        if field.bit is None:
            place = slice(field.byte, field.byte + field.width * field.count)
        else:
            register = field.byte - field.byte % WORD_BYTES
            place = slice(register, register + WORD_BYTES)
        here = places.setdefault(field.tag.name, [])
        if place not in here:  # bits of one register
            here.append(place)
    return places


def _char(field: Field) -> str:
    if field.tag.type == "bool":
        return "H" if field.width == WORD_BYTES else "B"
    return field.tag.number.char


def _nbytes(field: Field) -> int:
    return struct.calcsize("<" + _char(field))


def _cells(fields: Sequence[Field]) -> NDArray[np.intp]:
    return np.array([f.cell + n for f in fields for n in range(f.count)], np.intp)


def _tags(fields: Sequence[Field]) -> list[Tag]:
    return [f.tag for f in fields for _ in range(f.count)]
