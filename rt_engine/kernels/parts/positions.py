"""Positions that are computed at run time, as whole numbers that fit an integer."""

from rt_native.lang import inline

_FAR = 1.0e9


@inline
def whole_below(x):
    """The largest whole number that is not above x, which is not larger than 2**62."""
    i = int(x)
    if x < i:
        i -= 1
    return i


@inline
def bounded(x):
    """x as a finite number that fits an integer; NaN is far outside."""
    if x > _FAR:
        return _FAR
    if x >= -_FAR:
        return x
    return -_FAR
