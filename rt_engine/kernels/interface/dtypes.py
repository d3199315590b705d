"""Element types: the one table that kernels, operators, files, tasks and PLCs read. Imports no Numba.

A number is that of `onnx.TensorProto.DataType`; it stands in records and in files.
"""

from enum import IntEnum
from typing import Any, Self

import numpy as np


class DType(IntEnum):
    """An element type that kernels compute with or convert."""

    #          number  NumPy's name  kind bytes PLC's name
    FLOAT = 1, "float32", "f", 4, "REAL"
    UINT8 = 2, "uint8", "u", 1, "USINT"
    INT8 = 3, "int8", "i", 1, "SINT"
    UINT16 = 4, "uint16", "u", 2, "UINT"
    INT16 = 5, "int16", "i", 2, "INT"
    INT32 = 6, "int32", "i", 4, "DINT"
    INT64 = 7, "int64", "i", 8, "LINT"
    BOOL = 9, "bool", "b", 1, "BOOL"
    FLOAT16 = 10, "float16", "f", 2, ""
    DOUBLE = 11, "float64", "f", 8, "LREAL"
    UINT32 = 12, "uint32", "u", 4, "UDINT"
    UINT64 = 13, "uint64", "u", 8, "ULINT"
    BFLOAT16 = 16, "bfloat16", "f", 2, ""
    """NumPy has no such type of its own; its bits travel as uint16."""

    numpy: str
    kind: str
    """f: float, i: signed, u: unsigned, b: bool."""
    nbytes: int
    plc: str
    """Name in IEC 61131-3; empty where it has no such type."""

    def __new__(cls, number: int, numpy: str = "", kind: str = "", nbytes: int = 0, plc: str = "") -> Self:
        """One row of the table."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.numpy, member.kind, member.nbytes, member.plc = numpy, kind, nbytes, plc
        return member


INTEGERS = tuple(t for t in DType if t.kind in "iu")

NARROW = {
    **{"float8_e4m3fn": 17, "float8_e4m3fnuz": 18, "float8_e5m2": 19, "float8_e5m2fnuz": 20},
    **{"uint4": 21, "int4": 22, "float4_e2m1fn": 23, "float8_e8m0fnu": 24, "uint2": 25, "int2": 26},
}
"""Types of at most 8 bits that are only stored: the name in `ml_dtypes` -> number."""

NUMPY: dict[DType, np.dtype[Any]] = {t: np.dtype(t.numpy) for t in DType if t is not DType.BFLOAT16}
"""Type -> NumPy dtype; bfloat16 has none."""

CODE: dict[np.dtype[Any], DType] = {dtype: code for code, dtype in NUMPY.items()}
"""NumPy dtype -> type."""

SUFFIX: dict[np.dtype[Any], str] = {NUMPY[DType.FLOAT]: "f32", NUMPY[DType.DOUBLE]: "f64"}
"""What is behind the name of a kernel that there is for each type of float."""
