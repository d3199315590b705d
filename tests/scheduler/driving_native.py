"""A clock in native code that lives: inputs change before every cycle, some are bad, wake-ups are late. The same each time it runs.

state   0 now   8 cycles left   16 address of the task's control word   24 random   32 channel   40 cells
        48 cycles until Python is called   56 of how many   64 function of Python's   72 addresses of the task's reset word
"""

from fieldbus.image.image_layout import SLOT
from fieldbus.image.image_native import channel_back, channel_publish
from rt_native.lang import atomic_store, call1, export, inline, load_i64, store_f64, store_i64
from rt_native.memory import offsets

_STOP, _S, _CELLS = 2, offsets(SLOT), SLOT.itemsize
_TIMESTAMP, _QUALITY, _CAME = _S.timestamp_ns, _S.quality, _S.arrived_ns


@inline
def draw(state):
    """The next of a row of random numbers (xorshift)."""
    x = load_i64(state + 24)
    x ^= x << 13
    x ^= (x >> 7) & 0x01FFFFFFFFFFFFFF
    x ^= x << 17
    store_i64(state + 24, x)
    return x


@inline
def put(state):
    """New inputs: from -2 to 2; one write in 997 is bad, one in 1,499 holds a NaN."""
    channel = load_i64(state + 32)
    slot, luck = channel_back(channel), draw(state) & 0xFFFFF
    for i in range(load_i64(state + 40)):
        store_f64(slot + _CELLS + 8 * i, (draw(state) >> 32) * 2.0**-30)
    if luck % 1499 == 0:
        store_f64(slot + _CELLS, 1e308 * 10.0 - 1e308 * 10.0)
    store_i64(slot + _TIMESTAMP, load_i64(state))
    store_i64(slot + _QUALITY, 2 if luck % 997 == 0 else 0)
    store_i64(slot + _CAME, load_i64(state))
    channel_publish(channel)


@export
def driving_now(state):
    """The time."""
    return load_i64(state)


@export
def driving_sleep(state, until_ns):
    """It is a little later than `until_ns` now, seldom by ticks."""
    if until_ns > load_i64(state):
        left = load_i64(state + 48) - 1
        if left == 0:
            left = load_i64(state + 56)
            call1(load_i64(state + 64), state)
        store_i64(state + 48, left)
        put(state)
        luck = draw(state) & 0xFFFFF
        if luck % 5003 == 0:
            store_i64(load_i64(state + 72), 1)
        late = luck % 90_000 if luck % 211 != 0 else luck % 3_500_000
        store_i64(state, until_ns + late)
        store_i64(state + 8, load_i64(state + 8) - 1)
        if load_i64(state + 8) == 0:
            atomic_store(load_i64(state + 16), _STOP)
    return 0
