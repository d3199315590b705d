"""Status numbers of the cycle: the same in Python, C and Structured Text. 0 is good; they never change their meaning."""

from enum import IntEnum


class Status(IntEnum):
    """What a kernel, an execution or a cycle ended with."""

    OK = 0
    INDEX_OUT_OF_RANGE = 1
    """An index computed at run time points outside of its tensor; the output is not written."""
    UNKNOWN_KERNEL = 2
    """A record names a kernel that the library does not have: the program was made for another version."""
    DIVISION_BY_ZERO = 3
    """An integer was divided by zero; the quotient is 0."""
    IMPOSSIBLE_BRANCH = 4
    """A condition chose a branch that does not fit the shapes which the model was loaded for."""
    LONGER_THAN_BOUND = 5
    """A length that is only known at run time was larger than its bound; the output is not written."""
    HELPER_LATE = 6
    """A helper core began a piece of a record and did not end it in time. The context rests until the helper has let go of it."""
