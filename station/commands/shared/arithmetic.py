"""What commands say of a machine that adds products in another way than most."""

from __future__ import annotations

from collections.abc import Iterator

from rt_native.machine import ARITHMETICS, Target
from rt_native.target import ARITHMETIC, host


def arithmetic_notes(here: Target | None = None) -> Iterator[str]:
    """A line where it is not `fused`, and what the other choice is; by default of the machine that we are on."""
    here = here or host()
    if here.arithmetic == "fused":
        return
    other = "fast" if here.arithmetic == "exact" else "exact"
    yield (
        f"{here.cpu} has no FMA; arithmetic {here.arithmetic}: {ARITHMETICS[here.arithmetic]}; "
        f"{ARITHMETIC}={other}: {ARITHMETICS[other]}"
    )
