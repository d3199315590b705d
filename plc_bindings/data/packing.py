"""Values in engineering units <-> the bytes that a PLC sees: tags in a row, low byte first, no gaps."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from fieldbus.tags import Tag
from plc_bindings.data.types import SCALARS, Array, Field, Struct, identifier


def shown(tag: Tag) -> Tag:
    """How clients see a tag that is not theirs: in engineering units, so scaled integers become LREAL."""
    if tag.scale == 1.0 and tag.offset == 0.0:
        return replace(tag, address=None, low=-math.inf, high=math.inf, direction="in")
    return Tag(tag.name, "float64", "in", unit=tag.unit, count=tag.count)


class Packing:
    """Packs and unpacks `values`, one float64 for each cell of `tags`."""

    def __init__(self, name: str, tags: Sequence[Tag]) -> None:
        self.tags = tuple(tags)
        self.type = Struct(name, tuple(_field(tag) for tag in tags))
        cells = [tag for tag in tags for _ in range(tag.count)]
        self._struct = struct.Struct("<" + "".join(tag.number.char for tag in cells))
        self._numbers = [tag.number for tag in cells]
        self._begins = [0, *accumulate(number.nbytes for number in self._numbers)]
        self._whole = [i for i, number in enumerate(self._numbers) if not number.is_float]
        self._scale = np.array([tag.scale for tag in cells], np.float64)
        self._offset = np.array([tag.offset for tag in cells], np.float64)
        self._is_scaled = bool((self._scale != 1.0).any() or self._offset.any())

    def cells(self, offset: int, length: int) -> range:
        """Those that lie within so many bytes as a whole."""
        return range(bisect_left(self._begins, offset), bisect_right(self._begins, offset + length) - 1)

    def unpack(self, data: bytes) -> NDArray[np.float64]:
        """Values of `type.size` bytes."""
        values = np.array(self._struct.unpack(data), np.float64)
        return values * self._scale + self._offset if self._is_scaled else values

    def pack(self, values: NDArray[np.float64]) -> bytes:
        """Bytes; what a type cannot hold becomes the nearest that it can, NaN in an integer becomes 0."""
        numbers = ((values - self._offset) / self._scale if self._is_scaled else values).tolist()
        try:
            for i in self._whole:
                numbers[i] = round(numbers[i])
            return self._struct.pack(*numbers)
        except (struct.error, OverflowError, ValueError):
            return self._struct.pack(*map(self._nearest, range(len(numbers)), numbers))

    def _nearest(self, cell: int, value: float) -> float:
        number = self._numbers[cell]
        if number.is_float:
            return value if not math.isfinite(value) else min(max(value, number.low), number.high)
        return 0 if math.isnan(value) else round(min(max(value, number.low), number.high))


def _field(tag: Tag) -> Field:
    scalar = SCALARS[tag.type]
    return Field(identifier(tag.name), scalar if tag.count == 1 else Array(scalar, tag.count), tag.unit)
