"""Element-wise kernels of integer tensors, all widths, signed and unsigned: scalar code, simple before fast.

    <unary>_int     interface.elementwise.MAP
    <binary>_int    interface.elementwise.BROADCAST; to x's type for `BINARY`, to bool for `COMPARE`

Nothing outside of the tensors is touched; the output may be an input in place.

Everything is computed in 64 bits and cut to the type: results wrap around, as in NumPy.

    div             toward zero (ONNX, C)
    fmod, mod       with the sign of x (C), of y (Python)
    pow             y < 0 gives the integer part of the real power: 1, -1 or 0
    shift_left/right    by 64 or more, or less than 0, moves every bit out; the sign of signed types moves in from the left

A division by zero gives 0, the other elements are computed, and the kernel's status is DIVISION_BY_ZERO.
"""

from collections.abc import Callable
from typing import Any

from numba.core import types
from numba.extending import intrinsic

from rt_engine.kernels.interface.dtypes import INTEGERS, DType
from rt_engine.kernels.interface.elementwise import BROADCAST, MAP
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.int_elements import bytes_of, load_int, store_int
from rt_engine.status import Status
from rt_native.lang import inline, store_u8

_U64, _UNSIGNED = int(DType.UINT64), tuple(int(t) for t in INTEGERS if t.kind == "u")
_DIVISION_BY_ZERO = int(Status.DIVISION_BY_ZERO)
_LOWEST = -(1 << 63)


def _unsigned(operation: str) -> Any:
    """Division of 64-bit words taken as unsigned; the divisor is not zero."""

    @intrinsic
    def divide(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, operation)(*args)

        return types.int64(types.int64, types.int64), codegen

    return divide


_quotient, _remainder = _unsigned("udiv"), _unsigned("urem")


@intrinsic
def _shift_right(typingctx: Any, a: Any, count: Any) -> Any:
    """A 64-bit word, zeros moved in from the left; `count` is 0 to 63."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.lshr(*args)

    return types.int64(types.int64, types.int64), codegen


# --- operations: functions of (x, y, code); a divisor is never zero here ----------------------------------------------

BINARY: dict[str, Any] = {}
COMPARE: dict[str, Any] = {}
UNARY: dict[str, Any] = {}


def _into(table: dict[str, Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        table[function.__name__] = compiled = inline(function)
        return compiled

    return register


_binary, _compare, _unary = (_into(table) for table in (BINARY, COMPARE, UNARY))


@inline
def _order(x, code):
    """A number that compares, as signed, like x: only uint64 does not fit in 64 signed bits."""
    return x ^ _LOWEST if code == _U64 else x


@inline
def _magnitude(x, code):
    """|x|, to be taken as unsigned."""
    return -x if x < 0 and code != _U64 else x


@_binary
def add(x, y, code):
    """x + y."""
    return x + y


@_binary
def sub(x, y, code):
    """x - y."""
    return x - y


@_binary
def mul(x, y, code):
    """x * y."""
    return x * y


@_binary
def div(x, y, code):
    """x / y, toward zero."""
    quotient = _quotient(_magnitude(x, code), _magnitude(y, code))
    return -quotient if (x ^ y) < 0 and code != _U64 else quotient


@_binary
def fmod(x, y, code):
    """x modulo y, with the sign of x."""
    remainder = _remainder(_magnitude(x, code), _magnitude(y, code))
    return -remainder if x < 0 and code != _U64 else remainder


@_binary
def mod(x, y, code):
    """x modulo y, with the sign of y."""
    remainder = fmod(x, y, code)
    return remainder + y if remainder != 0 and (x ^ y) < 0 and code != _U64 else remainder


@_binary
def pow(x, y, code):
    """x**y; always 64 squarings."""
    negative = y < 0 and code != _U64
    power, square = 1, x
    for bit in range(64):
        power = power * square if (y >> bit) & 1 else power
        square = square * square
    odd = -1 if y & 1 else 1
    fraction = 1 if x == 1 else (odd if x == -1 else 0)
    return fraction if negative else power


@_binary
def min(x, y, code):
    """The smaller."""
    return x if _order(x, code) < _order(y, code) else y


@_binary
def max(x, y, code):
    """The larger."""
    return x if _order(x, code) > _order(y, code) else y


@_binary
def bit_and(x, y, code):
    """Bits that both have."""
    return x & y


@_binary
def bit_or(x, y, code):
    """Bits that one has."""
    return x | y


@_binary
def bit_xor(x, y, code):
    """Bits that only one has."""
    return x ^ y


@_binary
def shift_left(x, y, code):
    """x, moved y bits to the left."""
    return x << (y & 63) if (y & ~63) == 0 else 0


@_binary
def shift_right(x, y, code):
    """x, moved y bits to the right; the sign of signed types moves in."""
    within = (y & ~63) == 0
    if code in _UNSIGNED:
        return _shift_right(x, y & 63) if within else 0
    return x >> (y & 63 if within else 63)


@_compare
def equal(x, y, code):
    """x == y."""
    return x == y


@_compare
def less(x, y, code):
    """x < y."""
    return _order(x, code) < _order(y, code)


@_compare
def less_or_equal(x, y, code):
    """x <= y."""
    return _order(x, code) <= _order(y, code)


@_compare
def greater(x, y, code):
    """x > y."""
    return _order(x, code) > _order(y, code)


@_compare
def greater_or_equal(x, y, code):
    """x >= y."""
    return _order(x, code) >= _order(y, code)


@_unary
def neg(x, code):
    """-x."""
    return -x


@_unary
def abs(x, code):
    """|x|; the lowest number stays."""
    return _magnitude(x, code)


@_unary
def sign(x, code):
    """-1, 0 or 1."""
    nonzero = 1 if x != 0 else 0
    return -1 if x < 0 and code != _U64 else nonzero


@_unary
def bit_not(x, code):
    """Every bit turned."""
    return ~x


# --- kernels ----------------------------------------------------------------------------------------------------------


def _define_unary(name: str, function: Any) -> None:
    @kernel(name, MAP)
    def body(record):
        x, out, code = record.x, record.out, record.type
        element = bytes_of(code)
        for i in range(0, record.n * element, element):
            store_int(out + i, function(load_int(x + i, code), code), code)
        return 0


def _define_binary(name: str, function: Any, divides: bool, flag: bool) -> None:
    @kernel(name, BROADCAST)
    def body(record):
        x_row, y_row, out, code = record.x, record.y, record.out, record.type
        element = bytes_of(code)
        x_step, y_step = record.x_inner * element, record.y_inner * element
        status = 0
        for _ in range(record.rows):
            x, y = x_row, y_row
            for _ in range(record.n):
                a, b = load_int(x, code), load_int(y, code)
                zero = divides and b == 0
                status = _DIVISION_BY_ZERO if zero else status
                value = function(a, 1 if zero else b, code)
                if flag:
                    store_u8(out, value)
                    out += 1
                else:
                    store_int(out, 0 if zero else value, code)
                    out += element
                x, y = x + x_step, y + y_step
            x_row, y_row = x_row + record.x_row * element, y_row + record.y_row * element
        return status


for _name, _function in BINARY.items():
    _define_binary(f"{_name}_int", _function, _name in ("div", "fmod", "mod"), flag=False)
for _name, _function in COMPARE.items():
    _define_binary(f"{_name}_int", _function, False, flag=True)
for _name, _function in UNARY.items():
    _define_unary(f"{_name}_int", _function)
