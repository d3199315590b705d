"""Conversion of element types.

    cast             every type to every other; its record is `interface.cast.CAST`

    float -> float   rounded once, to nearest even; too large becomes inf
    float -> int     toward zero; saturated where it does not fit, NaN gives 0 (ONNX leaves both open)
    int -> int       the low bits, as in two's complement
    int -> float     rounded once, to nearest even (to float16 and bfloat16 by way of float64)
    bool             0 and 1; to bool: is it not zero? NaN is not zero

Input and output may be the same tensor when their elements have the same size. Nothing outside of them is touched.
"""

from rt_engine.kernels.interface.cast import CAST
from rt_engine.kernels.interface.dtypes import DType
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.convert import COUNT, convert
from rt_native.lang import copy_bytes, stack

_BYTES = tuple(DType(i).nbytes if i in set(DType) else 0 for i in range(max(DType) + 1))


@kernel("cast", CAST)
def cast(record):
    """See the top of this file."""
    source, target = record.x, record.out
    count, source_kind, target_kind = record.n, record.x_type, record.out_type
    rounds, rest = count // COUNT, count % COUNT
    last_source = source + rounds * COUNT * _BYTES[source_kind]
    last_target = target + rounds * COUNT * _BYTES[target_kind]
    space = stack(256)
    for part in range(2):
        if part == 1:  # the rest, by way of the stack, where there is room for a whole round
            copy_bytes(space, last_source, rest * _BYTES[source_kind])
            source, target, rounds = space, space + 128, min(rest, 1)
        convert(source_kind, target_kind, source, target, rounds)
    copy_bytes(last_target, space + 128, rest * _BYTES[target_kind])
    return 0
