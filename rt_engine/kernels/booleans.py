"""Element-wise kernels of bool tensors (one byte, 0 or 1), and where on elements of 1 or 2 bytes.

Their records are `interface.elementwise.MAP` (not) and `BROADCAST` (the others). Nothing outside of the tensors is touched; the
output may be an input in place.
"""

from typing import Any

from rt_engine.kernels.interface.elementwise import BROADCAST, MAP
from rt_engine.kernels.parts.abi import kernel
from rt_native.lang import inline, load_u8, load_u16, store_u8, store_u16

_and = inline(lambda x, y: x & y)
_or = inline(lambda x, y: x | y)
_xor = inline(lambda x, y: x ^ y)
_equal = inline(lambda x, y: x ^ y ^ 1)


@kernel("not_bool", MAP)
def not_bool(record):
    """1 - x."""
    x, out = record.x, record.out
    for i in range(record.n):
        store_u8(out + i, load_u8(x + i) ^ 1)
    return 0


def _define_binary(name: str, function: Any) -> None:
    @kernel(name, BROADCAST)
    def body(record):
        x_row, y_row, out = record.x, record.y, record.out
        n, x_step, y_step = record.n, record.x_inner, record.y_inner
        for _ in range(record.rows):
            for i in range(n):
                store_u8(out + i, function(load_u8(x_row + i * x_step), load_u8(y_row + i * y_step)))
            x_row, y_row, out = x_row + record.x_row, y_row + record.y_row, out + n
        return 0


def _define_where(element: int, load: Any, store: Any) -> None:
    @kernel(f"where_{element}", BROADCAST)
    def body(record):
        c_row, x_row, y_row, out = record.x, record.y, record.z, record.out
        n, c_step = record.n, record.x_inner
        x_step, y_step = record.y_inner * element, record.z_inner * element
        for _ in range(record.rows):
            for i in range(n):
                x, y = load(x_row + i * x_step), load(y_row + i * y_step)
                store(out + i * element, x if load_u8(c_row + i * c_step) != 0 else y)
            c_row += record.x_row
            x_row, y_row = x_row + record.y_row * element, y_row + record.z_row * element
            out += n * element
        return 0


for _name, _function in {"and": _and, "or": _or, "xor": _xor, "equal": _equal}.items():
    _define_binary(f"{_name}_bool", _function)
_define_where(1, load_u8, store_u8)
_define_where(2, load_u16, store_u16)
