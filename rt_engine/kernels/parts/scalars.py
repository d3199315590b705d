"""A number of a record, which is a float64, as an element."""

from numba import float32

from rt_native.lang import inline


@inline
def to_f32(x):
    """float64 -> float32."""
    return float32(x)


@inline
def to_f64(x):
    """As it is."""
    return x
