"""Records of a run, each timed by what the thread used of the processor: a neighbour's turn does not count."""

from rt_engine.kernels.interface.record import ARENA_HEADER, RECORD
from rt_engine.measure.run_times import PROFILE, PROFILE_WORD
from rt_native.lang import call2, clock_gettime, export, inline, load_i64, load_u32, store_i64
from rt_native.memory import offsets

_P, _R = offsets(PROFILE), offsets(RECORD)
_REAL, _FIRST, _TIMES, _TIMESPEC = _P.table, _P.records, _P.times, _P.timespec
_KERNEL, _SIZE = _R.kernel, RECORD.itemsize
_PROFILE = offsets(ARENA_HEADER).spare + 8 * PROFILE_WORD
_CLOCK_THREAD_CPUTIME_ID = 3


@inline
def _used_ns(timespec):
    clock_gettime(_CLOCK_THREAD_CPUTIME_ID, timespec)
    return load_i64(timespec) * 1_000_000_000 + load_i64(timespec + 8)


@export
def tuned_kernel(arena, record):
    """Stands in for every kernel of a program that is tuned: calls the real one, and adds what it used to its record's time."""
    profile = load_i64(arena + _PROFILE)
    timespec = profile + _TIMESPEC
    times = load_i64(profile + _TIMES) + 8 * ((record - load_i64(profile + _FIRST)) // _SIZE)
    kernel = load_i64(load_i64(profile + _REAL) + 8 * load_u32(record + _KERNEL))
    start = _used_ns(timespec)
    status = call2(kernel, arena, record)
    store_i64(times, load_i64(times) + _used_ns(timespec) - start)
    return status
