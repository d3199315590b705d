"""An area of plain numbers and texts, packed from a tuple: what tasks, models, links and the station itself show."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from plc_bindings.data.database import Area
from plc_bindings.data.types import String, Struct
from rt_native.text import visible


class Record(Area):
    """An area of plain numbers and texts, packed from a tuple."""

    def __init__(self, name: str, type_: Struct, *writes: str) -> None:
        super().__init__(name, type_, bool(writes), writes)
        self._struct = struct.Struct("<" + "".join(_codes(type_)))
        assert self._struct.size == type_.size

    def values(self) -> Sequence[Any]:
        """One value for each scalar and string, in the order of the fields."""
        raise NotImplementedError

    def read(self) -> bytes:
        """All bytes as they are now."""
        return self._struct.pack(*self.values())


def _codes(type_: Struct) -> Iterator[str]:
    for field in type_.fields:
        if isinstance(field.type, Struct):
            yield from _codes(field.type)
        elif isinstance(field.type, String):
            yield f"{field.type.size}s"
        else:
            assert not hasattr(field.type, "element")
            yield field.type.char


def text(value: str, length: int) -> bytes:
    """A text for a STRING(length): UTF-8, cut between characters."""
    return visible(value).encode()[:length].decode(errors="ignore").encode()
