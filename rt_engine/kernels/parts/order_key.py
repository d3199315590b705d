"""Elements of any type as int64 keys whose order is that of the elements: NaN above every number, -0 equal to 0."""

from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.parts.int_elements import bytes_of, load_int
from rt_native.lang import inline, load_i32, load_i64

_FLOAT, _DOUBLE, _UINT64 = int(DType.FLOAT), int(DType.DOUBLE), int(DType.UINT64)
_FLOAT16, _BFLOAT16, _INT16 = int(DType.FLOAT16), int(DType.BFLOAT16), int(DType.INT16)
_LOWEST, _HIGHEST = -(1 << 63), (1 << 63) - 1
_INFINITY_32, _INFINITY_64, _INFINITY_16, _INFINITY_B16 = 0x7F800000, 0x7FF0000000000000, 0x7C00, 0x7F80


@inline
def _float_key(bits, rest, infinity):
    """Order of a float's bits; `rest` masks what is not the sign."""
    magnitude = bits & rest
    if magnitude > infinity:
        return _HIGHEST
    return -magnitude if bits < 0 else magnitude


@inline
def element_bytes(code):
    """Bytes of an element of a type."""
    if code in (_FLOAT16, _BFLOAT16):
        return 2
    return 4 if code == _FLOAT else (8 if code == _DOUBLE else bytes_of(code))


@inline
def order_key(address, code):
    """Key of the element at an address."""
    if code == _FLOAT:
        return _float_key(load_i32(address) + 0, 0x7FFFFFFF, _INFINITY_32)
    if code == _DOUBLE:
        return _float_key(load_i64(address), _HIGHEST, _INFINITY_64)
    if code in (_FLOAT16, _BFLOAT16):
        return _float_key(load_int(address, _INT16), 0x7FFF, _INFINITY_16 if code == _FLOAT16 else _INFINITY_B16)
    value = load_int(address, code)
    return value ^ _LOWEST if code == _UINT64 else value + 0
