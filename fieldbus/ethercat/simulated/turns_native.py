"""Python and the thread that runs the bus take turns: a lock that is held for microseconds."""

from fieldbus.ethercat.simulated.layout import BUS
from rt_native.atomics import atomic_replace
from rt_native.lang import CLOCK_MONOTONIC, atomic_store, clock_nanosleep, inline, store_i64
from rt_native.memory import offsets

_LOCK = offsets(BUS).lock
_SPINS, _NAP = 2000, 20_000


@inline
def lock(bus, timespec):  # type: ignore[no-untyped-def]
    """Wait for the turn; `timespec`: 16 bytes to work in. Whoever holds it may have lost its processor, so waiting sleeps at last."""
    spins = 0
    while atomic_replace(bus + _LOCK, 0, 1) == 0:
        spins += 1
        if spins > _SPINS:
            store_i64(timespec, 0)
            store_i64(timespec + 8, _NAP)
            clock_nanosleep(CLOCK_MONOTONIC, 0, timespec, 0)


@inline
def unlock(bus):  # type: ignore[no-untyped-def]
    """The other's turn."""
    atomic_store(bus + _LOCK, 0)
