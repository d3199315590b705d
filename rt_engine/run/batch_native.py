"""Many samples through one context, without Python between them.

moves --> inputs | (array, tensor, bytes) of each | outputs | (array, tensor, bytes) of each     int64; bytes are those of a sample
"""

from rt_engine.run.blocks import MOVE
from rt_native.lang import call1, copy_bytes, export, load_i64
from rt_native.memory import offsets

_M = offsets(MOVE)
_ARRAY, _TENSOR, _BYTES, _SIZE = _M.array, _M.tensor, _M.bytes, MOVE.itemsize


@export
def run_samples(execute_address, block, moves, first, end):
    """Run the samples from `first` until `end`: copy in, run, copy out. Gives the one whose run failed, or `end`."""
    inputs = moves + 8
    outputs = inputs + load_i64(moves) * _SIZE
    for sample in range(first, end):
        for i in range(load_i64(moves)):
            move = inputs + i * _SIZE
            nbytes = load_i64(move + _BYTES)
            copy_bytes(load_i64(move + _TENSOR), load_i64(move + _ARRAY) + sample * nbytes, nbytes)
        if call1(execute_address, block) != 0:
            return sample
        for i in range(load_i64(outputs)):
            move = outputs + 8 + i * _SIZE
            nbytes = load_i64(move + _BYTES)
            copy_bytes(load_i64(move + _ARRAY) + sample * nbytes, load_i64(move + _TENSOR), nbytes)
    return end
