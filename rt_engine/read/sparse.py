"""Sparse tensors of a file -> dense ones: a program's weights are dense, whatever they were stored as.

https://onnx.ai/onnx/repo-docs/IR.html: `values` [NNZ] and `indices` [NNZ] (of the flat tensor) or [NNZ, rank], `dims`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, SparseTensorProto, TensorProto, numpy_helper

from rt_engine.errors import InvalidModelError, Reason, UnsupportedModelError

MOST_BYTES, _ALWAYS, _TIMES = 1 << 30, 1 << 28, 64
"""A file of a few bytes can name any shape: dense tensors, all together, may have so many bytes; and no more than some, and so
many times those of the file."""


@dataclass(slots=True)
class Room:
    """Bytes that the dense tensors of one model may still have."""

    left: int

    @classmethod
    def of(cls, proto: ModelProto) -> "Room":
        """Before the first."""
        return cls(min(MOST_BYTES, _ALWAYS + _TIMES * proto.ByteSize()))


def dense(sparse: SparseTensorProto, name: str, source: str, room: Room) -> TensorProto:
    """The same tensor, dense, with this name; takes its bytes of the room.

    Raises:
        InvalidModelError: indices, values and shape do not fit together.
        UnsupportedModelError: it is too large, or its data lies in another file.
    """
    shape = tuple(int(d) for d in sparse.dims)
    if TensorProto.EXTERNAL in (sparse.values.data_location, sparse.indices.data_location):
        raise _refused(name, source, "a sparse tensor with external data is not supported", "store it in the file")
    try:
        values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidModelError(f"the data of sparse tensor '{name}' of {source} cannot be read: {error}") from error
    size = 1
    for dim in shape:
        size *= max(dim, 0)
    if size * values.dtype.itemsize > room.left:
        what = f"its dense form, {list(shape)}, has more than the {room.left:,} bytes left of what such a file may have"
        raise _refused(name, source, what, "check its shape")
    room.left -= size * values.dtype.itemsize
    flat = _flat(indices, shape)
    if values.ndim != 1 or min(shape, default=0) < 0 or flat is None or len(flat) != len(values):
        raise InvalidModelError(
            f"sparse tensor '{name}' of {source} contradicts itself: values {list(values.shape)} and indices "
            f"{list(indices.shape)} do not fit the shape {list(shape)}"
        )
    array = np.zeros(size, values.dtype)
    array[flat] = values
    return numpy_helper.from_array(array.reshape(shape), name)


def _flat(indices: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Indices into the flat tensor; None where there are none such."""
    if (
        indices.dtype != np.int64
        or indices.ndim not in (1, 2)
        or (indices.ndim == 2 and indices.shape[1] != len(shape))
    ):
        return None
    limits = np.array(shape if indices.ndim == 2 else [int(np.prod(shape, dtype=np.int64))], np.int64)
    if ((indices < 0) | (indices >= limits)).any():
        return None
    return indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), shape)


def _refused(name: str, source: str, why: str, help: str) -> UnsupportedModelError:
    return UnsupportedModelError(source, [Reason(name, "sparse tensor", why, help)])
