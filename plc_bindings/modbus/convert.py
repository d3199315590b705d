"""Values as a PLC packs them <-> registers, exactly, bit by bit.

                 32-bit value A B C D, A the most significant
    bytes        D C B A
    registers    ABCD: A B | C D     CDAB: C D | A B     BADC: B A | D C     DCBA: D C | B A

ABCD is packing high byte first, DCBA packing low byte first; the other two are these with the bytes of each register
exchanged. Characters stand in the order of the text in ABCD and CDAB, exchanged in pairs in BADC and DCBA.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from fieldbus.tags import Order
from plc_bindings.data.types import BOOL, LREAL, REAL, SINT, USINT, Array, Scalar, String, Struct, leaves

_BITS: Final = {"f": "I", "d": "Q", "?": "B"}
_IN_REGISTER: Final = {"B": "H", "b": "h"}
_INFINITE: Final = {REAL: 0x7F80_0000, LREAL: 0x7FF0_0000_0000_0000}
"""All bits of the exponent: infinite, or no number."""
_MANY: Final = 48
"""From so many values on NumPy is faster than `struct`."""


class Converter:
    """Converts values of `types` that follow each other without gaps."""

    def __init__(self, types: Sequence[Scalar | String], order: Order) -> None:
        sign = ">" if order in (Order.ABCD, Order.BADC) else "<"
        self._is_swapped = order in (Order.CDAB, Order.BADC)
        self._memory = struct.Struct("<" + "".join(map(_in_memory, types)))
        self._wire = struct.Struct(sign + "".join(map(_on_wire, types)))
        self.size, self.wire_size = self._memory.size, self._wire.size
        self._texts = [i for i, t in enumerate(types) if isinstance(t, String)] if sign == "<" else []
        self._bools = [i for i, t in enumerate(types) if t == BOOL]
        self._floats = [(i, _INFINITE[t]) for i, t in enumerate(types) if isinstance(t, Scalar) and t in _INFINITE]
        self.to_wire: Callable[[Any], bytes] = self._to_wire
        self.to_memory: Callable[[Any], bytes] = self._to_memory
        sizes = {t.size for t in types}
        if len(sizes) == 1 and not sizes - {2, 4, 8} and not any(isinstance(t, String) for t in types):
            self._use_whole_array(sizes.pop(), len(types), order)

    def check(self, data: bytes) -> None:
        """Raises `ValueError` when a BOOL is not 0 or 1, or a REAL or LREAL infinite or no number."""
        if not (self._bools or self._floats):
            return
        values = self._memory.unpack(data)
        for i in self._bools:
            if values[i] > 1:
                raise ValueError(f"BOOL {values[i]}")
        for i, infinite in self._floats:
            if values[i] & infinite == infinite:
                raise ValueError("not a finite number")

    def _to_wire(self, data: Any) -> bytes:
        values: Sequence[Any] = self._memory.unpack(data)
        if self._texts:
            values = self._exchange(values)
        packed = self._wire.pack(*values)
        return swap(packed) if self._is_swapped else packed

    def _to_memory(self, data: Any) -> bytes:
        """Bytes; raises `ValueError` when a value does not fit its type of 8 bits."""
        values: Sequence[Any] = self._wire.unpack(swap(data) if self._is_swapped else data)
        if self._texts:
            values = self._exchange(values)
        try:
            return self._memory.pack(*values)
        except struct.error as error:
            raise ValueError(str(error)) from None

    def _exchange(self, values: Sequence[Any]) -> Sequence[Any]:
        changed = list(values)
        for i in self._texts:
            text = changed[i]
            changed[i] = swap(text + bytes(len(text) % 2))
        return changed

    def _use_whole_array(self, size: int, count: int, order: Order) -> None:
        """Numbers of one size: exchange bytes of the whole at once."""
        if order == Order.DCBA:
            self.to_wire = self.to_memory = bytes
        elif order == Order.CDAB or (order == Order.ABCD and size == 2):
            self.to_wire = self.to_memory = swap
        elif order == Order.ABCD:
            self.to_wire = self.to_memory = _reversed(size, count)


def _reversed(size: int, count: int) -> Callable[[Any], bytes]:
    code = {4: "I", 8: "Q"}[size]
    if count < _MANY:
        low, high = struct.Struct(f"<{count}{code}"), struct.Struct(f">{count}{code}")
        unpack, pack = low.unpack, high.pack
        return lambda data: pack(*unpack(data))
    return lambda data: np.frombuffer(data, f"<u{size}").byteswap().tobytes()


def swap(data: Any) -> bytes:
    """The two bytes of each register exchanged."""
    words = array("H", bytes(data))
    words.byteswap()
    return words.tobytes()


def scalars(struct_: Struct) -> list[Scalar | String]:
    """All values of a structure in the order of their bytes."""
    found: list[Scalar | String] = []
    for leaf in leaves(struct_):
        found += elements(leaf.type)
    return found


def elements(type_: Scalar | String | Array) -> list[Scalar | String]:
    """The values of a leaf."""
    if not isinstance(type_, Array):
        return [type_]
    assert isinstance(type_.element, Scalar)
    return [type_.element] * type_.count


def _in_memory(type_: Scalar | String) -> str:
    return f"{type_.size}s" if isinstance(type_, String) else _BITS.get(type_.char, type_.char)


def _on_wire(type_: Scalar | String) -> str:
    if isinstance(type_, String):
        return f"{(type_.size + 1) // 2 * 2}s"
    char = _in_memory(type_)
    return _IN_REGISTER[char] if type_ in (BOOL, SINT, USINT) else char
