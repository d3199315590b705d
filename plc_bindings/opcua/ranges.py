"""Index ranges: a part of an array, `3` or `2:5` (OPC 10000-4, 7.27), which is a place of its own in the same area."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from asyncua import ua

from plc_bindings.opcua.tree import Place

_S = ua.StatusCodes
_MOST_DIGITS: Final = 9


class RangeError(Exception):
    """There is no such part; `code` is OPC UA's word for it."""

    def __init__(self, code: int) -> None:
        self.code = code


def part(place: Place, text: str) -> Place:
    """The elements that `text` names, as far as there are any; "": all.

    Raises:
        RangeError: it is no range (BadIndexRangeInvalid), or names nothing that is there (BadIndexRangeNoData).
    """
    if not text:
        return place
    numbers = text.split(":")
    if len(numbers) > 2 or not all(one.isascii() and one.isdigit() and len(one) <= _MOST_DIGITS for one in numbers):
        raise RangeError(_S.BadIndexRangeInvalid)
    first, last = int(numbers[0]), int(numbers[-1])
    if len(numbers) == 2 and first >= last:
        raise RangeError(_S.BadIndexRangeInvalid)
    codec = place.codec
    if first >= codec.count:  # of what is no array, too
        raise RangeError(_S.BadIndexRangeNoData)
    count, size = min(last + 1, codec.count) - first, codec.size // codec.count
    return replace(place, offset=place.offset + first * size, codec=replace(codec, count=count, size=count * size))
