"""Versions of a program's records, run in turns; every record is timed in native code, as it is met in a run."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.record import ARENA_HEADER
from rt_engine.measure.run_times import PROFILE, PROFILE_WORD
from rt_engine.run.context import Context
from rt_native.library import Library
from rt_native.memory import Block

TUNING = Library("tuning", ("rt_engine.tune.measure_native",))
FEWEST, MOST = 9, 400


def rounds(
    context: Context,
    versions: Sequence[NDArray[Any]],
    seconds: float,
    step: Callable[[float], None] = lambda share: None,
) -> NDArray[np.float64]:
    """[rounds, versions, records]: nanoseconds of the processor, as many rounds as fit in `seconds`, 9 at least and 400 at most.

    What a run finds in the caches is what the run before it left there.
    `step` is told the share that is done.

    Raises:
        RunError: a kernel ended with a status.
    """
    fields, header = context._fields, context._arena.view(ARENA_HEADER)
    kernels, count = len(context._executable.program.kernels), len(versions[0])
    profile, table, times = Block(PROFILE.itemsize), Block(8 * max(kernels, 1)), np.zeros(count, np.int64)
    own, real = int(fields["records"][0]), int(fields["table"][0])
    profile.view(PROFILE)["table"], profile.view(PROFILE)["times"] = real, times.ctypes.data
    table.view(np.int64, 0, max(kernels, 1))[:] = TUNING.address("tuned_kernel")
    found: list[list[NDArray[np.int64]]] = []
    header["spare"][0, PROFILE_WORD], fields["table"] = profile.address, table.address
    begin = time.monotonic()
    try:
        while len(found) <= FEWEST or (time.monotonic() - begin < seconds and len(found) <= MOST):
            found.append([])
            for records in versions:
                profile.view(PROFILE)["records"] = fields["records"] = records.ctypes.data
                times[:] = 0
                context.run()
                found[-1].append(times.copy())
            step(min(max((time.monotonic() - begin) / seconds, len(found) / MOST), 1.0))
    finally:
        header["spare"][0, PROFILE_WORD], fields["table"], fields["records"] = 0, real, own
    return np.array(found[1:], np.float64)  # the first one met memory that nobody had touched
