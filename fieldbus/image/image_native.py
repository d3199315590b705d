"""The triple buffer: writer and reader each own one slot, and exchange it for the middle one. Nobody ever waits.

    writer:  fill slot[back];  back  = exchange(state, back | FRESH)
    reader:  if state & FRESH: front = exchange(state, front);  use slot[front]

The exchange is atomic and orders memory: whoever takes a slot sees all that its owner wrote before giving it away, and
no slot is ever owned twice. After H. Simpson's four-slot mechanism (1990), reduced to three slots by the exchange.
"""

from fieldbus.image.image_layout import CHANNEL, FRESH, INDEX, SLOT
from rt_native.lang import atomic_exchange, atomic_load, export, load_i64, store_i64
from rt_native.memory import offsets

C = offsets(CHANNEL)
S = offsets(SLOT)
BACK, STRIDE, WRITES, FRONT, STATE = C.back, C.stride, C.writes, C.front, C.state
COUNTER = S.counter
SLOT_0 = CHANNEL.itemsize


@export
def channel_back(channel):  # type: ignore[no-untyped-def]
    """Address of the slot that the writer may fill."""
    return channel + SLOT_0 + load_i64(channel + BACK) * load_i64(channel + STRIDE)


@export
def channel_publish(channel):  # type: ignore[no-untyped-def]
    """Make what the writer filled the newest write, and number it (1, 2, ...); gives that number."""
    back = load_i64(channel + BACK)
    writes = load_i64(channel + WRITES) + 1
    store_i64(channel + WRITES, writes)
    store_i64(channel + SLOT_0 + back * load_i64(channel + STRIDE) + COUNTER, writes)
    taken = atomic_exchange(channel + STATE, back | FRESH)
    store_i64(channel + BACK, taken & INDEX)
    return writes


@export
def channel_latch(channel):  # type: ignore[no-untyped-def]
    """Address of the newest complete write; it stays the reader's, unchanged, until its next call."""
    if atomic_load(channel + STATE) & FRESH:
        taken = atomic_exchange(channel + STATE, load_i64(channel + FRONT))
        store_i64(channel + FRONT, taken & INDEX)
    return channel + SLOT_0 + load_i64(channel + FRONT) * load_i64(channel + STRIDE)
