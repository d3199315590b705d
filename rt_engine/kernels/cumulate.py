"""Sums and products so far, along an axis.

    cumulate    the record is `interface.cumulate.CUMULATE`; out may be x

Sums are made one by one, in the order of the axis (from its end with `reverse`), in the type of x; integers wrap around.
With `exclusive` an element does not count itself.
"""

from numba import float32

from rt_engine.kernels.interface.cumulate import CUMULATE
from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.int_elements import bytes_of, load_int, store_int
from rt_native.lang import inline, load_f32, load_f64, store_f32, store_f64

_FLOAT, _DOUBLE = int(DType.FLOAT), int(DType.DOUBLE)


@inline
def _float32_line(x, out, count, step, product, exclusive):
    total = float32(1.0) if product else float32(0.0)
    for _ in range(count):
        value = load_f32(x)
        following = total * value if product else total + value
        store_f32(out, total if exclusive else following)
        total = following
        x, out = x + step, out + step


@inline
def _float64_line(x, out, count, step, product, exclusive):
    total = 1.0 if product else 0.0
    for _ in range(count):
        value = load_f64(x)
        following = total * value if product else total + value
        store_f64(out, total if exclusive else following)
        total = following
        x, out = x + step, out + step


@inline
def _integer_line(x, out, count, step, product, exclusive, code):
    total = 1 if product else 0
    for _ in range(count):
        value = load_int(x, code)
        following = total * value if product else total + value
        store_int(out, total if exclusive else following, code)
        total = following
        x, out = x + step, out + step


@kernel("cumulate", CUMULATE)
def cumulate(record):
    """See the top of this file."""
    outer, n, inner, code = record.outer, record.n, record.inner, record.type
    product, exclusive, reverse = record.product, record.exclusive, record.reverse
    element = 4 if code == _FLOAT else (8 if code == _DOUBLE else bytes_of(code))
    row = inner * element
    first, step = (n - 1) * row if reverse else 0, -row if reverse else row
    for o in range(outer):
        for i in range(inner):
            at = o * n * row + i * element + first
            x, out = record.x + at, record.out + at
            if code == _FLOAT:
                _float32_line(x, out, n, step, product, exclusive)
            elif code == _DOUBLE:
                _float64_line(x, out, n, step, product, exclusive)
            else:
                _integer_line(x, out, n, step, product, exclusive, code)
    return 0
