"""Records of `kernels.qadd`. Imports no Numba."""

from rt_engine.kernels.interface.fields import Fields

QADD = Fields(
    "qadd",
    operands="a b out",
    sizes="n a_zero b_zero out_zero plain?",
    params="a_scale b_scale out_scale low high inverse",
)
"""`inverse` is 1 / out_scale, rounded to float32; the limits are less the zero point. `plain`: a product with `inverse` gives
what the quotient gives, whatever the bytes are."""
