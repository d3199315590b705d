"""Element types of tensors beyond those that kernels compute with: half floats, 8-bit floats, 4-bit and 2-bit integers.

    kind     types                                        in memory           computed as
    HALVES   float16, bfloat16                            2 bytes             float32, every result rounded once
    NARROW   float8 (five kinds), float4, int4, int2 ...  1 byte per element  float32, by tables made at load

ONNX packs two 4-bit elements into a byte of a file; in memory each has a byte of its own, as in `ml_dtypes`.
"""

from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface import dtypes
from rt_engine.kernels.interface.dtypes import CODE, DType

FLOAT16, BFLOAT16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
HALVES = (FLOAT16, BFLOAT16)

CODES: dict[np.dtype[Any], DType] = {**CODE, BFLOAT16: DType.BFLOAT16}
"""NumPy dtype -> number in records, for every type that the `cast` kernel knows."""

_FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
NARROW = tuple(np.dtype(getattr(ml_dtypes, name)) for name in dtypes.NARROW if hasattr(ml_dtypes, name))

INTEGER_LIMITS: dict[np.dtype[Any], tuple[int, int]] = {
    np.dtype(getattr(ml_dtypes, name)): limits
    for name, limits in (("int4", (-8, 7)), ("uint4", (0, 15)), ("int2", (-2, 1)), ("uint2", (0, 3)))
    if hasattr(ml_dtypes, name)
}
"""Narrow integers -> smallest and largest value."""

KNOWN = (*CODES, *NARROW)
"""Every type that a tensor may have."""

LEVELS = 9
"""Steps of the search in an encoding table, which has 2^LEVELS edges."""


@cache
def decoding(dtype: np.dtype[Any]) -> NDArray[np.float32]:
    """The float32 of each of the 256 bytes of a narrow type."""
    return np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)


@cache
def low_bits(dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """The byte of a narrow integer for each of the 256 bytes of its low bits: what is above them is zero."""
    low, high = INTEGER_LIMITS[dtype]
    return np.arange(256, dtype=np.uint8) & np.uint8(high - low)


@cache
def encoding(dtype: np.dtype[Any], saturate: bool, round_mode: str) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """(edges, codes): float32 to a narrow float. The code of x is codes[number of edges <= key(x)].

    `key` orders all float32 as integers, NaN included (see `kernels.encode`). Between two keys that are encoded alike there is
    no third that is not: so edges are found by bisection between neighbours in a dense sample.
    """
    sample = _sample(dtype)
    codes = _encode(_floats(sample), dtype, saturate, round_mode)
    change = np.flatnonzero(codes[1:] != codes[:-1])
    low, high = sample[change], sample[change + 1]
    left = codes[change]
    while (high - low > 1).any():
        middle = (low + high) // 2
        same = _encode(_floats(middle), dtype, saturate, round_mode) == left
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    assert len(high) < 1 << LEVELS, (dtype, len(high))
    edges = np.full(1 << LEVELS, np.iinfo(np.int32).max, np.int32)
    edges[: len(high)] = high
    table = np.full((1 << LEVELS) + 1, codes[-1], np.uint8)
    table[: len(high) + 1] = [*left, codes[-1]]
    return edges, table


def _floats(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    bits = np.where(keys < 0, keys ^ 0x7FFFFFFF, keys)
    return bits.astype(np.int32).view(np.float32)


def _sample(dtype: np.dtype[Any]) -> NDArray[np.int64]:
    """Keys with at most one change of code between neighbours: every value, the middles between them, the special numbers."""
    values = np.unique(decoding(dtype)[np.isfinite(decoding(dtype))]).astype(np.float64)
    middles = (values[1:] + values[:-1]) / 2
    beyond = [values[-1] * 1.01, values[-1] * 2, values[0] * 1.01 - 1e-30, values[0] * 2 - 1e-30]
    with np.errstate(over="ignore"):
        finite = np.concatenate([values, middles, beyond, values * 1.5]).astype(np.float32)
    special = np.array([np.inf, -np.inf, 0.0, -0.0, np.nan, -np.nan], np.float32)
    bits = np.concatenate([finite, special]).view(np.int32).astype(np.int64)
    keys = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    around = np.concatenate([keys + d for d in (-2, -1, 0, 1, 2)])
    ends = np.array([np.iinfo(np.int32).min, np.iinfo(np.int32).max])
    return np.unique(np.clip(np.concatenate([around, ends]), *ends))


def _encode(x: NDArray[np.float32], dtype: np.dtype[Any], saturate: bool, round_mode: str) -> NDArray[np.uint8]:
    """What ONNX says, in NumPy: https://onnx.ai/onnx/technical/float8.html"""
    with np.errstate(all="ignore"):
        if dtype.name == "float8_e8m0fnu":
            return _exponent(x, saturate, round_mode)
        if dtype.name in _FLOAT8 and saturate:
            limit = float(np.nanmax(decoding(dtype)[np.isfinite(decoding(dtype))]))
            x = np.clip(x, -limit, limit)
        return x.astype(dtype).view(np.uint8)


def _exponent(x: NDArray[np.float32], saturate: bool, round_mode: str) -> NDArray[np.uint8]:
    """float8e8m0: the exponent alone; the sign goes."""
    bits = x.view(np.uint32)
    exponent = ((bits >> 23) & 0xFF).astype(np.int64)
    special = exponent == 0xFF
    fraction = bits & 0x7FFFFF
    if round_mode == "up":
        up = fraction > 0
    elif round_mode == "nearest":
        up = (fraction > 0x400000) | ((fraction == 0x400000) & (exponent > 0))
    else:
        up = np.zeros(x.shape, np.bool_)
    if saturate:
        up &= exponent != 0xFE
    return np.where(special, 0xFF, exponent + up).astype(np.uint8)
