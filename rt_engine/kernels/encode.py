"""Conversions by tables that are made when a model is loaded: narrow element types, and functions of one byte.

    lookup_1, lookup_4   to elements of 1 or 4 bytes; the record is `interface.encode.LOOKUP_BYTES`
    encode               the record is `interface.encode.ENCODE`

`encode` counts the edges that are not above x by bisection, in an order of all float32 as int32 (a negative number's bits are
flipped, so -NaN < -inf < ... < -0 < +0 < ... < inf < NaN).
Every element takes the same number of steps. Nothing outside of the tensors is touched.
"""

from typing import Any

from rt_engine.kernels.interface.encode import ENCODE, LOOKUP_BYTES
from rt_engine.kernels.parts.abi import kernel
from rt_native.lang import inline, load_i32, load_u8, store_i8, store_i32


def _make_lookup(nbytes: int, copy: Any) -> None:
    @kernel(f"lookup_{nbytes}", LOOKUP_BYTES)
    def lookup(record):
        source, table, target = record.x, record.table, record.out
        for i in range(record.n):
            copy(target + nbytes * i, table + nbytes * load_u8(source + i))
        return 0


@inline
def _copy_1(to, source):
    store_i8(to, load_u8(source))


@inline
def _copy_4(to, source):
    store_i32(to, load_i32(source))


_make_lookup(1, _copy_1)
_make_lookup(4, _copy_4)


@kernel("encode", ENCODE)
def encode(record):
    """See the top of this file."""
    source, edges, codes, target = record.x, record.edges, record.codes, record.out
    half = 1 << (record.levels - 1)
    for i in range(record.n):
        key = load_i32(source + 4 * i) + 0
        if key < 0:
            key ^= 0x7FFFFFFF
        at, step = 0, half
        while step > 0:
            at += step if load_i32(edges + 4 * (at + step - 1)) <= key else 0
            step >>= 1
        at += 1 if load_i32(edges + 4 * at) <= key else 0
        store_i8(target + i, load_u8(codes + at))
    return 0
