"""Integer convolutions of every channel for itself, four taps at a time.

    qdepthwise     x (uint8), w, bias (int32), scale (float32), table (int32); record: `interface.qdepthwise`

The table has the byte offset of each line's first window in an image, then that of each tap in a window; taps that fill up
the last quad have the weight 0. A line has `count` outputs, their windows `x_step` bytes apart. The input carries its padding with
it; `x` is read up to 64 bytes behind its end, where memory must be. Nothing outside of `out` is written. What becomes of the sums
says `sums`: see `requantise`.

Channels stand in blocks of 64, then 32 and 16 for what is left. In a block, four taps are unpacked within 16 bytes each:

    bytes of taps a b c d, channels 0 1 2 ...    a0 b0 c0 d0 a1 b1 c1 d1 a2 ...    into four vectors j = 0 .. 3
    vector j has of every 16 channels those from 4j to 4j + 3; packing the results undoes it

Where a window has three quads, and moves by `fresh` of them from output to output, the others are the last window's:

    fresh 1    output 0: quads 0 1 2    output 1: quads 1 2 and a new one        rows of three taps below each other, stride 1
    fresh 2    output 0: quads 0 1 2    output 1: quad 2 and two new ones        stride 2

With stride 2 pixels of few channels stand side by side in a block as well: of x every other `chunk` bytes belong to it. Scales are
below 1 then (`requantise.are_moderate`).

Weights are [block][quad][j][16 channels each: 4 of them][4 taps], bias and scale [block][j][16 channels each: 4 of them]:
one order for every machine; a machine with narrower vectors works through a block in parts. Where the machine multiplies 16 bits
(`rt_native.dot`), the weights of a block of some pixels are widened once, on the stack: [quad][j][even taps, odd taps].
"""

from numba import float32, int32

from rt_engine.kernels.interface.qdepthwise import QDEPTHWISE
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.qlines import make_lines, make_widening
from rt_engine.kernels.parts.requantise import are_moderate
from rt_native.lang import inline, load_i32, stack

_MOST = 16
"""Quads whose widened weights, 512 bytes each in a block of 64 channels, fit the stack: windows of 64 taps."""
_FEW = 4
"""Outputs from which on weights are widened once."""

_lines_4, _lines_2, _lines_1 = (make_lines(groups) for groups in (4, 2, 1))
_widened_4, _widened_2, _widened_1 = (make_widening(groups) for groups in (4, 2, 1))


@inline
def _widened(groups, w, room, quads):
    if groups == 4:
        return _widened_4(w, room, quads)
    if groups == 2:
        return _widened_2(w, room, quads)
    return _widened_1(w, room, quads)


@inline
def _line(
    groups, x, w, wide, bias, scale, taps, quads, count, step, fresh, chunk, to, out_step, left, kept, zero, low, high
):  # fmt: skip
    if groups == 4:
        _lines_4(
            x, w, wide, bias, scale, taps, quads, count, step, fresh, chunk, to, out_step, left, kept, zero, low, high
        )
    elif groups == 2:
        _lines_2(
            x, w, wide, bias, scale, taps, quads, count, step, fresh, chunk, to, out_step, left, kept, zero, low, high
        )
    else:
        _lines_1(
            x, w, wide, bias, scale, taps, quads, count, step, fresh, chunk, to, out_step, left, kept, zero, low, high
        )


@kernel("qdepthwise", QDEPTHWISE)
def qdepthwise(record):
    """See the top of this file."""
    lines, quads, channels, zero = record.pixels, record.quads, record.channels, int32(record.zero)
    low, high, kept = float32(record.low), float32(record.high), record.sums
    item = 1 if kept == 0 else 4
    count, step, out_step = max(record.count, 1), record.x_step, record.out_step * item
    out_line = (int(record.out_line) or channels) * item
    starts = record.table
    taps = starts + (int(record.offsets) or 4 * lines)
    total = (channels + 15) // 16
    room = stack(8192)
    once = (lines * count >= _FEW or record.chunk > 0) and quads <= _MOST
    rolled = once and (record.chunk > 0 or are_moderate(record.scale, 16 * total))
    fresh, chunk = (int(record.fresh), int(record.chunk)) if rolled else (0, 0)
    for image in range(record.images):
        x = record.x + image * record.x_image
        out = record.out + image * lines * count * channels * item
        w, bias, scale = record.w, record.bias, record.scale
        done = 0
        while done < total:
            rest = total - done
            groups = 4 if rest >= 4 else (2 if rest >= 2 else 1)
            left = channels - 16 * done
            wide = _widened(groups, w, room, quads) if once else 0
            for line in range(lines):
                at = x + load_i32(starts + 4 * line) + 16 * done
                to = out + line * out_line + 16 * done * item
                _line(
                    groups, at, w, wide, bias, scale, taps, quads, count, step, fresh, chunk, to, out_step, left, kept, zero, low, high
                )  # fmt: skip
            w += 64 * groups * quads
            bias += 64 * groups
            scale += 64 * groups
            done += groups
    return 0
