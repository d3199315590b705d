"""The executor: a loop over records that calls kernels through their addresses. A kernel's status may be a jump."""

from rt_engine.kernels.interface.record import JUMP, RECORD
from rt_engine.run.blocks import BLOCK
from rt_native.lang import (
    call1,
    call2,
    export,
    flush_denormals,
    load_i64,
    load_u32,
    now_ns,
    restore_float_mode,
    stack,
    store_i64,
)
from rt_native.memory import offsets

_B, _R = offsets(BLOCK), offsets(RECORD)
_ARENA, _RECORDS, _COUNT, _TABLE, _STATUS, _NODE, _RUNS = (
    _B.arena,
    _B.records,
    _B.count,
    _B.table,
    _B.status,
    _B.node,
    _B.runs,
)
_JUMP = JUMP
_KERNEL, _RECORD_NODE, _SIZE = _R.kernel, _R.node, RECORD.itemsize


@export
def execute(block):
    """Run the program of a block once; gives its status and notes it in the block. Denormals are zero meanwhile."""
    mode = flush_denormals()
    arena, table = load_i64(block + _ARENA), load_i64(block + _TABLE)
    first = load_i64(block + _RECORDS)
    record, end = first, first + load_i64(block + _COUNT) * _SIZE
    status = 0
    while record != end:
        kernel = load_i64(table + 8 * load_u32(record + _KERNEL))
        status = call2(kernel, arena, record)
        if status != 0:
            if status < _JUMP:
                store_i64(block + _NODE, load_u32(record + _RECORD_NODE))
                break
            record = first + (status - _JUMP) * _SIZE
            status = 0
        else:
            record += _SIZE
    store_i64(block + _STATUS, status)
    store_i64(block + _RUNS, load_i64(block + _RUNS) + 1)
    restore_float_mode(mode)
    return status


@export
def measure(execute_address, block, count, times):
    """Run a block `count` times and store the nanoseconds of each at `times`; gives the last status."""
    timespec = stack(16)
    status = 0
    for i in range(count):
        start = now_ns(timespec)
        status = call1(execute_address, block)
        store_i64(times + 8 * i, now_ns(timespec) - start)
    return status
