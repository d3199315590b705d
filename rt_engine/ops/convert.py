"""Cast, CastLike: https://onnx.ai/onnx/operators/onnx__Cast.html"""

from typing import Any

import numpy as np

from rt_engine.kernels.interface.cast import CAST
from rt_engine.kernels.interface.encode import ENCODE, LOOKUP_BYTES
from rt_engine.ops.base import Elements, Node, operator
from rt_engine.ops.builder import Builder
from rt_engine.ops.moves import reshaped
from rt_engine.program.calls import Buffer
from rt_engine.program.element_types import CODES, INTEGER_LIMITS, KNOWN, LEVELS, NARROW, decoding, encoding, low_bits

F32 = np.dtype(np.float32)


def converted(build: Builder, x: Buffer, dtype: Any, out: Buffer | None = None) -> Buffer:
    """`x` in another type; itself where it has that type, unless `out` is given."""
    dtype = np.dtype(dtype)
    if x.dtype == dtype:
        if out is not None:
            build.alias(out, reshaped(build, x, out.shape))
        return out or x
    if x.dtype in NARROW:
        return converted(build, decoded(build, x), dtype, out)
    if dtype in INTEGER_LIMITS:
        return cut(build, converted(build, converted(build, x, np.int32), np.int8), dtype, out)
    if dtype in NARROW:
        return encoded(build, converted(build, x, F32), dtype, out)
    out = out or build.temporary(dtype, x.shape)
    if x.size:
        build.call("cast", CAST(x=x, out=out, n=x.size, x_type=CODES[x.dtype], out_type=CODES[dtype]))
    return out


def decoded(build: Builder, x: Buffer, out: Buffer | None = None) -> Buffer:
    """A narrow type as float32, which has all its values."""
    out = out or build.temporary(F32, x.shape)
    if x.size:
        build.call("lookup_4", LOOKUP_BYTES(x=x, table=build.constant(decoding(x.dtype)), out=out, n=x.size))
    return out


def encoded(
    build: Builder, x: Buffer, dtype: Any, out: Buffer | None = None, saturate: bool = True, round_mode: str = "up"
) -> Buffer:
    """float32 as a narrow float, rounded to nearest even."""
    dtype = np.dtype(dtype)
    edges, codes = encoding(dtype, saturate, round_mode)
    out = out or build.temporary(dtype, x.shape)
    if x.size:
        record = ENCODE(x=x, edges=build.constant(edges), codes=build.constant(codes), out=out, n=x.size, levels=LEVELS)
        build.call("encode", record)
    return out


def cut(build: Builder, x: Buffer, dtype: Any, out: Buffer | None = None) -> Buffer:
    """The low bits of bytes as a narrow integer."""
    out = out or build.temporary(dtype, x.shape)
    if x.size:
        build.call("lookup_1", LOOKUP_BYTES(x=x, table=build.constant(low_bits(np.dtype(dtype))), out=out, n=x.size))
    return out


@operator("CastLike", since=6, any_type=True)
@operator("Cast", since=6, any_type=True, elements=Elements.ONE)
def cast(node: Node, build: Builder) -> None:
    """To another type: floats are cut toward zero and saturate, NaN becomes 0; a number becomes true unless it is 0.

    Integers of 4 and 2 bits take the low bits, as in two's complement.
    """
    x, y = node.x, node.y
    for buffer in (x, y):
        node.require(buffer.dtype in KNOWN, f"type {buffer.dtype} is not supported", "cast to a number or bool")
    if y.dtype in NARROW and y.dtype not in INTEGER_LIMITS and x.dtype != y.dtype:
        saturate, mode = bool(node.attr("saturate", 1)), str(node.attr("round_mode", "up"))
        encoded(build, converted(build, x, F32), y.dtype, y, saturate, mode)
        return
    converted(build, x, y.dtype, y)
