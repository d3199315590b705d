"""A quotient of float32, rounded to nearest, whose divisor is the same for many.

With FMA it is a product with the rounded reciprocal and two corrections (P. W. Markstein, Computation of elementary functions on
the IBM RISC System/6000 processor, 1990). Where the arithmetic is `fast` nothing is fused, and a division is right and cheaper.
"""

from rt_native.lang import inline
from rt_native.multiply_add import ARITHMETIC
from rt_native.vector import fma


def _corrected(x, divisor, inverse):
    value = x * inverse
    value = fma(fma(-value, divisor, x), inverse, value)
    return fma(fma(-value, divisor, x), inverse, value)


quotient = inline((lambda x, divisor, inverse: x / divisor) if ARITHMETIC == "fast" else _corrected)
"""x / divisor, where the result and `inverse`, 1 / divisor, are neither denormal nor infinite."""
