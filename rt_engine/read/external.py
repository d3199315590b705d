"""External data of an ONNX file, found without ONNX: where it lies, and the hash of the whole model.

Only the bytes of messages are walked that lead to tensors, by their lengths; weights are jumped over. A file of a gigabyte takes
milliseconds, no memory, and whatever is in it cannot do harm: what makes no sense has no external data, and is refused by
whoever loads it.

    ModelProto 7 graph, 25 functions -> 1 node -> 5 attribute -> 5 t, 10 tensors, 6 g, 11 graphs
                      graph          -> 5 initializer
    TensorProto 13 external_data (1 key, 2 value), 14 data_location
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rt_engine.errors import ModelFileError
from rt_engine.read.source import BYTES, Source
from rt_native.files import open_file

_DEEPEST: Final = 64
_CHUNK: Final = 1 << 20
_ENDLESS: Final = 1 << 62
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_EXTERNAL: Final = 1
_GRAPH, _GRAPHS = 5, 10
"""Values of AttributeProto.type."""
_Value = int | memoryview


@dataclass(frozen=True, slots=True)
class External:
    """One tensor's data: the file it lies in, beside the model's; where in it, and how many bytes (None: to its end)."""

    location: str
    offset: int = 0
    length: int | None = None


def external_data(source: Source) -> tuple[External, ...]:
    """Of every tensor that has any, in the order in which `rt_engine.read.frontend` reads it."""
    if source.is_program or not isinstance(source.data, BYTES):
        return ()
    try:
        model = memoryview(source.data)
        graphs = [value for number, value in _fields(model) if number == 7 and isinstance(value, memoryview)]
        functions = [value for number, value in _fields(model) if number == 25 and isinstance(value, memoryview)]
        tensors = [tensor for graph in graphs for tensor in _initializers(graph, _DEEPEST)]
        tensors += [tensor for graph in (*graphs, *functions) for tensor in _attributes(graph, _DEEPEST)]
        return tuple(found for tensor in tensors if (found := _external(tensor)) is not None)
    except (ValueError, IndexError):
        return ()


def files_beside(source: Source) -> dict[str, Path]:
    """Location -> file of all external data of a model; empty where it has none, or came without a folder.

    Raises:
        ModelFileError: one lies outside of the model's folder, or is not there.
    """
    home = source.folder
    if home is None:
        return {}
    found = {tensor.location: home / tensor.location for tensor in external_data(source)}
    for location, path in found.items():
        try:
            is_inside = bool(location) and path.resolve().is_relative_to(home.resolve()) and path.is_file()
        except (OSError, RuntimeError, ValueError):  # links in a circle, or no path at all
            is_inside = False
        if not is_inside:
            raise ModelFileError(
                f"external data '{location}' of {source.title} is no file in its folder; keep the data beside the model"
            )
    return found


def sha256_of(source: Source) -> str:
    """SHA-256 of a model with its external data, as `Model.sha256` has it.

    Raises:
        ModelFileError: external data cannot be read.
    """
    files = files_beside(source)
    if not files:
        return source.sha256
    assert isinstance(source.data, BYTES)
    digest = hashlib.sha256(source.data)
    for tensor in external_data(source):
        try:
            for part in _parts(files[tensor.location], tensor):
                digest.update(part)
        except (OSError, ValueError, OverflowError) as error:
            raise ModelFileError(
                f"external data '{tensor.location}' of {source.title} cannot be read: {error}"
            ) from error
    return digest.hexdigest()


def _parts(path: Path, tensor: External) -> Iterator[bytes]:
    """The bytes of a tensor, some at a time."""
    with open_file(path) as file:
        file.seek(tensor.offset)
        left = tensor.length if tensor.length is not None else _ENDLESS
        while left > 0 and (part := file.read(min(left, _CHUNK))):
            yield part
            left -= len(part)


def _initializers(graph: memoryview, depth: int) -> Iterator[memoryview]:
    yield from _messages(graph, 5)
    for attribute in _attributes_of(graph):
        for inner in _graphs(attribute, depth):
            yield from _initializers(inner, depth - 1)


def _attributes(graph: memoryview, depth: int) -> Iterator[memoryview]:
    for attribute in _attributes_of(graph):
        yield from _messages(attribute, 5)
        yield from _messages(attribute, 10)
        for inner in _graphs(attribute, depth):
            yield from _attributes(inner, depth - 1)


def _attributes_of(graph: memoryview) -> Iterator[memoryview]:
    for node in _messages(graph, 1):
        yield from _messages(node, 5)


def _graphs(attribute: memoryview, depth: int) -> Iterator[memoryview]:
    """The sub-graphs of an attribute, if it says that it has any."""
    if not depth:
        raise ValueError("too deep")
    kind = next((value for number, value in _fields(attribute) if number == 20), 0)
    if kind == _GRAPH:
        yield from _messages(attribute, 6)
    if kind == _GRAPHS:
        yield from _messages(attribute, 11)


def _external(tensor: memoryview) -> External | None:
    """Where the data of a tensor lies; None: in the file itself."""
    fields = list(_fields(tensor))
    if (14, _EXTERNAL) not in fields:
        return None
    entries = {}
    for number, entry in fields:
        if number == 13 and isinstance(entry, memoryview):
            pair = {key: bytes(value) for key, value in _fields(entry) if isinstance(value, memoryview)}
            entries[pair.get(1, b"")] = pair.get(2, b"")
    length = entries.get(b"length")
    return External(
        entries.get(b"location", b"").decode("utf-8", "surrogateescape"),
        int(entries.get(b"offset", b"0")),
        None if length is None else int(length),
    )


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    for found, value in _fields(message):
        if found == number and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, _Value]]:
    """(number, value) of each field: the integer of a varint, else the bytes. Raises IndexError, ValueError: it is no message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
        else:
            raise ValueError("no field")
        if size > len(message) - at:
            raise ValueError("it ends too early")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """(the number that begins there, where the next thing begins)."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("no number")
