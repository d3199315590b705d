"""Writer and reader that hammer a channel, for the test of torn reads. A native module: the compiler imports it."""

from fieldbus.image.image_layout import CHANNEL, SLOT
from fieldbus.image.image_native import channel_back, channel_latch, channel_publish
from rt_native.lang import atomic_load, export, load_f64, load_i64, store_f64
from rt_native.memory import offsets

_C = offsets(CHANNEL)
CELLS, STRIDE, FRONT = _C.cells, _C.stride, _C.front
SLOT_0, VALUES = CHANNEL.itemsize, SLOT.itemsize


@export
def hammer_write(channel, first, rounds):  # type: ignore[no-untyped-def]
    """Write first, first + 1, ... to all cells, `rounds` times, as a writer should."""
    for n in range(first, first + rounds):
        values = channel_back(channel) + VALUES
        for i in range(load_i64(channel + CELLS)):
            store_f64(values + 8 * i, float(n))
        channel_publish(channel)
    return 0


@export
def hammer_write_torn(channel, first, rounds):  # type: ignore[no-untyped-def]
    """The same without the triple buffer: straight into the slot that the reader is reading."""
    for n in range(first, first + rounds):
        values = channel + SLOT_0 + atomic_load(channel + FRONT) * load_i64(channel + STRIDE) + VALUES
        for i in range(load_i64(channel + CELLS)):
            store_f64(values + 8 * i, float(n))
    return 0


@export
def hammer_read(channel, until):  # type: ignore[no-untyped-def]
    """Read until the value `until` is seen; gives how many samples were torn, or older than one seen before."""
    bad = 0
    seen = 0.0
    while seen < until:
        slot = channel_latch(channel)
        atomic_load(channel + FRONT)
        first = load_f64(slot + VALUES)
        torn = first < seen
        for i in range(1, load_i64(channel + CELLS)):
            torn = torn or load_f64(slot + VALUES + 8 * i) != first
        if torn:
            bad += 1
        seen = max(seen, first)
    return bad
