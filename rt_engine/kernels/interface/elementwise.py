"""Records of `kernels.unary`, `kernels.elementwise`, `kernels.booleans` and `kernels.integers`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

MAP = Fields("map", operands="x - - out", sizes="n - - - - - - - type?", params="p? q?")
"""One operand. `p` and `q` are the function's parameters, in their order; `type`, for integers, is a `dtypes.DType`."""

BROADCAST = Fields("broadcast", operands="x y z? out", sizes="rows n x_row x_inner y_row y_inner z_row? z_inner? type?")
"""Two or three operands: x and y; x, scale and shift; a condition (bool), where it is true and where it is false.

The output is contiguous, [rows, n]. `x_row` is 0 where a row is repeated, `x_inner` is 1, or 0 for one value per row.
"""


def flat(count: int) -> dict[str, int]:
    """Sizes for two operands of the output's own shape."""
    return {"rows": 1, "n": count, "x_row": 0, "x_inner": 1, "y_row": 0, "y_inner": 1}
