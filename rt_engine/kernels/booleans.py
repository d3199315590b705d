"""Element-wise kernels of bool tensors (one byte, 0 or 1), and where on elements of 1 or 2 bytes.

    not_bool        operand  0: x              3: out
                    size     0: n
    <binary>_bool   operand  0: x   1: y       3: out
                    size     0: rows   1: n   2, 3: strides of x   4, 5: strides of y
    where_<bytes>   operand  0: condition   1: where true   2: where false   3: out
                    size     0: rows   1: n   2, 3: strides of the condition   4, 5 and 6, 7: of the others

Strides are as in `elementwise`. Nothing outside of the tensors is touched; the output may be an input in place.
"""

from typing import Any

from rt_engine.kernels.parts.abi import kernel, operand, size
from rt_native.lang import inline, load_u8, load_u16, store_u8, store_u16

_and = inline(lambda x, y: x & y)
_or = inline(lambda x, y: x | y)
_xor = inline(lambda x, y: x ^ y)
_equal = inline(lambda x, y: x ^ y ^ 1)


@kernel("not_bool", __name__)
def not_bool(arena, record):
    """1 - x."""
    x, out = operand(arena, record, 0), operand(arena, record, 3)
    for i in range(size(record, 0)):
        store_u8(out + i, load_u8(x + i) ^ 1)
    return 0


def _define_binary(name: str, function: Any) -> None:
    @kernel(name, __name__)
    def body(arena, record):
        x_row, y_row, out = operand(arena, record, 0), operand(arena, record, 1), operand(arena, record, 3)
        n, x_step, y_step = size(record, 1), size(record, 3), size(record, 5)
        for _ in range(size(record, 0)):
            for i in range(n):
                store_u8(out + i, function(load_u8(x_row + i * x_step), load_u8(y_row + i * y_step)))
            x_row, y_row, out = x_row + size(record, 2), y_row + size(record, 4), out + n
        return 0


def _define_where(element: int, load: Any, store: Any) -> None:
    @kernel(f"where_{element}", __name__)
    def body(arena, record):
        c_row, x_row, y_row = operand(arena, record, 0), operand(arena, record, 1), operand(arena, record, 2)
        out = operand(arena, record, 3)
        n, c_step = size(record, 1), size(record, 3)
        x_step, y_step = size(record, 5) * element, size(record, 7) * element
        for _ in range(size(record, 0)):
            for i in range(n):
                x, y = load(x_row + i * x_step), load(y_row + i * y_step)
                store(out + i * element, x if load_u8(c_row + i * c_step) != 0 else y)
            c_row += size(record, 2)
            x_row, y_row = x_row + size(record, 4) * element, y_row + size(record, 6) * element
            out += n * element
        return 0


for _name, _function in {"and": _and, "or": _or, "xor": _xor, "equal": _equal}.items():
    _define_binary(f"{_name}_bool", _function)
_define_where(1, load_u8, store_u8)
_define_where(2, load_u16, store_u16)
