"""Element-wise kernels of several float tensors. What they compute is in `parts.functions`.

    <binary>_<type>     interface.elementwise.BROADCAST, of x and y; to float for `BINARY`, to bool for `COMPARE`
    scale_shift_<type>  likewise, of x, scale and shift
    where_<bytes>       likewise, of a condition (bool) and two tensors with elements of 4 or 8 bytes

        n = 20, 16 lanes:   |<----- vector ----->|<-- tail -->|          rows > 1: the tail is masked
                            |<----- vector ----->|<----- vector ----->|  rows == 1: into the padding

With one row the last vector reaches into the padding of the tensors, which every tensor
has up to a multiple of 64 bytes: a bool output into its own padding likewise. With several rows nothing outside of
the tensors is touched. The output may be one of the inputs in place, if that has the output's strides and element
size.

An operand with inner stride 0 is repeated into a vector on the stack, and its pointer then stands still: so one loop
serves all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rt_engine.kernels.interface.elementwise import BROADCAST
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.functions import BINARY, COMPARE, TERNARY
from rt_engine.kernels.parts.masks import (
    load_mask32,
    load_mask64,
    store_first_mask32,
    store_first_mask64,
    store_mask32,
    store_mask64,
)
from rt_native.lang import fill_bytes, inline, load_f32, load_f64, load_i32, load_i64, load_u8, stack
from rt_native.vector import (
    BYTES,
    load_f32x,
    load_f64x,
    load_first_f32x,
    load_first_f64x,
    load_first_i32x,
    load_first_i64x,
    load_i32x,
    load_i64x,
    select,
    splat_f32x,
    splat_f64x,
    splat_i32x,
    splat_i64x,
    store_f32x,
    store_f64x,
    store_first_f32x,
    store_first_f64x,
    store_first_i32x,
    store_first_i64x,
    store_i32x,
    store_i64x,
)


@dataclass(frozen=True)
class Memory:
    """How one kind of element is read or written: as whole vectors, as the first few lanes, as one value repeated."""

    element: int  # bytes
    lanes: int
    load: Any
    load_first: Any
    store: Any
    store_first: Any
    repeat: Any  # (buffer, address of one element): fill a vector in memory with it


def _number(element: int, load: Any, first: Any, store: Any, store_first: Any, scalar: Any, splat: Any) -> Memory:
    @inline
    def repeat(buffer, address):
        store(buffer, splat(scalar(address)))

    return Memory(element, BYTES // element, load, first, store, store_first, repeat)


def _flag(lanes: int, load_mask: Any, store_mask: Any, store_first_mask: Any) -> Memory:
    @inline
    def load(address):
        return load_mask(address, lanes)

    @inline
    def repeat(buffer, address):
        fill_bytes(buffer, load_u8(address), lanes)

    return Memory(1, lanes, load, load_mask, store_mask, store_first_mask, repeat)


F32 = _number(4, load_f32x, load_first_f32x, store_f32x, store_first_f32x, load_f32, splat_f32x)
F64 = _number(8, load_f64x, load_first_f64x, store_f64x, store_first_f64x, load_f64, splat_f64x)
I32 = _number(4, load_i32x, load_first_i32x, store_i32x, store_first_i32x, load_i32, splat_i32x)
I64 = _number(8, load_i64x, load_first_i64x, store_i64x, store_first_i64x, load_i64, splat_i64x)
FLAG32 = _flag(16, load_mask32, store_mask32, store_first_mask32)
FLAG64 = _flag(8, load_mask64, store_mask64, store_first_mask64)


def _walker(memory: Memory) -> tuple[Any, Any]:
    """(start, step) of an operand: `start` gives where a row is read from, `step` the bytes from vector to vector."""
    repeat, advance = memory.repeat, memory.lanes * memory.element

    @inline
    def start(row, inner, buffer):
        if inner == 0:
            repeat(buffer, row)
            return buffer
        return row

    @inline
    def step(inner):
        return 0 if inner == 0 else advance

    return start, step


def _define_binary(name: str, function: Any, source: Memory, to: Memory) -> None:
    load, load_first, store, store_first = source.load, source.load_first, to.store, to.store_first
    lanes, element, to_element = source.lanes, source.element, to.element
    start, step = _walker(source)

    @kernel(name, BROADCAST)
    def body(record):
        x_row, y_row, out = record.x, record.y, record.out
        rows, n = record.rows, record.n
        x_inner, y_inner = record.x_inner, record.y_inner
        x_step, y_step = step(x_inner), step(y_inner)
        buffers = stack(128)
        vectors = (n + lanes - 1) // lanes if rows == 1 else n // lanes
        rest = n - vectors * lanes
        for _ in range(rows):
            x, y, to = start(x_row, x_inner, buffers), start(y_row, y_inner, buffers + BYTES), out
            for _ in range(vectors):
                store(to, function(load(x), load(y)))
                x, y, to = x + x_step, y + y_step, to + lanes * to_element
            if rest > 0:
                store_first(to, function(load_first(x, rest), load_first(y, rest)), rest)
            x_row, y_row = x_row + record.x_row * element, y_row + record.y_row * element
            out += n * to_element
        return 0


def _define_ternary(name: str, function: Any, first: Memory, other: Memory) -> None:
    load_a, load_first_a = first.load, first.load_first
    load, load_first, store, store_first = other.load, other.load_first, other.store, other.store_first
    lanes, element_a, element = other.lanes, first.element, other.element
    (start_a, step_a), (start, step) = _walker(first), _walker(other)

    @kernel(name, BROADCAST)
    def body(record):
        a_row, b_row, c_row, out = record.x, record.y, record.z, record.out
        rows, n = record.rows, record.n
        a_inner, b_inner, c_inner = record.x_inner, record.y_inner, record.z_inner
        a_step, b_step, c_step = step_a(a_inner), step(b_inner), step(c_inner)
        buffers = stack(192)
        vectors = (n + lanes - 1) // lanes if rows == 1 else n // lanes
        rest = n - vectors * lanes
        for _ in range(rows):
            a, b = start_a(a_row, a_inner, buffers), start(b_row, b_inner, buffers + BYTES)
            c, to = start(c_row, c_inner, buffers + 2 * BYTES), out
            for _ in range(vectors):
                store(to, function(load_a(a), load(b), load(c)))
                a, b, c, to = a + a_step, b + b_step, c + c_step, to + BYTES
            if rest > 0:
                store_first(to, function(load_first_a(a, rest), load_first(b, rest), load_first(c, rest)), rest)
            a_row += record.x_row * element_a
            b_row, c_row = b_row + record.y_row * element, c_row + record.z_row * element
            out += n * element
        return 0


def _define_all(suffix: str, memory: Memory, flag: Memory) -> None:
    for name, function in BINARY.items():
        _define_binary(f"{name}_{suffix}", function, memory, memory)
    for name, function in COMPARE.items():
        _define_binary(f"{name}_{suffix}", function, memory, flag)
    for name, function in TERNARY.items():
        _define_ternary(f"{name}_{suffix}", function, memory, memory)


_define_all("f32", F32, FLAG32)
_define_all("f64", F64, FLAG64)
_where: Callable[..., Any] = inline(lambda condition, x, y: select(condition, x, y))
_define_ternary("where_4", _where, FLAG32, I32)
_define_ternary("where_8", _where, FLAG64, I64)
