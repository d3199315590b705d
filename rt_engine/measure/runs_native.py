"""Runs of a program that are timed in native code: with cold caches, and record by record."""

from rt_engine.layout import BLOCK, RECORD
from rt_native.lang import (
    call1,
    call2,
    export,
    flush_denormals,
    load_i64,
    load_u32,
    now_ns,
    restore_float_mode,
    stack,
    store_i64,
)
from rt_native.memory import offsets

_B, _R = offsets(BLOCK), offsets(RECORD)
_ARENA, _RECORDS, _COUNT, _TABLE = _B.arena, _B.records, _B.count, _B.table
_KERNEL, _SIZE = _R.kernel, RECORD.itemsize
_LINE = 64


@export
def measure_cold(execute_address, block, count, times, buffer, nbytes):
    """Run a block `count` times, each after every cache line of `buffer` was written; nanoseconds at `times`."""
    timespec = stack(16)
    status = 0
    for i in range(count):
        for at in range(buffer, buffer + nbytes, _LINE):
            store_i64(at, load_i64(at) + 1)
        start = now_ns(timespec)
        status = call1(execute_address, block)
        store_i64(times + 8 * i, now_ns(timespec) - start)
    return status


@export
def profile(block, count, times):
    """Run a block `count` times; `times[run, record]` is when the record ended, `times[run, 0]` when the run began.

    The loop over records is the executor's own, with a look at the clock after each.
    """
    timespec = stack(16)
    mode = flush_denormals()
    arena, table = load_i64(block + _ARENA), load_i64(block + _TABLE)
    first = load_i64(block + _RECORDS)
    end = first + load_i64(block + _COUNT) * _SIZE
    status = 0
    for _ in range(count):
        record = first
        now_ns(timespec)
        store_i64(times, now_ns(timespec))
        times += 8
        while record != end:
            status = call2(load_i64(table + 8 * load_u32(record + _KERNEL)), arena, record)
            store_i64(times, now_ns(timespec))
            times += 8
            record += _SIZE
    restore_float_mode(mode)
    return status


@export
def clock_cost(count, times):
    """`count` looks at the clock in a row; nanoseconds between each and the one before at `times`."""
    timespec = stack(16)
    before = now_ns(timespec)
    for i in range(count):
        now = now_ns(timespec)
        store_i64(times + 8 * i, now - before)
        before = now
    return 0


@export
def run_until(block, record_count, execute_address):
    """Run only the first `record_count` records of a block; gives the status."""
    kept = load_i64(block + _COUNT)
    store_i64(block + _COUNT, record_count)
    status = call1(execute_address, block)
    store_i64(block + _COUNT, kept)
    return status
