"""Dictionaries with numbers as keys, in a number of steps that depends on their size alone.

    lookup   the record is `interface.lookup.LOOKUP`

x and keys are eight bytes each, int64 or (floats = 1) float64, compared as the integers that their bits are; -0 is 0, and
every NaN is one. `keys` is ascending in that sense. `values` has one element more than `keys`: what is not among the keys
gets the last, or if strict the status INDEX_OUT_OF_RANGE.
"""

from rt_engine.kernels.interface.lookup import LOOKUP
from rt_engine.kernels.parts.abi import kernel
from rt_engine.status import Status
from rt_native.lang import copy_bytes, inline, load_f64, load_i64

_OUT_OF_RANGE = int(Status.INDEX_OUT_OF_RANGE)
NAN_BITS = 0x7FF8000000000000


@inline
def _bits(x, floats):
    b = load_i64(x)
    if floats:
        value = load_f64(x)
        b = 0 if b == -(1 << 63) else b
        b = b if value == value else NAN_BITS
    return b


@inline
def _place(keys, count, wanted):
    """The number of keys below `wanted`."""
    low, left = 0, count
    while left > 0:
        half = (left + 1) // 2
        low = low + half if load_i64(keys + 8 * (low + half - 1)) < wanted else low
        left -= half
    return low


@kernel("lookup", LOOKUP)
def lookup(record):
    """See the top of this file."""
    x, keys, values, out = record.x, record.keys, record.values, record.out
    count, nbytes, floats, strict = record.keys_count, record.value_bytes, record.floats, record.strict
    for _ in range(record.n):
        wanted = _bits(x, floats)
        at = _place(keys, count, wanted)
        found = load_i64(keys + 8 * min(at, count - 1)) == wanted
        at = at if found else count
        if strict and not found:
            return _OUT_OF_RANGE
        if nbytes == 8:
            copy_bytes(out, values + 8 * at, 8)
        elif nbytes == 4:
            copy_bytes(out, values + 4 * at, 4)
        else:
            copy_bytes(out, values + nbytes * at, nbytes)
        x += 8
        out += nbytes
    return 0
