"""The largest of quantised numbers, channels last.

    qmax_pool   operand  x (uint8), out (uint8), table (int32)
                size     output pixels, taps, channels, images, bytes of an image of x

The table has the byte offset of each output pixel's window in an image, then that of each tap in a window. The input carries
its padding, zeros, with it; it is read up to 64 bytes behind its end, where memory must be. Nothing outside of `out` is
written.
"""

from rt_engine.kernels.parts.abi import kernel, operand, size
from rt_engine.kernels.parts.requantise import load_u8x, store_first_low8, store_low8
from rt_native.lang import load_i32
from rt_native.vector import maximum


@kernel("qmax_pool", __name__)
def qmax_pool(arena, record):
    """See the top of this file."""
    pixels, taps, channels = size(record, 0), size(record, 1), size(record, 2)
    starts = operand(arena, record, 2)
    places = starts + 4 * pixels
    for image in range(size(record, 3)):
        x = operand(arena, record, 0) + image * size(record, 4)
        out = operand(arena, record, 1) + image * pixels * channels
        for pixel in range(pixels):
            window = x + load_i32(starts + 4 * pixel)
            done = 0
            while done < channels:
                largest = load_u8x(window + load_i32(places) + done)
                for tap in range(1, taps):
                    largest = maximum(largest, load_u8x(window + load_i32(places + 4 * tap) + done))
                if channels - done >= 16:
                    store_low8(out + done, largest)
                else:
                    store_first_low8(out + done, largest, channels - done)
                done += 16
            out += channels
    return 0
