"""Bounds of asyncua's decoder, for peers that lie: a message never becomes more than it holds. Imported by all who decode.

Of a few bytes asyncua makes, before anybody has said who he is:

    an array of 2^31 nothings       elements of the type Null take no bytes
    texts without end               a length below 0 moves the reader back, so that it reads the same again
    a million empty lists           dimensions say more elements than there are
"""

from __future__ import annotations

from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua import ua_binary
from asyncua.ua.uaerrors import UaError

MOST_DIMENSIONS: Final = 16
_array_from_binary = ua_binary.unpack_uatype_array
_reshape = ua_binary._reshape


def _read(self: Any, size: int) -> bytes:
    """As asyncua's, forward alone."""
    if not 0 <= size <= self._size:
        raise NotEnoughData(f"{size} bytes were asked for, and there are {self._size}")
    self._size -= size
    begin = self._cur_pos
    self._cur_pos += size
    data: bytes = self._data[begin : self._cur_pos]
    return data


def _array(vtype: ua.VariantType, data: Any) -> Any:
    """Elements that take bytes."""
    if vtype is ua.VariantType.Null:
        raise UaError("an array of nothings is none")
    return _array_from_binary(vtype, data)


def _shaped(flat: list[Any], dims: list[int]) -> list[Any]:
    """The elements that came, and no others (OPC 10000-6, 5.2.2.16)."""
    if len(dims) > MOST_DIMENSIONS:
        raise UaError(f"{len(dims)} dimensions are more than {MOST_DIMENSIONS}")
    count = 1
    for dim in dims:
        count *= dim
    if count != len(flat) or min(dims, default=0) < 0:
        raise UaError(f"dimensions {dims} do not hold {len(flat)} elements")
    shaped: list[Any] = _reshape(flat, dims) if flat else flat
    return shaped


Buffer.read = _read  # type: ignore[method-assign]
ua_binary.unpack_uatype_array = _array
ua_binary._reshape = _shaped
