"""Numbers of element types in records: those of ONNX TensorProto.DataType. Read at run time; imports no Numba."""

from enum import IntEnum
from typing import Any

import numpy as np


class DType(IntEnum):
    """Element type of a tensor, numbered as in `onnx.TensorProto.DataType`."""

    FLOAT = 1
    UINT8 = 2
    INT8 = 3
    UINT16 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    BOOL = 9
    FLOAT16 = 10
    DOUBLE = 11
    UINT32 = 12
    UINT64 = 13
    BFLOAT16 = 16
    """NumPy has no such type; its bits travel as uint16."""


_NUMPY = {
    DType.FLOAT: np.float32,
    DType.UINT8: np.uint8,
    DType.INT8: np.int8,
    DType.UINT16: np.uint16,
    DType.INT16: np.int16,
    DType.INT32: np.int32,
    DType.INT64: np.int64,
    DType.BOOL: np.bool_,
    DType.FLOAT16: np.float16,
    DType.DOUBLE: np.float64,
    DType.UINT32: np.uint32,
    DType.UINT64: np.uint64,
}

NUMPY: dict[DType, np.dtype[Any]] = {code: np.dtype(t) for code, t in _NUMPY.items()}
"""Code -> NumPy dtype; bfloat16 has none."""

CODE: dict[np.dtype[Any], DType] = {dtype: code for code, dtype in NUMPY.items()}
"""NumPy dtype -> code."""

SIZE: dict[DType, int] = {**{code: dtype.itemsize for code, dtype in NUMPY.items()}, DType.BFLOAT16: 2}
"""Code -> bytes per element."""
