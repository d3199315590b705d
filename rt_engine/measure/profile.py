"""The time of each record of a program, in native code, without what looking at the clock costs.

The executor runs as always, but every entry of its kernel table is `timed_kernel`, which calls the real one.
"""

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.record import ARENA_HEADER
from rt_engine.measure.native import MEASURING
from rt_engine.measure.peaks import clock_cost_ns
from rt_engine.measure.run_times import PROFILE, PROFILE_WORD
from rt_engine.run.context import Context
from rt_engine.run.cost import about_ns
from rt_native.memory import Block

FEWEST, MOST = 20, 1000


def record_times(context: Context, seconds: float = 0.5) -> NDArray[np.float64]:
    """Nanoseconds of each record in one run of a context's program: medians over as many runs as fit in `seconds`.

    A record is timed as it is met in a run, with what the ones before it left in the caches. One that runs several times in a
    run has the time of all. Records that several cores do together share what that took, as their sizes say.
    """
    fields, header = context._fields, context._arena.view(ARENA_HEADER)
    records, kernels = int(fields["count"][0]), len(context.code()) - 1
    whole = max(float(np.median(context.measure(5))), 100.0)
    runs = int(np.clip(seconds * 1e9 / whole, FEWEST, MOST))
    profile, table = Block(PROFILE.itemsize), Block(8 * max(kernels, 1))
    times, counts = np.zeros((2, max(records, 1)), np.int64)
    real = int(fields["table"][0])
    values = {"table": real, "records": fields["records"][0], "times": times.ctypes.data, "counts": counts.ctypes.data}
    for name, value in values.items():
        profile.view(PROFILE)[name] = value
    table.view(np.int64, 0, max(kernels, 1))[:] = MEASURING.address("timed_kernel")
    each = np.zeros((runs, records))
    header["spare"][0, PROFILE_WORD], fields["table"] = profile.address, table.address
    try:
        for i in range(runs):
            times[:], counts[:] = 0, 0
            context.run()
            each[i] = times[:records]
    finally:
        header["spare"][0, PROFILE_WORD], fields["table"] = 0, real
    found: NDArray[np.float64] = np.maximum(np.median(each, axis=0) - clock_cost_ns() * counts[:records], 0.0)
    _share_out(context, found)
    return found


def _share_out(context: Context, times: NDArray[np.float64]) -> None:
    """Give every record of what is done together its part of the time, in place."""
    program, records = context._executable.program, context._executable.records
    for first, end in context._fanned.spans if context._fanned else ():
        if end > first + 1:
            kernels = (program.kernels[int(kernel)] for kernel in records["kernel"][first:end])
            parts = np.array([about_ns(*of) + 1.0 for of in zip(kernels, records[first:end], strict=True)])
            times[first:end] = times[first:end].sum() * parts / parts.sum()
