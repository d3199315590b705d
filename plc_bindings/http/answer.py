"""What a client gets: outputs as JSON, or binary behind it.

    {"model_name":"policy","model_version":"3","outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[0.5,-1.25]}]}

Long arrays are written in pieces, so that the interpreter is free between them.
"""

from __future__ import annotations

import asyncio
import json
import math
import struct
from dataclasses import dataclass
from typing import Any, Final

from plc_bindings.http.ends import End, Ends
from plc_bindings.http.question import Question
from plc_bindings.http.runs import Result

PIECE: Final = 1024
"""Numbers that are written at once."""
_LENGTH: Final = struct.Struct("<I")
_JSON: Final = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Answer:
    """A body; `header`: the bytes of its JSON where tensors follow, else None."""

    body: bytes
    header: int | None


async def answered(name: str, question: Question, result: Result, ends: Ends) -> Answer:
    """The answer to a call that has outputs; `name`: the model's, in JSON."""
    more = "" if question.id is None else f',"id":{_JSON(question.id)}'
    if result.status:
        more += f',"parameters":{{"status":{result.status}}}'
    described: list[str] = []
    tensors: list[bytes | bytearray] = []
    batch = question.count if question.has_batch else None
    for number, is_binary in question.outputs:
        end, raw = ends.outputs[number], result.outputs[number]
        begin = end.begin(batch)
        if is_binary:
            tensor = _texts(raw, end) if end.names else raw
            tensors.append(tensor)
            described.append(f'{begin}"parameters":{{"binary_data_size":{len(tensor)}}}}}')
        elif len(raw) <= PIECE * end.dtype.itemsize:
            described.append(f'{begin}"data":{_written(raw, end, bool(result.status))}}}')
        else:
            described.append(f'{begin}"data":[{await _in_pieces(raw, end, bool(result.status))}]}}')
    text = (
        f'{{"model_name":{name},"model_version":"{result.version}"{more},"outputs":[{",".join(described)}]}}'.encode()
    )
    if not tensors:
        return Answer(text, None)
    return Answer(b"".join((text, *tensors)), len(text))


async def _in_pieces(raw: bytearray, end: End, has_odd: bool) -> str:
    parts: list[str] = []
    size = PIECE * end.dtype.itemsize
    for at in range(0, len(raw), size):
        parts.append(_written(raw[at : at + size], end, has_odd)[1:-1])
        await asyncio.sleep(0)
    return ",".join(parts)


def _written(raw: bytearray, end: End, has_odd: bool) -> str:
    """The elements as JSON; `has_odd`: some may be NaN or infinite, which JSON has not: they are null."""
    values: Any = struct.unpack(f"<{len(raw) // end.dtype.itemsize}{end.code}", raw)
    if end.names:
        values = [_name(number, end) for number in values]
    elif has_odd and end.dtype.kind == "f":
        values = [one if math.isfinite(one) else None for one in values]
    elif end.dtype.kind != "b":
        return repr(list(values))  # of finite numbers the same as JSON, in a third of the time
    return _JSON(values)


def _texts(raw: bytearray, end: End) -> bytes:
    parts: list[bytes] = []
    for (number,) in struct.iter_unpack(f"<{end.code}", raw):
        text = _name(number, end).encode()
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)


def _name(number: int, end: End) -> str:
    """The name of an index; empty where it has none (docs/adr/0032)."""
    return end.names[number] if 0 <= number < len(end.names) else ""
