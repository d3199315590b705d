"""Loops that do one thing as fast as the machine can: fused multiply-adds, dependent additions, reading memory."""

from numba import float32
from numba.extending import intrinsic

from rt_native.dot import FEATURES
from rt_native.lang import export, inline, load_f32, load_i64, store_i64
from rt_native.vector import PARTS, call_llvm, fma, i32x, join, load_i32x, splat_f32x, split, store_f32x, store_i32x

CHAIN = 64
"""Dependent operations per step of `add_chain`."""
CHAINS = 12 if PARTS == 1 else 6
"""Accumulators of the peak loops: enough to hide the latency, few enough to stay in registers."""
LINE = 64


@inline
def _eight(x, a, b):
    x = ((x + a) ^ b) + a
    x = ((x ^ b) + a) ^ b
    return (x + a) ^ b


@export
def add_chain(steps, a, b):
    """`steps` times CHAIN additions and exclusive ors in turn, each waiting for the one before: one cycle each."""
    x = a
    for _ in range(steps):
        x = _eight(_eight(_eight(_eight(x, a, b), a, b), a, b), a, b)
        x = _eight(_eight(_eight(_eight(x, a, b), a, b), a, b), a, b)
    return x


@export
def fma_f32(steps, out):
    """`steps` times CHAINS independent fused multiply-adds of 16 float32."""
    a, b = splat_f32x(float32(0.999)), splat_f32x(load_f32(out))
    x0, x1, x2, x3, x4, x5 = b, b + a, b - a, a, a + a, a - b
    if PARTS > 1:
        for _ in range(steps):
            x0, x1, x2 = fma(x0, a, b), fma(x1, a, b), fma(x2, a, b)
            x3, x4, x5 = fma(x3, a, b), fma(x4, a, b), fma(x5, a, b)
        store_f32x(out, x0 + x1 + x2 + x3 + x4 + x5)
        return 0
    y0, y1, y2, y3, y4, y5 = x5 + a, x4 - a, x3 + b, x2 - b, x1 + b, x0 - b
    for _ in range(steps):
        x0, x1, x2 = fma(x0, a, b), fma(x1, a, b), fma(x2, a, b)
        x3, x4, x5 = fma(x3, a, b), fma(x4, a, b), fma(x5, a, b)
        y0, y1, y2 = fma(y0, a, b), fma(y1, a, b), fma(y2, a, b)
        y3, y4, y5 = fma(y3, a, b), fma(y4, a, b), fma(y5, a, b)
    store_f32x(out, x0 + x1 + x2 + x3 + x4 + x5 + y0 + y1 + y2 + y3 + y4 + y5)
    return 0


@export
def read_lines(address, nbytes, times, out):
    """Read `nbytes` (a multiple of 512), `times` times."""
    a = b = c = d = load_i32x(out)
    for _ in range(times):
        at, end = address, address + nbytes
        while at != end:
            a, b = a ^ load_i32x(at), b ^ load_i32x(at + 64)
            c, d = c ^ load_i32x(at + 128), d ^ load_i32x(at + 192)
            a, b = a ^ load_i32x(at + 256), b ^ load_i32x(at + 320)
            c, d = c ^ load_i32x(at + 384), d ^ load_i32x(at + 448)
            at += 512
        store_i32x(out, a ^ b ^ c ^ d)
    return 0


@export
def sweep(address, nbytes):
    """Write one word of every cache line of a buffer, so that the caches hold nothing else."""
    for at in range(address, address + nbytes, LINE):
        store_i64(at, load_i64(at) + 1)
    return 0


@intrinsic
def _dot_int8(typingctx, sums, a, b):
    """VNNI: each int32 of `sums` plus four products of bytes."""

    def codegen(context, builder, signature, args):
        parts = zip(*(split(builder, v) for v in args), strict=True)
        name = f"llvm.x86.avx512.vpdpbusd.{512 // PARTS}"
        return join(builder, i32x, [call_llvm(builder, name, p[0].type, list(p)) for p in parts])

    return i32x(i32x, i32x, i32x), codegen


def _int8_peak(steps, out):
    """`steps` times CHAINS dot products of 64 bytes."""
    a = load_i32x(out)
    x0, x1, x2, x3, x4, x5 = a, a ^ a, a + a, a - a, a, a
    y0, y1, y2, y3, y4, y5 = a + a, a, a ^ a, a, a + a, a
    for _ in range(steps):
        x0, x1, x2 = _dot_int8(x0, a, a), _dot_int8(x1, a, a), _dot_int8(x2, a, a)
        x3, x4, x5 = _dot_int8(x3, a, a), _dot_int8(x4, a, a), _dot_int8(x5, a, a)
        y0, y1, y2 = _dot_int8(y0, a, a), _dot_int8(y1, a, a), _dot_int8(y2, a, a)
        y3, y4, y5 = _dot_int8(y3, a, a), _dot_int8(y4, a, a), _dot_int8(y5, a, a)
    store_i32x(out, x0 + x1 + x2 + x3 + x4 + x5 + y0 + y1 + y2 + y3 + y4 + y5)
    return 0


def _no_int8_peak(steps, out):
    """In its place where the processor has no such instruction: every level of a wheel exports the same functions."""
    return 1


export(_int8_peak if PARTS == 1 and "avx512vnni" in FEATURES else _no_int8_peak, name="dot_int8")
