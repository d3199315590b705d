"""What an integer kernel makes of its sums: numbers in records. Read at run time too; imports no Numba."""

from enum import IntEnum


class Mode(IntEnum):
    """See `kernels.requantise`."""

    RAW = 0
    QUANTISED = 1
    REAL = 2


RAW, QUANTISED, REAL = int(Mode.RAW), int(Mode.QUANTISED), int(Mode.REAL)
