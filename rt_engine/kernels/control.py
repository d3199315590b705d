"""Control flow: records that decide which record comes next, and the slice of a tensor that an iteration works on.

    jump       operand  condition                 size  target              go to `target` unless the condition (bool) holds;
                                                                            always, where there is none
    loop       operand  counter, condition        size  target, trips       count; go to `target` if fewer than `trips` are
                                                                            done and the condition (where there is one) holds
    copy_at    operand  in, out, counter          size  count, block bytes, in stride, out stride,
                                                        in first, in step, out first, out step
               block i goes from in + in first + counter * in step + i * in stride, to the like of it

A kernel that wants another record than the next one gives `JUMP` + its index in place of a status (`layout.JUMP`): the
executor looks at that only when a status is not 0, so ordinary records pay nothing. The counter is an int64 in the arena,
set to 0 before the loop, and always between 0 and `trips`; what `copy_at` reaches was checked for all of them when the
model was loaded. Strides, steps and firsts count bytes.
"""

from rt_engine.kernels.parts.abi import has_operand, kernel, operand, size
from rt_engine.kernels.parts.copy import copy_run
from rt_engine.program.records import JUMP
from rt_native.lang import load_i64, load_u8, store_i64

_JUMP = JUMP


@kernel("jump", __name__)
def jump(arena, record):
    """Leave the next records out."""
    if has_operand(record, 0) and load_u8(operand(arena, record, 0)) != 0:
        return 0
    return _JUMP + size(record, 0)


@kernel("loop", __name__)
def loop(arena, record):
    """The end of a loop's body."""
    counter = operand(arena, record, 0)
    done = load_i64(counter) + 1
    store_i64(counter, done)
    if done >= size(record, 1) or (has_operand(record, 1) and load_u8(operand(arena, record, 1)) == 0):
        return 0
    return _JUMP + size(record, 0)


@kernel("copy_at", __name__)
def copy_at(arena, record):
    """Copy the blocks that belong to the counter."""
    counter = load_i64(operand(arena, record, 2))
    source = operand(arena, record, 0) + size(record, 4) + counter * size(record, 5)
    target = operand(arena, record, 1) + size(record, 6) + counter * size(record, 7)
    for i in range(size(record, 0)):
        copy_run(target + i * size(record, 3), source + i * size(record, 2), size(record, 1))
    return 0
