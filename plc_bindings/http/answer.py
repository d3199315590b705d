"""What a client gets: outputs as JSON, or binary behind it.

    {"model_name":"policy","model_version":"3","outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[0.5,-1.25]}]}

Long arrays are written in pieces, so that the interpreter is free between them.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Final

from plc_bindings.http.ends import End, Ends
from plc_bindings.http.json_values import encoded, numbers
from plc_bindings.http.question import Question
from plc_bindings.http.runs import Result

PIECE: Final = 1024
"""Numbers that are written at once."""
_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Answer:
    """A body; `header`: the bytes of its JSON where tensors follow, else None."""

    body: bytes
    header: int | None


async def answered(name: bytes, question: Question, result: Result, ends: Ends) -> Answer:
    """The answer to a call that has outputs; `name`: the model's, in JSON."""
    more = b"" if question.id is None else b',"id":%b' % encoded(question.id)
    if result.status:
        more += b',"parameters":{"status":%d}' % result.status
    described: list[bytes] = []
    tensors: list[bytes | bytearray] = []
    batch = question.count if question.has_batch else None
    for number, is_binary in question.outputs:
        end, raw = ends.outputs[number], result.outputs[number]
        begin = end.begin(batch)
        if is_binary:
            tensor = _texts(raw, end) if end.names else raw
            tensors.append(tensor)
            described.append(b'%b"parameters":{"binary_data_size":%d}}' % (begin, len(tensor)))
        elif len(raw) <= PIECE * end.dtype.itemsize:
            described.append(b'%b"data":%b}' % (begin, _written(raw, end)))
        else:
            described.append(b'%b"data":[%b]}' % (begin, await _in_pieces(raw, end)))
    parts = (name, result.version, more, b",".join(described))
    text = b'{"model_name":%b,"model_version":"%d"%b,"outputs":[%b]}' % parts
    if not tensors:
        return Answer(text, None)
    return Answer(b"".join((text, *tensors)), len(text))


async def _in_pieces(raw: bytearray, end: End) -> bytes:
    parts: list[bytes] = []
    size = PIECE * end.dtype.itemsize
    for at in range(0, len(raw), size):
        parts.append(_written(raw[at : at + size], end)[1:-1])
        await asyncio.sleep(0)
    return b",".join(parts)


def _written(raw: bytearray, end: End) -> bytes:
    """The elements as JSON; it has no NaN and no infinity: those are null."""
    values = struct.unpack(f"<{len(raw) // end.dtype.itemsize}{end.code}", raw)
    return encoded([_name(number, end) for number in values]) if end.names else numbers(values)


def _texts(raw: bytearray, end: End) -> bytes:
    parts: list[bytes] = []
    for (number,) in struct.iter_unpack(f"<{end.code}", raw):
        text = _name(number, end).encode()
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)


def _name(number: int, end: End) -> str:
    """The name of an index; empty where it has none (docs/adr/0032)."""
    return end.names[number] if 0 <= number < len(end.names) else ""
