"""What an integer kernel makes of its sums: numbers in records. Read at run time too; imports no Numba."""

from enum import IntEnum


class Mode(IntEnum):
    """See `parts.requantise`."""

    RAW = 0
    QUANTISED = 1
    REAL = 2


RAW, QUANTISED, REAL = int(Mode.RAW), int(Mode.QUANTISED), int(Mode.REAL)


class Scatter(IntEnum):
    """What is done with an element that is there already."""

    NONE = 0
    ADD = 1
    MUL = 2
    MIN = 3
    MAX = 4


class Circular(IntEnum):
    """A function of `kernels.inverse`."""

    TAN = 0
    ASIN = 1
    ACOS = 2
    ATAN = 3
    SINH = 4
    COSH = 5
    ASINH = 6
    ACOSH = 7
    ATANH = 8
