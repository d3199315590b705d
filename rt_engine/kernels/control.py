"""Control flow: records that decide which record comes next, and the slice of a tensor that an iteration works on.

    jump, loop, trap, copy_at       their records, and what they do, are in `interface.control`

A kernel that wants another record than the next one gives `JUMP` + its index in place of a status (`interface.record.JUMP`): the
executor looks at that only when a status is not 0, so ordinary records pay nothing. The counter is an int64 in the arena,
set to 0 before the loop, and always between 0 and `trips`; what `copy_at` reaches was checked for all of them when the
model was loaded.
"""

from rt_engine.kernels.interface.control import COPY_AT, JUMP, LOOP, TRAP
from rt_engine.kernels.interface.record import JUMP as _JUMP
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.copy import copy_run
from rt_engine.status import Status
from rt_native.lang import load_i64, load_u8, store_i64

_IMPOSSIBLE_BRANCH = int(Status.IMPOSSIBLE_BRANCH)


@kernel("jump", JUMP)
def jump(record):
    """Leave the next records out."""
    if record.has_condition and load_u8(record.condition) != 0:
        return 0
    return _JUMP + record.target


@kernel("loop", LOOP)
def loop(record):
    """The end of a loop's body."""
    counter = record.counter
    done = load_i64(counter) + 1
    store_i64(counter, done)
    if done >= record.trips or (record.has_condition and load_u8(record.condition) == 0):
        return 0
    return _JUMP + record.target


@kernel("trap", TRAP)
def trap(record):
    """The run ends here."""
    return _IMPOSSIBLE_BRANCH


@kernel("copy_at", COPY_AT)
def copy_at(record):
    """Copy the blocks that belong to the counter."""
    counter = load_i64(record.counter)
    source = record.x + record.x_first + counter * record.x_step
    target = record.out + record.out_first + counter * record.out_step
    for i in range(record.blocks):
        copy_run(target + i * record.out_stride, source + i * record.x_stride, record.block)
    return 0
