"""Many samples through one context, each timed: the least time of each, with warm caches or with the program's memory out of them.

cold --> count | (address, bytes) of each     int64; these are thrown out of every cache before a sample's inputs are copied

Only lines of the program itself are thrown out: whatever else runs on the machine keeps its own.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rt_engine.run.blocks import MOVE
from rt_native.lang import call1, copy_bytes, export, inline, load_i64, now_ns, stack, store_i64
from rt_native.memory import offsets

_M = offsets(MOVE)
_ARRAY, _TENSOR, _BYTES, _SIZE = _M.array, _M.tensor, _M.bytes, MOVE.itemsize
_LINE = 64


@intrinsic
def _flush_line(typingctx, address):
    """Write a cache line back and out of every cache (x86-64: clflush, AArch64: dc civac)."""

    def generate(context, builder, signature, args):
        pointer = ir.IntType(8).as_pointer()
        if builder.module.triple.startswith("x86_64"):
            kind = ir.FunctionType(ir.VoidType(), [pointer])
            flush = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.clflush")
            builder.call(flush, [builder.inttoptr(args[0], pointer)])
        else:
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)])
            builder.asm(kind, "dc civac, $0", "r", [args[0]], True)
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def _fence(typingctx):
    """Everything before is done before anything behind."""

    def generate(context, builder, signature, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@inline
def _chill(cold):
    for i in range(load_i64(cold)):
        place = cold + 8 + 16 * i
        at = load_i64(place)
        for line in range(at & -_LINE, at + load_i64(place + 8), _LINE):
            _flush_line(line)
    _fence()


@export
def time_samples(execute_address, block, moves, count, times, cold, until_ns):
    """Run the samples, one after the other: throw out, copy in, run. Puts at `times` the least nanoseconds of each so far.

    Gives how many were run: fewer than `count` after `until_ns` (CLOCK_MONOTONIC), or where a run has failed.
    """
    timespec = stack(16)
    inputs = moves + 8
    for sample in range(count):
        if load_i64(cold) != 0:
            _chill(cold)
        for i in range(load_i64(moves)):
            move = inputs + i * _SIZE
            nbytes = load_i64(move + _BYTES)
            copy_bytes(load_i64(move + _TENSOR), load_i64(move + _ARRAY) + sample * nbytes, nbytes)
        start = now_ns(timespec)
        status = call1(execute_address, block)
        end = now_ns(timespec)
        if status != 0:
            return sample
        if end - start < load_i64(times + 8 * sample):
            store_i64(times + 8 * sample, end - start)
        if end > until_ns:
            return sample + 1
    return count
