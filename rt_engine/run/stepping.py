"""A context's program record by record, for who wants to look at what each of them made."""

import ctypes
from collections.abc import Iterator

import numpy as np

from rt_engine.kernels.interface.control import JUMP, LOOP
from rt_engine.kernels.interface.record import JUMP as JUMPED
from rt_engine.kernels.interface.record import RECORD
from rt_engine.run.context import Context

_KERNEL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def run_record(context: Context, index: int) -> int:
    """Run one record, on one core whatever a run has; gives its status. It must not be one that jumps."""
    fields, own = context._fields, context._executable
    here = {"records": own.records.ctypes.data + index * RECORD.itemsize, "count": 1, "table": own.table.address}
    before = {name: int(fields[name][0]) for name in here}
    try:
        for name, value in here.items():
            fields[name] = value
        return int(context._run(context._argument))
    finally:
        for name, value in before.items():
            fields[name] = value


def stepped(context: Context) -> Iterator[tuple[int, int]]:
    """Run the program as `Context.run` does, the same bits; gives (record, status) after each, in the order in which they run.

    It ends behind the last record, or behind one whose status is not 0.
    """
    program = context._executable.program
    jumping = {i for i, name in enumerate(program.kernels) if name in (JUMP.name, LOOP.name)}
    kernels = context._executable.table.view(np.int64, 0, max(len(program.kernels), 1)).tolist()
    of_record, at = program.records["kernel"].tolist(), 0
    while at < len(of_record):
        kernel = of_record[at]
        if kernel in jumping:
            where = program.records.ctypes.data + at * RECORD.itemsize
            status = int(_KERNEL(kernels[kernel])(context._arena.address, where))
        else:
            status = run_record(context, at)
        yield at, status if status < JUMPED else 0
        if 0 < status < JUMPED:
            return
        at = status - JUMPED if status >= JUMPED else at + 1
