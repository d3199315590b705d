"""What is odd about a value that a device gave, and what else its bytes could mean. Pure.

    00 00 41 AC as ABCD: 2.36e-41   too small to be measured    in order CDAB it would be 21.5
    80 00 as int16: -32768          "not available"             is the sensor connected?
    FF EC as uint16: 65516          outside -50..50             as int16 it would be -20
    42 3C one register too early    too small to be measured    one register later (holding 21) it would be 47.1

Only what the bytes themselves, or those beside them, show is said; a wrong value that looks ordinary is not found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np

from fieldbus.codec import WORD_BYTES, Codec, Field
from fieldbus.tags import Order, Tag
from station.show.tags import number_text

MOST: Final = 1e20
LEAST: Final = 1e-20
"""A floating-point number above, or below, is no measured value."""
UNUSUAL: Final = (1e-6, 1e9)
ORDINARY: Final = ((0.1, 1e5), (1e-3, 1e6))
"""What measured values are usually between; if not, then often."""
NEAR: Final = 0.01
"""So much, of a number, changes at most with the words behind its first."""
SCALES: Final = (0.1, 0.01, 0.001, 10.0, 100.0, 1000.0)
_LOW_WORD: Final = 0x10000
_NAN_BYTES: Final = [
    sorted(bytes.fromhex(text))
    for text in ("7fc00000", "ffc00000", "7fffffff", "ffffffff", "7ff8000000000000", "fff8000000000000", "f" * 16)
]
"""Of the NaNs that devices write."""
_SIGNED: Final = {f"int{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)}
_OTHER_SIGN: Final = _SIGNED | {unsigned: signed for signed, unsigned in _SIGNED.items()}

Key = TypeVar("Key")
Beside = Mapping[int, bytes]
"""Bytes of the same tag read so many registers later (1) or earlier (-1)."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One odd value. `orders`, `shifts`: with which byte orders, or how many registers later, it would be plausible."""

    text: str
    orders: tuple[str, ...] = ()
    shifts: tuple[int, ...] = ()


def doubt(tag: Tag, values: tuple[float, ...], raw: bytes, beside: Beside | None = None) -> Doubt | None:
    """The first odd element of what was read of a tag; None: all are plausible."""
    if tag.type == "bool":
        return None
    width = len(raw) // tag.count
    for i, value in enumerate(values):
        part = slice(i * width, (i + 1) * width)
        there = {shift: data[part] for shift, data in (beside or {}).items() if len(data) == len(raw)}
        told = (
            read(tag, raw[part]) if raw else value
        )  # a link may have put NaN in the place of what it does not believe
        if found := _doubt(tag, told, raw[part], there):
            return replace(found, text=f"[{i}] {found.text}") if tag.count > 1 else found
    return None


def _doubt(tag: Tag, value: float, raw: bytes, beside: Beside) -> Doubt | None:
    why = _why(tag, value, raw)
    if not why:
        return None
    shown = _shown(tag, value)
    if why.startswith(_NOT_AVAILABLE):
        return Doubt(f"{shown} {why}")
    orders = _likely(tag, {order: read(tag, raw, order) for order in _orders(tag, raw)})
    shifts = _likely(tag, {shift: read(tag, data) for shift, data in beside.items()})
    if orders:  # the word that counts most lies in the register beside: what else is there means nothing
        shifts = {n: other for n, other in shifts.items() if any(_is_near(other, value) for value in orders.values())}
    hints = [f"in order {order} it would be {_shown(tag, other)}" for order, other in orders.items()]
    hints += [f"{_where(tag, shift)} it would be {_shown(tag, other)}" for shift, other in shifts.items()]
    hints = [*_sign_hints(tag, value, raw), *hints] or list(_scale_hints(tag, value))
    if why == _UNUSUAL and not hints:
        return None
    return Doubt(f"{shown} {why}" + (f": {'; or '.join(hints)}" if hints else ""), tuple(orders), tuple(shifts))


_NOT_AVAILABLE: Final = 'is what many devices give for "not available"'
_UNUSUAL: Final = "is unusual"


def _why(tag: Tag, value: float, raw: bytes) -> str:
    """What is odd; empty: nothing."""
    number, is_float = tag.raw(value), tag.number.is_float
    is_absurd = is_float and number != 0.0 and not LEAST <= abs(number) <= MOST
    is_outside = not tag.low <= value <= tag.high
    bare = read(_unscaled(tag), raw)
    if bare in tag.unavailable:
        return f"{_NOT_AVAILABLE} ({raw.hex(' ').upper()}), as not_available says: is the sensor connected?"
    if _is_missing(tag, raw) if is_absurd else _is_end(tag, raw, is_outside):
        key = "" if is_float else f"not_available = [{bare:.0f}] makes it no value; "
        return f"{_NOT_AVAILABLE} ({raw.hex(' ').upper()}): {key}is the sensor connected?"
    if not math.isfinite(value):
        return "is no number"
    if is_absurd:
        return f"is too {'small' if abs(number) < LEAST else 'large'} to be measured"
    if is_outside:
        return f"is outside {number_text(tag.low)}..{number_text(tag.high)}"
    is_shifted = not is_float and tag.number.nbytes > WORD_BYTES and number % _LOW_WORD == 0.0
    is_far = is_float and not UNUSUAL[0] <= abs(number) <= UNUSUAL[1]
    return _UNUSUAL if number != 0.0 and not _has_limits(tag) and (is_shifted or is_far) else ""


def _is_missing(tag: Tag, raw: bytes) -> bool:
    """A NaN as devices write it, also with its words the other way round."""
    in_orders = (_order(tag), *([Order.CDAB, Order.ABCD] if _all_orders(tag) else []))
    return sorted(raw) in _NAN_BYTES and any(math.isnan(read(tag, raw, order)) for order in in_orders)


def _is_end(tag: Tag, raw: bytes, is_outside: bool) -> bool:
    """Least or greatest number of an integer's type; -1, and the greatest of the other sign, where they cannot be values."""
    if not raw or tag.number.is_float or tag.number.nbytes < WORD_BYTES:
        return False
    half = 2 ** (8 * tag.number.nbytes - 1)
    number = round(read(_unscaled(tag), raw))
    if tag.type.startswith("u"):
        return number == 2 * half - 1 or (is_outside and number in (half, half - 1))
    return number in (-half, half - 1) or (is_outside and number == -1)


def read(tag: Tag, raw: bytes, order: Order | None = None) -> float:
    """The value of the bytes of one element; in the tag's own order, unless another is given. NaN, where there are none."""
    if not raw:
        return math.nan
    one = replace(tag, count=1)
    values = np.zeros(1)
    Codec([Field(one, 0, 0, len(raw), order or _order(tag))], len(raw)).decode(raw, values)
    return float(values[0])


def _order(tag: Tag) -> Order:
    return (tag.address.byte_order if tag.address else None) or Order.DCBA


def _all_orders(tag: Tag) -> list[Order]:
    """A controller's symbols have one order; registers that of their device."""
    return list(Order) if tag.address and tag.address.byte_order else []


def _orders(tag: Tag, raw: bytes) -> list[Order]:
    """Those that give other values than the tag's own."""
    return [order for order in _all_orders(tag) if order != _order(tag)] if len(raw) >= WORD_BYTES else []


def _unscaled(tag: Tag) -> Tag:
    return replace(tag, scale=1.0, offset=0.0, not_available=())


def _has_limits(tag: Tag) -> bool:
    return math.isfinite(tag.low) or math.isfinite(tag.high)


def _is_plausible(tag: Tag, value: float) -> bool:
    """Within the tag's limits, and as large as measured values are; 0 is in too many places to say anything."""
    if not math.isfinite(value) or value == 0.0 or not tag.low <= value <= tag.high:
        return False
    number = abs(tag.raw(value))
    if not tag.number.is_float:
        return _has_limits(tag) or number < _LOW_WORD
    return ORDINARY[-1][0] <= number < ORDINARY[-1][1]


def _likely(tag: Tag, readings: Mapping[Key, float]) -> dict[Key, float]:
    """The readings that are plausible; those of the most usual size alone, if there are any."""
    plausible = {key: value for key, value in readings.items() if _is_plausible(tag, value)}
    plausible = {
        key: value for i, (key, value) in enumerate(plausible.items()) if value not in [*plausible.values()][:i]
    }
    for low, high in ORDINARY if tag.number.is_float else ():
        if usual := {key: value for key, value in plausible.items() if low <= abs(tag.raw(value)) < high}:
            return usual
    return plausible


def _is_near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=NEAR)


def _sign_hints(tag: Tag, value: float, raw: bytes) -> Iterator[str]:
    if raw and tag.type in _OTHER_SIGN:
        other = replace(tag, type=_OTHER_SIGN[tag.type], not_available=())
        if _is_plausible(other, signed := read(other, raw)) and signed != value:
            yield f"as {other.type} it would be {_shown(tag, signed)}"


def _scale_hints(tag: Tag, value: float) -> Iterator[str]:
    if math.isfinite(tag.low) and math.isfinite(tag.high) and math.isfinite(value):
        for scale in SCALES:
            scaled = tag.raw(value) * tag.scale * scale + tag.offset
            if scaled != 0.0 and tag.low <= scaled <= tag.high:
                yield f"with scale = {tag.scale * scale:g} it would be {_shown(tag, scaled)}"
                return


def _where(tag: Tag, shift: int) -> str:
    there = tag.address.moved(shift) if tag.address else None
    return f"one register {'later' if shift > 0 else 'earlier'} ({there.place if there else ''})"


def _shown(tag: Tag, value: float) -> str:
    return f"{number_text(value)} {tag.unit}".rstrip()
