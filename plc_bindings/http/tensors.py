"""One tensor of a question -> its elements in the model's bytes.

Pure, but for long arrays in JSON, which are read piece by piece.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from plc_bindings.http.ends import BYTES, CODES, End
from plc_bindings.http.errors import Refusal, misfit, shown, wrong
from plc_bindings.http.json_values import Load
from plc_bindings.http.numbers import Span
from rt_engine.program.naming import UNKNOWN

Raw = bytes | bytearray | memoryview
_LENGTH: Final = struct.Struct("<I")
_PLAIN: Final[dict[str, frozenset[type]]] = {
    "BOOL": frozenset((bool,)),
    BYTES: frozenset((str,)),
    **dict.fromkeys(("FP16", "FP32", "FP64"), frozenset((int, float, type(None)))),
}
"""Datatype -> what its elements are in JSON; of those that are not here: whole numbers. A null is a NaN, which JSON has not."""
WHOLE_NUMBERS: Final = frozenset((int,))
_WORDS: Final = {BYTES: "strings", "BOOL": "true and false", "FP16": "numbers", "FP32": "numbers", "FP64": "numbers"}


def from_binary(raw: memoryview, datatype: str, end: End, count: int, where: str) -> Raw:
    """A tensor that lies behind the JSON; raises `Refusal`."""
    if datatype == BYTES:
        return _indices(_texts(raw, end.size * count, where), end)
    if len(raw) != end.nbytes * count:
        raise misfit(where, f"{end.nbytes * count} bytes of {datatype}", f"{len(raw)} bytes")
    if datatype == "BOOL" and len(raw) and np.frombuffer(raw, np.uint8).max() > 1:
        raise misfit(where, "bytes of 0 and 1", "others")
    return raw


def _texts(raw: memoryview, count: int, where: str) -> list[str]:
    """A binary tensor of texts, each behind its length."""
    found: list[str] = []
    at = 0
    while at + _LENGTH.size <= len(raw) and len(found) <= count:
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if length > len(raw) - at:
            raise misfit(where, f"a text of {length} bytes, as its length says", f"{len(raw) - at}")
        found.append(str(raw[at : at + length], "utf-8", "replace"))
        at += length
    if at != len(raw) or len(found) != count:
        raise misfit(where, f"{count} texts, each behind its length in 4 bytes", f"{len(raw)} bytes")
    return found


def _indices(texts: Sequence[str], end: End) -> bytes:
    """Names -> their numbers; a name that the model does not know is -1 (docs/adr/0032)."""
    numbers = {name: number for number, name in enumerate(end.names)}
    return struct.pack(f"<{len(texts)}{CODES[end.number]}", *[numbers.get(text, UNKNOWN) for text in texts])


async def from_text(entry: dict[str, Any], spans: dict[str, Span], end: End, count: int, where: str, load: Load) -> Raw:
    """A tensor in the JSON, which may be a long array that was not read yet; raises `Refusal`."""
    data = entry.get("data")
    if type(data) is str and data in spans:
        return await _from_span(spans[data], entry["datatype"], end, count, f"{where}.data", load)
    return from_json(data, entry, end, count, where)


def from_json(data: Any, entry: dict[str, Any], end: End, count: int, where: str) -> Raw:
    """A tensor of this data, flat or nested; raises `Refusal`."""
    size, place = end.size * count, f"{where}.data"
    if type(data) is not list:
        if "shared_memory_region" in parameters_of(entry, where):
            words = f"{where}: tensors in shared memory are not read by this server; send data, or binary_data_size"
            raise Refusal(400, words)
        raise wrong(place, "an array, or parameters.binary_data_size", data)
    if data and type(data[0]) is list:
        data = _flattened(data, entry["shape"], place)
    if len(data) != size:
        raise misfit(place, f"{size} elements", f"{len(data)}")
    return _packed(data, entry["datatype"], end, place)


async def _from_span(span: Span, datatype: str, end: End, count: int, where: str, load: Load) -> bytes:
    packed, found, size = bytearray(), 0, end.size * count
    try:
        for piece in span.pieces(load):
            found += len(piece)
            if found > size:
                break
            packed += _packed(piece, datatype, end, where)
            await asyncio.sleep(0)
    except ValueError as error:
        raise Refusal(400, f"{where} is no JSON: {error}") from None
    if found != size:
        raise misfit(where, f"{size} elements", "more" if found > size else f"{found}")
    return bytes(packed)


def _flattened(data: list[Any], shape: Sequence[int], where: str) -> list[Any]:
    """Nested arrays of this shape, in C order."""
    for depth, length in enumerate(shape):
        if depth:
            if set(map(type, data)) - {list}:
                break
            data = list(chain.from_iterable(data))
        if len(data) != math.prod(shape[: depth + 1]):
            raise wrong(
                where,
                f"arrays of the shape {list(shape)}, or one flat array",
                f"others ({length} in dimension {depth})",
            )
    return data


def _packed(data: list[Any], datatype: str, end: End, where: str) -> bytes:
    """Elements in the model's bytes."""
    plain = _PLAIN.get(datatype, WHOLE_NUMBERS)
    kinds = set(map(type, data))
    if not kinds <= plain:
        other = next(one for one in data if type(one) not in plain)
        raise wrong(where, f"{_WORDS.get(datatype, 'whole numbers')} for {datatype}", other)
    if datatype == BYTES:
        return _indices(data, end)
    if type(None) in kinds:
        data = [math.nan if one is None else one for one in data]
    try:
        if float in kinds and not math.isfinite(sum(data)) and not {math.inf, -math.inf}.isdisjoint(data):
            raise OverflowError  # 1e999, and what is no JSON
        return struct.pack(f"<{len(data)}{CODES[datatype]}", *data)
    except (struct.error, OverflowError):
        raise Refusal(400, f"{where}: a number is beyond {datatype}: {shown(_beyond(data, datatype))}") from None


def _beyond(data: list[Any], datatype: str) -> Any:
    for one in data:
        try:
            struct.pack(f"<{CODES[datatype]}", one)
        except (struct.error, OverflowError):
            return one
        if abs(one) == math.inf:
            return one
    return None


def parameters_of(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """What is said of something under `parameters`."""
    found = entry.get("parameters")
    if found is None:
        return {}
    if type(found) is not dict:
        raise wrong(f"{where}.parameters" if where != "parameters" else where, "an object", found)
    return found
