"""Cast, CastLike: https://onnx.ai/onnx/operators/onnx__Cast.html"""

from typing import Any

import numpy as np

from rt_engine.kernels.dtypes import CODE
from rt_engine.lower import Buffer, Builder
from rt_engine.ops.base import Node, operator
from rt_engine.ops.moves import reshaped


def converted(build: Builder, x: Buffer, dtype: Any, out: Buffer | None = None) -> Buffer:
    """`x` in another type; itself where it has that type, unless `out` is given."""
    dtype = np.dtype(dtype)
    if x.dtype == dtype:
        if out is not None:
            build.alias(out, reshaped(build, x, out.shape))
        return out or x
    out = out or build.temporary(dtype, x.shape)
    if x.size:
        build.call("cast", (x, out), (x.size, CODE[x.dtype], CODE[dtype]))
    return out


@operator("Cast", "CastLike", since=6)
def cast(node: Node, build: Builder) -> None:
    """To another type: floats are cut toward zero and saturate, NaN becomes 0; a number becomes true unless it is 0."""
    for buffer in (node.x, node.y):
        node.require(buffer.dtype in CODE, f"type {buffer.dtype} is not supported", "cast to a number or bool")
    converted(build, node.x, node.y.dtype, node.y)
