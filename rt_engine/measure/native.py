"""The native library of measurements, apart from the kernels: only who measures compiles it."""

from rt_native.library import Library
from rt_native.machine import Target

MODULES = ("rt_engine.measure.peaks_native", "rt_engine.measure.runs_native")


def library(target: Target | None = None) -> Library:
    """Measurements for a target; the machine's own is `MEASURING`."""
    return Library("measuring", MODULES, target)


MEASURING = library()
