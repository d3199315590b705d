"""A change of a model: in which state it is, and why native code found a version bad.

    STAGED -> GATE -> SHADOW -> TRIAL -> COMMITTED       any failure: REJECTED before it was live, ROLLED_BACK after

The numbers are the same in Python, C, ADS, Modbus and Structured Text; they never change their meaning.
"""

from enum import IntEnum


class ChangeState(IntEnum):
    """Where a change is."""

    NONE = 0
    """No change: the version that runs is the one that was committed."""
    STAGED = 1
    """The new version is there, compiled; nothing has looked at it."""
    GATE = 2
    """It is examined, outside of the tasks."""
    SHADOW = 3
    """It computes beside the old one, from the same inputs; the old one is live."""
    TRIAL = 4
    """It is live; the old one goes on as its shadow, and takes over in the tick in which it is found bad."""
    COMMITTED = 5
    """It is live, for good."""
    REJECTED = 6
    """It was never live, and is barred until it is allowed again."""
    ROLLED_BACK = 7
    """It was live, or began to be; the old one is again. Barred until it is allowed again."""


class Verdict(IntEnum):
    """Why a version was found bad, in the tick in which it was."""

    NONE = 0
    """It was not found bad."""
    NOT_FINITE = 1
    """NaN or infinity in one of its outputs, or in its state."""
    OUT_OF_LIMITS = 2
    """An output outside of the limits of its contract."""
    TOO_SLOW = 3
    """Its execution took longer than its budget."""
    FAILED = 4
    """It ended with a status other than 0."""
    MONITOR = 5
    """The task's monitor spoke."""
