"""What a client asks: `POST .../infer`, JSON with or without binary tensors behind it -> inputs in the bytes of the model.

    Inference-Header-Content-Length: 114    the JSON's bytes; tensors follow, in the order of the inputs with a `binary_data_size`

Pure, but for long arrays in JSON, which are read piece by piece.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np

from plc_bindings.http.ends import BYTES, CODES, End, Ends
from plc_bindings.http.errors import Refusal, misfit, shown, wrong
from plc_bindings.http.numbers import WHOLE, Span, read
from rt_engine.program.naming import UNKNOWN

Raw = bytes | bytearray | memoryview
MOST_HEADS: Final = 32
"""JSON of so many calls of a model is remembered."""
_LENGTH: Final = struct.Struct("<I")
_PLAIN: Final[dict[str, frozenset[type]]] = {
    "BOOL": frozenset((bool,)),
    BYTES: frozenset((str,)),
    **dict.fromkeys(("FP16", "FP32", "FP64"), frozenset((int, float, type(None)))),
}
"""Datatype -> what its elements are in JSON; of those that are not here: whole numbers. A null is a NaN, which JSON has not."""
_WHOLE_NUMBERS: Final = frozenset((int,))
_WORDS: Final = {BYTES: "strings", "BOOL": "true and false", "FP16": "numbers", "FP32": "numbers", "FP64": "numbers"}


@dataclass(frozen=True, slots=True)
class Turn:
    """`sequence_id`, and whether the call is the first or the last of it."""

    id: int | str
    starts: bool
    ends: bool


@dataclass(slots=True)
class Question:
    """One call of a model.

    Attributes:
        count: runs; `has_batch`: do its tensors have the batch's place?
        inputs: the bytes of each, in the model's order, run after run.
        outputs: (number of the output, is it wanted binary), in the order of the answer.
        sequence: whose state it goes on with; None: of none.
    """

    id: str | None
    count: int
    has_batch: bool
    inputs: list[Raw]
    outputs: Sequence[tuple[int, bool]]
    sequence: Turn | None


@dataclass(slots=True)
class _Head:
    """What a body's JSON says. `spans`: its long arrays (`numbers.py`); `is_bare`: all of its tensors are binary."""

    id: str | None
    count: int
    has_batch: bool
    given: Sequence[tuple[str, End, dict[str, Any], int | None]]
    """(where, the model's input, what is said of it, its bytes behind the JSON), in the order of the request."""
    outputs: Sequence[tuple[int, bool]]
    sequence: Turn | None
    spans: dict[str, Span]
    is_bare: bool


class Reader:
    """Reads calls of one model. JSON that came before, with all tensors behind it, is not read again.

    Args:
        ends: of the model.
        most: runs of one call.
    """

    def __init__(self, ends: Ends, most: int) -> None:
        self._ends, self._most = ends, most
        self._heads: dict[bytes, _Head] = {}

    async def asked(self, body: bytes, header: str | None) -> Question:
        """The call that a request's body stands for; `header`: its `Inference-Header-Content-Length`.

        Raises:
            Refusal: it is none, with what is wrong, where, and what was expected.
        """
        text, tensors = _halves(body, header)
        if not text and header is not None:
            return _raw(tensors, self._ends, self._most)
        head = self._heads.get(text)
        if head is None:
            head = _read(text, self._ends, self._most)
            if head.is_bare and head.id is None and len(self._heads) < MOST_HEADS and len(text) <= WHOLE:
                self._heads[text] = head
        found: dict[str, Raw] = {}
        at = 0
        for where, end, entry, size in head.given:
            if size is None:
                found[end.name] = await _from_text(entry, head.spans, end, head.count, where)
                continue
            if size > len(tensors) - at:
                expected = f"at most {len(tensors) - at} bytes that are there"
                raise wrong(f"{where}.parameters.binary_data_size", expected, size)
            found[end.name] = _from_binary(tensors[at : at + size], entry["datatype"], end, head.count, where)
            at += size
        if at != len(tensors):
            words = f"the binary tensors have {len(tensors):,} bytes, the inputs' binary_data_size names {at:,}"
            raise Refusal(400, words)
        inputs = [found[end.name] for end in self._ends.inputs]
        return Question(head.id, head.count, head.has_batch, inputs, head.outputs, head.sequence)


def _read(text: bytes, ends: Ends, most: int) -> _Head:
    said, spans = read(text)
    if type(said) is not dict:
        raise wrong("the body", "an object", said)
    parameters = _parameters(said, "parameters")
    given = _inputs_by_name(said, ends)
    count, has_batch = _runs(given, ends, most)
    sized = [(where, end, entry, _size(entry, where)) for where, end, entry in given]
    name = said.get("id")
    if name is not None and type(name) is not str:
        raise wrong("id", "a string", name)
    outputs = _wanted(said, ends, _flag(parameters, "binary_data_output", "parameters"))
    is_bare = all(size is not None for *_, size in sized)
    return _Head(name, count, has_batch, sized, outputs, _sequence(parameters), spans, is_bare)


def _size(entry: dict[str, Any], where: str) -> int | None:
    """A tensor's bytes behind the JSON; None: it is in the JSON."""
    size = _parameters(entry, where).get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise wrong(f"{where}.parameters.binary_data_size", "a number of bytes", size)
    return size


def _halves(body: bytes, header: str | None) -> tuple[bytes, memoryview]:
    """(JSON, what stands behind it)."""
    if header is None:
        return body, memoryview(b"")
    length = int(header) if header.isascii() and header.isdigit() and len(header) < 16 else -1
    if not 0 <= length <= len(body):
        raise wrong("Inference-Header-Content-Length", f"0 to {len(body)}, the bytes of the body", header)
    return body[:length], memoryview(body)[length:]


def _raw(tensors: memoryview, ends: Ends, most: int) -> Question:
    """A body without JSON: the only input, binary; all outputs come binary."""
    if len(ends.inputs) != 1 or ends.inputs[0].names:
        raise Refusal(400, "a body without JSON: expected a model with one input of numbers; send its inputs' names")
    end = ends.inputs[0]
    count, rest = divmod(len(tensors), end.nbytes) if end.nbytes else (1, 0)
    if rest or not count:
        raise misfit(f'input "{end.name}"', f"a multiple of {end.nbytes} bytes", f"{len(tensors)} bytes")
    _few_enough(count, most)
    raw = _from_binary(tensors, end.datatype, end, count, f'input "{end.name}"')
    return Question(None, count, ends.takes_first or count > 1, [raw], ends.all_binary, None)


def _inputs_by_name(said: dict[str, Any], ends: Ends) -> list[tuple[str, End, dict[str, Any]]]:
    """(where, the model's input, what the request says of it), in the order of the request."""
    entries = said.get("inputs")
    if type(entries) is not list:
        raise wrong("inputs", "an array of tensors", entries)
    known = dict(ends.by_name)
    found: list[tuple[str, End, dict[str, Any]]] = []
    for number, entry in enumerate(entries):
        where = f"inputs[{number}]"
        if type(entry) is not dict:
            raise wrong(where, "an object", entry)
        name = entry.get("name")
        end = known.pop(name, None) if type(name) is str else None
        if end is None:
            names = ", ".join(f'"{one.name}"' for one in ends.inputs) or "none"
            raise wrong(f"{where}.name", f"each of the model's inputs once ({names})", name)
        if entry.get("datatype") not in (end.datatype, end.number):
            either = f"{end.datatype} or {end.number}" if end.names else end.datatype
            raise wrong(f"{where}.datatype", f'{either} of input "{name}"', entry.get("datatype"))
        found.append((where, end, entry))
    if known:
        raise Refusal(400, f"inputs: expected {', '.join(map(ascii, known))} too")
    return found


def _runs(given: Iterable[tuple[str, End, dict[str, Any]]], ends: Ends, most: int) -> tuple[int, bool]:
    """(how many runs, have the tensors the batch's place): the same for all inputs."""
    agreed: tuple[int, bool] | None = None
    for where, end, entry in given:
        shape = entry.get("shape")
        is_shape = type(shape) is list and len(shape) <= 64 and set(map(type, shape)) <= _WHOLE_NUMBERS
        runs = ends.runs(end, shape) if is_shape and shape is not None else None
        if runs is None:
            raise wrong(f"{where}.shape", _shapes(end, ends), shape)
        if agreed is not None and runs != agreed:
            raise wrong(f"{where}.shape", f"the batch of the inputs before it ({agreed[0]})", shape)
        agreed = runs
    count, has_batch = agreed or (1, ends.takes_first)
    _few_enough(count, most)
    return count, has_batch


def _shapes(end: End, ends: Ends) -> str:
    batch = str([-1, *end.rest])
    words = batch if ends.takes_first else f"{list(end.shape)} or {batch}"
    return f'{words} of input "{end.name}" (-1: a batch)'


def _few_enough(count: int, most: int) -> None:
    if count > most:
        raise Refusal(413, f"a batch of {count:,}: expected at most {most:,}; send several requests")


# --- one tensor -------------------------------------------------------------------------------------------------------


def _from_binary(raw: memoryview, datatype: str, end: End, count: int, where: str) -> Raw:
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


async def _from_text(entry: dict[str, Any], spans: dict[str, Span], end: End, count: int, where: str) -> Raw:
    data = entry.get("data")
    if type(data) is str and data in spans:
        return await _from_span(spans[data], entry["datatype"], end, count, f"{where}.data")
    return _from_json(data, entry, end, count, where)


def _from_json(data: Any, entry: dict[str, Any], end: End, count: int, where: str) -> Raw:
    size, place = end.size * count, f"{where}.data"
    if type(data) is not list:
        if "shared_memory_region" in _parameters(entry, where):
            words = f"{where}: tensors in shared memory are not read by this server; send data, or binary_data_size"
            raise Refusal(400, words)
        raise wrong(place, "an array, or parameters.binary_data_size", data)
    if data and type(data[0]) is list:
        data = _flattened(data, entry["shape"], place)
    if len(data) != size:
        raise misfit(place, f"{size} elements", f"{len(data)}")
    return _packed(data, entry["datatype"], end, place)


async def _from_span(span: Span, datatype: str, end: End, count: int, where: str) -> bytes:
    packed, found, size = bytearray(), 0, end.size * count
    try:
        for piece in span.pieces():
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
    plain = _PLAIN.get(datatype, _WHOLE_NUMBERS)
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


# --- what is wanted ---------------------------------------------------------------------------------------------------


def _wanted(said: dict[str, Any], ends: Ends, is_binary: bool) -> Sequence[tuple[int, bool]]:
    entries = said.get("outputs")
    if entries is None or entries == []:
        return ends.all_binary if is_binary else ends.all_plain
    if type(entries) is not list:
        raise wrong("outputs", "an array", entries)
    numbers = {end.name: number for number, end in enumerate(ends.outputs)}
    found: list[tuple[int, bool]] = []
    for at, entry in enumerate(entries):
        where = f"outputs[{at}]"
        if type(entry) is not dict:
            raise wrong(where, "an object", entry)
        name = entry.get("name")
        number = numbers.pop(name, None) if type(name) is str else None
        if number is None:
            names = ", ".join(f'"{end.name}"' for end in ends.outputs)
            raise wrong(f"{where}.name", f"each of the model's outputs at most once ({names})", name)
        parameters = _parameters(entry, where)
        if parameters.get("classification"):
            raise Refusal(400, f"{where}: classification is not done here; ask for the scores, and sort them yourself")
        if "shared_memory_region" in parameters:
            raise Refusal(400, f"{where}: this server writes no shared memory")
        found.append((number, _flag(parameters, "binary_data", where, is_binary)))
    return found


def _sequence(parameters: dict[str, Any]) -> Turn | None:
    name = parameters.get("sequence_id")
    if name is None or name == 0 or name == "":
        return None
    if type(name) not in (int, str) or len(str(name)) > 128:
        raise wrong("parameters.sequence_id", "a number or a string of up to 128 characters", name)
    starts, ends = (_flag(parameters, f"sequence_{end}", "parameters") for end in ("start", "end"))
    return Turn(name, starts, ends)


def _parameters(entry: dict[str, Any], where: str) -> dict[str, Any]:
    found = entry.get("parameters")
    if found is None:
        return {}
    if type(found) is not dict:
        raise wrong(f"{where}.parameters" if where != "parameters" else where, "an object", found)
    return found


def _flag(parameters: dict[str, Any], name: str, where: str, default: bool = False) -> bool:
    found = parameters.get(name, default)
    if type(found) is not bool:
        raise wrong(f"{where}.{name}", "true or false", found)
    return found
