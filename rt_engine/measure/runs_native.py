"""Runs of a program that are timed in native code: with cold caches, and record by record."""

from rt_engine.kernels.interface.record import ARENA_HEADER, RECORD
from rt_engine.measure.run_times import PROFILE, PROFILE_WORD
from rt_native.lang import call1, call2, export, load_i64, load_u32, now_ns, stack, store_i64
from rt_native.memory import offsets

_P, _R = offsets(PROFILE), offsets(RECORD)
_REAL, _FIRST, _TIMES, _COUNTS, _TIMESPEC = _P.table, _P.records, _P.times, _P.counts, _P.timespec
_KERNEL, _SIZE = _R.kernel, RECORD.itemsize
_PROFILE = offsets(ARENA_HEADER).spare + 8 * PROFILE_WORD
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
def timed_kernel(arena, record):
    """Stands in for every kernel of a program that is profiled: calls the real one, and notes how long it took."""
    profile = load_i64(arena + _PROFILE)
    timespec = profile + _TIMESPEC
    at = 8 * ((record - load_i64(profile + _FIRST)) // _SIZE)
    times, counts = load_i64(profile + _TIMES) + at, load_i64(profile + _COUNTS) + at
    kernel = load_i64(load_i64(profile + _REAL) + 8 * load_u32(record + _KERNEL))
    start = now_ns(timespec)
    status = call2(kernel, arena, record)
    store_i64(times, load_i64(times) + now_ns(timespec) - start)
    store_i64(counts, load_i64(counts) + 1)
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
