"""Conversions by tables that are made when a model is loaded: narrow element types, and functions of one byte.

    lookup_1, lookup_4   operand  in (1 byte), table of 256, out          out[i] = table[in[i]], elements of 1 or 4 bytes
                         size     count
    encode               operand  in (float32), edges, codes, out (1 byte)
                         size     count, levels

`encode` counts the edges that are not above x by bisection, in an order of all float32 as int32 (a negative number's bits are
flipped, so -NaN < -inf < ... < -0 < +0 < ... < inf < NaN): `edges` are 2^levels sorted int32, `codes` one byte more than edges.
Every element takes the same number of steps. Nothing outside of the tensors is touched.
"""

from typing import Any

from rt_engine.kernels.parts.abi import kernel, operand, size
from rt_native.lang import inline, load_i32, load_u8, store_i8, store_i32


def _make_lookup(nbytes: int, copy: Any) -> None:
    @kernel(f"lookup_{nbytes}", __name__)
    def lookup(arena, record):
        source, table, target = operand(arena, record, 0), operand(arena, record, 1), operand(arena, record, 2)
        for i in range(size(record, 0)):
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


@kernel("encode", __name__)
def encode(arena, record):
    """See the top of this file."""
    source, edges = operand(arena, record, 0), operand(arena, record, 1)
    codes, target = operand(arena, record, 2), operand(arena, record, 3)
    half = 1 << (size(record, 1) - 1)
    for i in range(size(record, 0)):
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
