"""The largest of quantised numbers, channels last.

    qmax_pool     x and out (uint8), table (int32); record: `interface.qpool`

The table has the byte offset of each output pixel's window in an image, then that of each tap in a window. The input carries
its padding, zeros, with it; it is read up to 64 bytes behind its end, where memory must be. Nothing outside of `out` is
written.
"""

from rt_engine.kernels.interface.qpool import QMAX_POOL
from rt_engine.kernels.parts.abi import kernel
from rt_engine.kernels.parts.requantise import load_u8x, store_first_low8, store_low8
from rt_native.lang import load_i32
from rt_native.vector import maximum


@kernel("qmax_pool", QMAX_POOL)
def qmax_pool(record):
    """See the top of this file."""
    pixels, taps, channels = record.pixels, record.taps, record.channels
    starts = record.table
    places = starts + (int(record.offsets) or 4 * pixels)
    for image in range(record.images):
        x = record.x + image * record.x_image
        out = record.out + image * pixels * channels
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
