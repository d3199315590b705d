"""Where a model comes from: its file is read once, so that what is hashed, checked, compiled and measured are the same bytes.

Whoever replaces or removes the file meanwhile changes nothing. Nothing here imports ONNX.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Union

from rt_engine.errors import ModelFileError, ProgramFileError
from rt_engine.program import rtp_layout
from rt_native.files import open_file
from rt_native.pages import bytes_of, fill

if TYPE_CHECKING:
    import onnx

BYTES = bytes | memoryview
"""What the data of a file is; a view where it lies in memory of its own (`opened_apart`)."""
MOST_BYTES = (1 << 31) - 1
"""Protobuf's own limit for one message; larger models keep their weights in external data."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model as it was read.

    Args:
        data: the bytes of its file, or a `ModelProto`.
        name: the file's path or name; empty: it has none.
        folder: where its external data lies; None: it may have none.
    """

    data: "bytes | memoryview | onnx.ModelProto"
    name: str = ""
    folder: Path | None = None

    @property
    def is_program(self) -> bool:
        """Is it a compiled program, by its name or by how it begins?"""
        return self.name.endswith(rtp_layout.SUFFIX) or (
            isinstance(self.data, BYTES) and self.data[: len(rtp_layout.MAGIC)] == rtp_layout.MAGIC
        )

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name or ("the program" if self.is_program else "the model")

    @property
    def sha256(self) -> str:
        """SHA-256 of its bytes without external data, in hexadecimal; empty for a `ModelProto`."""
        return hashlib.sha256(self.data).hexdigest() if isinstance(self.data, BYTES) else ""


AnySource = Union[Source, str, os.PathLike[str], bytes, bytearray, memoryview, "onnx.ModelProto"]


def opened(source: AnySource) -> Source:
    """What a caller gave, read if it is a path.

    Raises:
        ModelFileError: the file cannot be read, or this is nothing that a model can be read from.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, str | os.PathLike):
        return _read(Path(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return Source(bytes(source))
    if type(source).__name__ == "ModelProto":
        return Source(source)
    raise ModelFileError(_no_model(source))


def opened_apart(path: str | Path) -> Source:
    """A file, read into memory of its own in small steps: nothing of its size holds the interpreter, now or when it is given back.

    Raises:
        ModelFileError: the file cannot be read.
    """
    return _read(Path(path), _in_steps)


def names_of(thing: Any) -> list[tuple[str, str]]:
    """(module, name) of the class of a thing and of all that it comes from; finds out what it is without importing it."""
    return [(kind.__module__, kind.__qualname__) for kind in type(thing).__mro__]


_EXPORTERS = {
    **dict.fromkeys(
        ("torch", "sklearn"), "give `load` an example of its input too, which exports it: load(..., example=x)"
    ),
    **dict.fromkeys(("lightgbm", "xgboost"), "export it to ONNX with onnxmltools"),
    **dict.fromkeys(("keras", "tensorflow", "jax", "flax"), "export it to ONNX with tf2onnx or jax2onnx"),
    "catboost": 'export it with save_model(..., format="onnx")',
    "onnxruntime": "give the file that it was made from",
    "onnx_ir": "turn it into a ModelProto with onnx_ir.to_proto",
    "rt_engine": "it is loaded already",
}
"""What is no model for us, by the first package that its class comes from: what helps."""


def _no_model(thing: Any) -> str:
    """What to do with something that is no model."""
    for module, _ in names_of(thing):
        if help := _EXPORTERS.get(module.partition(".")[0]):
            return f"a {type(thing).__name__} is no ONNX model: {help}"
    return f"a {type(thing).__name__} is no model: give the path of an .onnx or .rtp file, its bytes, or a ModelProto of onnx"


def _in_steps(file: BinaryIO, size: int) -> memoryview:
    whole = bytes_of(size)[:size]
    return whole[: fill(file.fileno(), whole)].data.toreadonly()


def _read(path: Path, read: Callable[[BinaryIO, int], bytes | memoryview] = lambda file, size: file.read()) -> Source:
    refusal = ProgramFileError if path.suffix == rtp_layout.SUFFIX else ModelFileError
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                help = "quantise the model" if refusal is ProgramFileError else "export it with external data"
                raise refusal(f"{path} has {size:,} bytes; the most is {MOST_BYTES:,}: {help}")
            return Source(read(file, size), str(path), path.parent)
    except (OSError, ValueError) as error:  # a ValueError: a null byte in the path
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise refusal(f"{path} cannot be read: {why}") from error
