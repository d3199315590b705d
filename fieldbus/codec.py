"""Bytes <-> values: a pure codec, compiled once per request, with the byte and word order of each tag.

payload   00 00 41 48 | 01 00 | 7f ff          as the device sends it
gather    41 48 00 00 | 00 01 | ff 7f          each field's bytes, low one first   (`_gather`)
unpack    12.5          1       32767          one struct.unpack                   (`_struct`)
scale     12.5          1.0     3.2767         value = raw * scale + offset
place     values[cells]                        where the link keeps them
"""

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
    packed bools; successive elements are successive bits.
    """

    tag: Tag
    cell: int
    byte: int
    width: int
    order: Order = Order.ABCD
    count: int = 1
    bit: int | None = None


class Codec:
    """Decodes and encodes payloads of `nbytes` bytes that carry `fields`; other bytes are ignored, and sent as 0."""

    def __init__(self, fields: Sequence[Field], nbytes: int) -> None:
        plain = [f for f in fields if f.bit is None]
        packed = [f for f in fields if f.bit is not None]
        self.nbytes = nbytes
        self._plain_cells = _cells(plain)
        gather = [i for f in plain for n in range(f.count) for i in little_endian(f, f.byte + n * f.width)]
        self._gather = np.array(gather, np.intp)
        chars = "".join(_char(f) * f.count for f in plain)
        self._struct = struct.Struct("<" + chars)
        self._integers = [i for i, c in enumerate(chars) if c not in "fd"]
        self._truths = np.array([i for i, t in enumerate(_tags(plain)) if t.type == "bool"], np.intp)
        self._bit_cells = _cells(packed)
        bits = [f.byte * 8 + (f.bit or 0) + n for f in packed for n in range(f.count)]
        self._bit_bytes = np.array([b // 8 for b in bits], np.intp)
        self._bit_masks = np.array([1 << b % 8 for b in bits], np.uint8)
        tags = _tags(plain) + _tags(packed)
        self._tags = tags
        self._cells = np.concatenate([self._plain_cells, self._bit_cells])
        self._scale = np.array([t.scale for t in tags], np.float64)
        self._offset = np.array([t.offset for t in tags], np.float64)
        self._scaled = bool((self._scale != 1.0).any() or self._offset.any())
        self._low = np.array([t.number.low for t in tags], np.float64)
        self._high = np.array([t.number.high for t in tags], np.float64)
        self._rounded = np.array([i for i, t in enumerate(tags) if not t.number.is_float], np.intp)

    def decode(self, payload: bytes, values: NDArray[np.float64]) -> None:
        """Put the payload's values into `values[cells]`; raises `PayloadError` on a wrong length."""
        if len(payload) != self.nbytes:
            raise PayloadError(f"expected {self.nbytes} bytes for {self._names()}, got {len(payload)}")
        data = np.frombuffer(payload, np.uint8)
        raw = np.array(self._struct.unpack(data[self._gather].tobytes()), np.float64)
        if self._truths.size:
            raw[self._truths] = raw[self._truths] != 0.0
        if self._bit_cells.size:
            raw = np.concatenate([raw, (data[self._bit_bytes] & self._bit_masks) != 0])
        values[self._cells] = raw * self._scale + self._offset if self._scaled else raw

    def encode(self, values: NDArray[np.float64]) -> bytes:
        """The payload that carries `values[cells]`, integers rounded to the nearest, halves to even.

        Raises `OutOfRangeError` when a value is NaN, inf, or more than its type can hold: nothing wraps around.
        """
        raw = (values[self._cells] - self._offset) / self._scale
        raw[self._rounded] = np.rint(raw[self._rounded])
        bad = ~((raw >= self._low) & (raw <= self._high))  # also true for NaN
        if bad.any():
            self._refuse(values, raw, int(np.flatnonzero(bad)[0]))
        split = self._plain_cells.size
        numbers = raw[:split].tolist()
        for i in self._integers:
            numbers[i] = int(numbers[i])
        payload = np.zeros(self.nbytes, np.uint8)
        payload[self._gather] = np.frombuffer(self._struct.pack(*numbers), np.uint8)
        if self._bit_cells.size:
            np.bitwise_or.at(payload, self._bit_bytes, np.where(raw[split:] != 0.0, self._bit_masks, np.uint8(0)))
        return payload.tobytes()

    def _refuse(self, values: NDArray[np.float64], raw: NDArray[np.float64], i: int) -> None:
        tag = self._tags[i]
        low, high = tag.representable
        raise OutOfRangeError(
            f"tag {tag.name!r}: {values[self._cells[i]]:g} is {raw[i]:g} in the device, but {tag.type} "
            f"at scale {tag.scale:g} and offset {tag.offset:g} holds {low:g} to {high:g}; "
            "limit the value first (fieldbus.codec.Limiter)"
        )

    def _names(self) -> str:
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
        self._low = np.array([max(t.low, low) for t, (low, _) in zip(cells, held, strict=True)], np.float64)
        self._high = np.array([min(t.high, high) for t, (_, high) in zip(cells, held, strict=True)], np.float64)

    def apply(self, values: NDArray[np.float64]) -> int:
        """Limit `values` in place; gives how many cells were changed."""
        limited = np.where(np.isfinite(values), values, self.safe).clip(self._low, self._high)
        changed = int(np.count_nonzero(limited != values))  # NaN differs from everything
        if changed:
            values[:] = limited
        return changed


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
