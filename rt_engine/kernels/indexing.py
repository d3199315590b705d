"""Indices that are computed at run time: checked, and turned into offsets; elements scattered to offsets.

    index_offsets, scatter_blocks     records: `interface.indexing`

Offsets are int64 and count elements; `base` is absent where it is zero everywhere.
An index is INT32 or INT64, from -size to size - 1; else the status is INDEX_OUT_OF_RANGE, and since nobody has
used an offset yet, nothing outside of a tensor is touched.

Blocks are scattered in rising order of i; a NaN wins in MIN and MAX.
"""

from numba import float32

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.interface.indexing import INDEX_OFFSETS, SCATTER_BLOCKS
from rt_engine.kernels.interface.modes import Scatter
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.copy import copy_run
from rt_engine.kernels.parts.int_elements import bytes_of, load_int, store_int
from rt_engine.status import Status
from rt_native.lang import inline, load_f32, load_f64, load_i32, load_i64, store_f32, store_f64, store_i64

_INT32, _FLOAT, _DOUBLE, _UINT64 = int(DType.INT32), int(DType.FLOAT), int(DType.DOUBLE), int(DType.UINT64)
_OUT_OF_RANGE = int(Status.INDEX_OUT_OF_RANGE)
_NONE, _ADD, _MUL, _MIN = int(Scatter.NONE), int(Scatter.ADD), int(Scatter.MUL), int(Scatter.MIN)
_FLIP = -(1 << 63)


@kernel("index_offsets", INDEX_OFFSETS)
def index_offsets(record):
    """See the top of this file."""
    index, table, out = record.index, record.table, record.out
    components, index_type = record.components, record.type
    based = record.has_base
    for i in range(record.count):
        offset = load_i64(record.base + 8 * i) if based else 0
        for j in range(components):
            at = load_i64(index)
            if index_type == _INT32:
                at = load_i32(index) + 0
                index += 4
            else:
                index += 8
            extent = load_i64(table + 16 * j)
            if at < -extent or at >= extent:
                return _OUT_OF_RANGE
            offset += (at + extent if at < 0 else at) * load_i64(table + 16 * j + 8)
        store_i64(out + 8 * i, offset)
    return 0


@inline
def _combined(old, new, reduction):
    if reduction == _ADD:
        return old + new
    if reduction == _MUL:
        return old * new
    if reduction == _MIN:
        return old if old < new or old != old else new
    return old if old > new or old != old else new


@inline
def _combine_floats(to, source, count, reduction, double):
    for k in range(count):
        if double:
            store_f64(to + 8 * k, _combined(load_f64(to + 8 * k), load_f64(source + 8 * k), reduction))
        else:
            value = _combined(load_f32(to + 4 * k), load_f32(source + 4 * k), reduction)
            store_f32(to + 4 * k, float32(value))


@inline
def _combine_integers(to, source, count, reduction, code):
    element, flip = bytes_of(code), _FLIP if code == _UINT64 and reduction >= _MIN else 0
    for k in range(0, count * element, element):
        old, new = load_int(to + k, code) ^ flip, load_int(source + k, code) ^ flip
        store_int(to + k, _combined(old, new, reduction) ^ flip, code)


@kernel("scatter_blocks", SCATTER_BLOCKS)
def scatter_blocks(record):
    """See the top of this file."""
    offsets, source, out = record.offsets, record.updates, record.out
    count, reduction, code = record.block, record.reduction, record.type
    floats = code in (_FLOAT, _DOUBLE)
    element = (8 if code == _DOUBLE else 4) if floats else bytes_of(code)
    for i in range(record.count):
        to = out + load_i64(offsets + 8 * i) * element
        if reduction == _NONE:
            copy_run(to, source, count * element)
        elif floats:
            _combine_floats(to, source, count, reduction, code == _DOUBLE)
        else:
            _combine_integers(to, source, count, reduction, code)
        source += count * element
    return 0
