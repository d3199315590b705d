"""Movement of data; nothing is computed, elements are bytes.

    copy_strided_<bytes>, copy_blocks, gather_blocks, gather_blocks_checked, fill     records: `interface.movement`

The index of gather_blocks is int64, in range and not negative (the planner made sure of it). That of
gather_blocks_checked is INT32 or INT64 and is computed at run time: from -axis to axis - 1, else the status is
INDEX_OUT_OF_RANGE and nothing is read or written.

Input and output must not overlap. Nothing outside of them is touched.
"""

from typing import Any

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.interface.movement import COPY_BLOCKS, COPY_STRIDED, FILL, GATHER_BLOCKS
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.copy import copy_run
from rt_engine.kernels.parts.transpose import (
    FEW,
    SIDE,
    interleave_2,
    interleave_3,
    interleave_4,
    make_transpose,
    transpose_few,
)
from rt_engine.status import Status
from rt_native.lang import (
    copy_bytes,
    inline,
    load_i8,
    load_i16,
    load_i32,
    load_i64,
    stack,
    store_i8,
    store_i16,
    store_i32,
    store_i64,
)

LINE = 64
"""Bytes that a cache reads at once."""
_INT32 = int(DType.INT32)
_OUT_OF_RANGE = int(Status.INDEX_OUT_OF_RANGE)


@inline
def _advance(table, counters, dims):
    """Count one further in the outer dimensions; gives how far the input moves, and the output (in elements)."""
    source_step, target_step = 0, 0
    for k in range(dims):
        d = dims - 1 - k
        extent = load_i64(table + 24 * d)
        in_stride, out_stride = load_i64(table + 24 * d + 8), load_i64(table + 24 * d + 16)
        at = load_i64(counters + 8 * d) + 1
        if at < extent:
            store_i64(counters + 8 * d, at)
            return source_step + in_stride, target_step + out_stride
        store_i64(counters + 8 * d, 0)
        source_step -= (extent - 1) * in_stride
        target_step -= (extent - 1) * out_stride
    return source_step, target_step


def _make_copy_strided(nbytes: int, load: Any, store: Any) -> None:
    transpose, side, in_line = make_transpose(nbytes), SIDE[nbytes], LINE // nbytes

    @inline
    def scattered(source, target, rows, row_in, row_out, run, run_in, run_out):
        for i in range(rows):
            a, b = source + i * row_in, target + i * row_out
            for _ in range(run):
                store(b, load(a))
                a += run_in
                b += run_out

    @inline
    def few(source, run_in, target, row_out, run):
        """Eight rows of 2 to 4 elements."""
        if row_out != run * nbytes:
            transpose_few(source, run_in, target, row_out, run)
        elif run == 3:
            interleave_3(source, run_in, target)
        elif run == 4:
            interleave_4(source, run_in, target)
        else:
            interleave_2(source, run_in, target)

    @inline
    def transposed(source, target, rows, row_out, run, run_in):
        """Input rows are neighbours, output runs are: whole blocks, so many that lines are read once, then the two edges."""
        if nbytes == 4 and 1 < run <= FEW:
            done = 0
            while done + 8 <= rows:
                few(source + done * nbytes, run_in, target + done * row_out, row_out, run)
                done += 8
            scattered(
                source + done * nbytes, target + done * row_out, rows - done, nbytes, row_out, run, run_in, nbytes
            )
            return
        whole_rows, whole_run = rows - rows % side, run - run % side
        for first in range(0, whole_rows, in_line):
            for j in range(0, whole_run, side):
                for i in range(first, min(first + in_line, whole_rows), side):
                    transpose(source + j * run_in + i * nbytes, run_in, target + i * row_out + j * nbytes, row_out)
        edge = whole_run * nbytes
        scattered(
            source + whole_run * run_in, target + edge, whole_rows, nbytes, row_out, run - whole_run, run_in, nbytes
        )
        scattered(
            source + whole_rows * nbytes,
            target + whole_rows * row_out,
            rows - whole_rows,
            nbytes,
            row_out,
            run,
            run_in,
            nbytes,
        )

    @inline
    def plane(source, target, rows, row_in, row_out, run, run_in, run_out):
        if run_in == nbytes and run_out == nbytes:
            for i in range(rows):
                copy_run(target + i * row_out, source + i * row_in, run * nbytes)
        elif row_in == nbytes and run_out == nbytes:
            transposed(source, target, rows, row_out, run, run_in)
        else:
            scattered(source, target, rows, row_in, row_out, run, run_in, run_out)

    @kernel(f"copy_strided_{nbytes}", COPY_STRIDED)
    def copy_strided(record):
        outer_dims = record.rank - 2
        table, outer, begin = record.table, record.outer, record.begin
        source = record.x + (record.x_first + begin * load_i64(table + 8)) * nbytes
        target = record.out + (record.out_first + begin * load_i64(table + 16)) * nbytes
        inner = table + 24 * outer_dims
        rows, row_in, row_out = load_i64(inner), load_i64(inner + 8) * nbytes, load_i64(inner + 16) * nbytes
        run, run_in, run_out = load_i64(inner + 24), load_i64(inner + 32) * nbytes, load_i64(inner + 40) * nbytes
        counters = stack(64)
        planes = 1
        if outer != 0 and outer_dims == 0:
            rows = outer
        for d in range(outer_dims):
            planes *= outer if outer != 0 and d == 0 else load_i64(table + 24 * d)
            store_i64(counters + 8 * d, 0)
        for _ in range(planes):
            plane(source, target, rows, row_in, row_out, run, run_in, run_out)
            source_step, target_step = _advance(table, counters, outer_dims)
            source += source_step * nbytes
            target += target_step * nbytes
        return 0


for _nbytes, _load, _store in (
    (1, load_i8, store_i8),
    (2, load_i16, store_i16),
    (4, load_i32, store_i32),
    (8, load_i64, store_i64),
):
    _make_copy_strided(_nbytes, _load, _store)


@kernel("copy_blocks", COPY_BLOCKS)
def copy_blocks(record):
    """See the top of this file."""
    count, nbytes, in_stride, out_stride = record.count, record.nbytes, record.x_stride, record.out_stride
    source = record.x + record.x_first
    target = record.out + record.out_first
    for i in range(count):
        copy_run(target + i * out_stride, source + i * in_stride, nbytes)
    return 0


@inline
def _index(address, index_type, i):
    if index_type == _INT32:
        return load_i32(address + 4 * i) + 0  # an int64 like the other
    return load_i64(address + 8 * i)


@inline
def _gather(data, index, out, outer, axis, count, nbytes, index_type):
    for o in range(outer):
        base = data + o * axis * nbytes
        for j in range(count):
            at = _index(index, index_type, j)
            if at < 0:
                at += axis
            copy_run(out, base + at * nbytes, nbytes)
            out += nbytes


@kernel("gather_blocks", GATHER_BLOCKS)
def gather_blocks(record):
    """See the top of this file."""
    data, index, out = record.data, record.index, record.out
    outer, axis, count, nbytes = record.outer, record.axis, record.count, record.nbytes
    _gather(data, index, out, outer, axis, count, nbytes, 0)
    return 0


@kernel("gather_blocks_checked", GATHER_BLOCKS)
def gather_blocks_checked(record):
    """See the top of this file."""
    data, index, out = record.data, record.index, record.out
    outer, axis, count, nbytes = record.outer, record.axis, record.count, record.nbytes
    index_type = record.type
    for j in range(count):
        at = _index(index, index_type, j)
        if at < -axis or at >= axis:
            return _OUT_OF_RANGE
    _gather(data, index, out, outer, axis, count, nbytes, index_type)
    return 0


@kernel("fill", FILL)
def fill(record):
    """See the top of this file."""
    target, nbytes, pattern = record.out, record.nbytes, record.pattern
    line = stack(64)
    for i in range(8):
        store_i64(line + 8 * i, pattern)
    done = 0
    while done + 64 <= nbytes:
        copy_bytes(target + done, line, 64)
        done += 64
    copy_run(target + done, line, nbytes - done)
    return 0
