"""One element of a tensor, as float64: the types of `scheduler.task_block.DTYPES`.

Floats become integers by rounding to the nearest (ties to even) and saturating; NaN becomes 0. A bool is "not zero".
64-bit integers are exact up to 2**53.
"""

from rt_native.lang import (
    inline,
    load_f32,
    load_f64,
    load_i8,
    load_i16,
    load_i32,
    load_i64,
    load_u8,
    load_u16,
    load_u32,
    load_u64,
    store_f32,
    store_f64,
    store_i8,
    store_i16,
    store_i32,
    store_i64,
)
from scheduler.task_block import BOOL, FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32


@inline
def load_element(base, dtype, index):  # type: ignore[no-untyped-def]
    """Element `index` of the tensor at `base`."""
    if dtype == FLOAT32:
        return float(load_f32(base + 4 * index))
    if dtype == FLOAT64:
        return load_f64(base + 8 * index)
    if dtype in (BOOL, UINT8):
        return float(load_u8(base + index))
    if dtype == INT8:
        return float(load_i8(base + index))
    if dtype == INT16:
        return float(load_i16(base + 2 * index))
    if dtype == UINT16:
        return float(load_u16(base + 2 * index))
    if dtype == INT32:
        return float(load_i32(base + 4 * index))
    if dtype == UINT32:
        return float(load_u32(base + 4 * index))
    if dtype == INT64:
        return float(load_i64(base + 8 * index))
    return float(load_u64(base + 8 * index))


@inline
def saturated(value, low, high):  # type: ignore[no-untyped-def]
    """The integer nearest to `value`, from `low` to `high`; 0 for NaN."""
    if value != value:
        return 0
    return int(min(max(round(value), low), high))


@inline
def store_element(base, dtype, index, value):  # type: ignore[no-untyped-def]
    """Set element `index` of the tensor at `base`."""
    if dtype == FLOAT32:
        store_f32(base + 4 * index, value)
    elif dtype == FLOAT64:
        store_f64(base + 8 * index, value)
    elif dtype == BOOL:
        store_i8(base + index, 1 if value != 0.0 else 0)
    elif dtype == INT8:
        store_i8(base + index, saturated(value, -128.0, 127.0))
    elif dtype == UINT8:
        store_i8(base + index, saturated(value, 0.0, 255.0))
    elif dtype == INT16:
        store_i16(base + 2 * index, saturated(value, -32768.0, 32767.0))
    elif dtype == UINT16:
        store_i16(base + 2 * index, saturated(value, 0.0, 65535.0))
    elif dtype == INT32:
        store_i32(base + 4 * index, saturated(value, -2147483648.0, 2147483647.0))
    elif dtype == UINT32:
        store_i32(base + 4 * index, saturated(value, 0.0, 4294967295.0))
    elif dtype == INT64:
        store_i64(base + 8 * index, saturated(value, -9223372036854775808.0, 9223372036854774784.0))
    else:
        store_i64(base + 8 * index, saturated(value, 0.0, 9223372036854774784.0))
