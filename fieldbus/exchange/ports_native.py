"""Where an exchange meets the process image: drivers -> outputs, inputs -> subscribers, outputs as sent -> observers."""

from fieldbus.exchange.block import EXCHANGE, PORT, RUN, TRANSACTION
from fieldbus.exchange.frames_native import transaction_at
from fieldbus.image.image_layout import SLOT
from fieldbus.image.image_native import channel_back, channel_latch, channel_publish
from rt_native.counting import add_to
from rt_native.histogram_native import add as count_time
from rt_native.lang import atomic_load, copy_bytes, inline, load_f64, load_i64, load_u8, store_f64, store_i64
from rt_native.memory import offsets

_X, _P, _R, _T, _S = offsets(EXCHANGE), offsets(PORT), offsets(RUN), offsets(TRANSACTION), offsets(SLOT)
_SUBSCRIBERS, _DRIVERS, _OBSERVERS = _X.subscribers, _X.drivers, _X.observers
_VALUES_IN, _SUSPECT, _VALUES_OUT, _SAFE_VALUES = _X.values_in, _X.suspect, _X.values_out, _X.safe
_LOW, _HIGH, _CELLS_OUT, _TIMEOUT, _LOST = _X.low, _X.high, _X.cells_out, _X.timeout_ns, _X.lost
_UNTIL, _IS_SAFE, _FORCE_SAFE, _LIMITED = _X.until_ns, _X.is_safe, _X.force_safe, _X.limited
_LIFE_CELL, _LIFE_TRANSACTION, _LIFE_TIMEOUT, _LIFE_IS_SEEN, _LIFE_LAST, _LIFE_CHANGED, _IS_LIFELESS = (
    _X.life_cell, _X.life_transaction, _X.life_timeout_ns, _X.life_is_seen, _X.life_last, _X.life_changed_ns, _X.is_lifeless
)  # fmt: skip
_CHANNEL, _RUNS, _RUN_COUNT, _OF, _OF_COUNT, _REACTION, _SEEN, _TAKEN = (
    _P.channel, _P.runs, _P.run_count, _P.transactions, _P.transaction_count, _P.reaction, _P.seen, _P.taken
)  # fmt: skip
_HERE, _THERE, _COUNT = _R.here, _R.there, _R.count
_ASKED, _ARRIVED, _T_QUALITY = _T.asked_ns, _T.arrived_ns, _T.quality
_TIMESTAMP, _QUALITY, _CAME, _COUNTER, _CELLS = (
    _S.timestamp_ns, _S.quality, _S.arrived_ns, _S.counter, SLOT.itemsize
)  # fmt: skip
_PORT, _RUN = PORT.itemsize, RUN.itemsize
_GOOD, _STALE, _BAD = 0, 1, 2
_NEVER = (1 << 63) - 1
_NAN = float("nan")


@inline
def gather(exchange, now):  # type: ignore[no-untyped-def]
    """Drivers -> `values_out`, safe where a driver's newest write is bad or too old, limited so that all can be sent.

    Tags without a driver are at their safe values all the time. From `until_ns` on the values are too old to be sent.
    """
    values, safe, timeout = (
        load_i64(exchange + _VALUES_OUT),
        load_i64(exchange + _SAFE_VALUES),
        load_i64(exchange + _TIMEOUT),
    )
    until, is_safe = _NEVER, 0
    force = atomic_load(exchange + _FORCE_SAFE)
    table = atomic_load(exchange + _DRIVERS)
    port = table + 8
    for _ in range(load_i64(table)):
        slot = channel_latch(load_i64(port + _CHANNEL))
        stamp = load_i64(slot + _TIMESTAMP)
        use_safe = force != 0 or load_i64(slot + _QUALITY) >= _BAD or now - stamp > timeout
        if use_safe:
            is_safe = 1
        else:
            until = min(until, stamp + timeout)
        store_i64(port + _TAKEN, 0 if use_safe else slot)
        run = load_i64(port + _RUNS)
        for _ in range(load_i64(port + _RUN_COUNT)):
            here, count = 8 * load_i64(run + _HERE), 8 * load_i64(run + _COUNT)
            source = safe + here if use_safe else slot + _CELLS + 8 * load_i64(run + _THERE)
            copy_bytes(values + here, source, count)
            run += _RUN
        port += _PORT
    store_i64(exchange + _UNTIL, until)
    store_i64(exchange + _IS_SAFE, is_safe)
    limit(exchange, values, safe)


@inline
def limit(exchange, values, safe):  # type: ignore[no-untyped-def]
    """NaN and infinities become the safe value, what is beyond a limit the limit (`fieldbus.codec.Limiter`).

    A safe value that is NaN (`Exchange.without_safe_value`) is left to what the link adds.
    """
    low, high, changed = load_i64(exchange + _LOW), load_i64(exchange + _HIGH), 0
    for i in range(load_i64(exchange + _CELLS_OUT)):
        value = load_f64(values + 8 * i)
        least, most = load_f64(low + 8 * i), load_f64(high + 8 * i)
        sent = value if value - value == 0.0 else load_f64(safe + 8 * i)
        sent = least if sent < least else (most if sent > most else sent)
        if sent != value:
            store_f64(values + 8 * i, sent)
            changed += 1 if sent == sent else 0
    if changed > 0:
        add_to(exchange + _LIMITED, changed)


@inline
def count_reactions(exchange, now):  # type: ignore[no-untyped-def]
    """The outputs have been sent: how long after the inputs that they were computed from had come? Each write counts once."""
    table = atomic_load(exchange + _DRIVERS)
    port = table + 8
    for _ in range(load_i64(table)):
        slot = load_i64(port + _TAKEN)
        if slot != 0 and load_i64(slot + _COUNTER) != load_i64(port + _SEEN):
            store_i64(port + _SEEN, load_i64(slot + _COUNTER))
            came = load_i64(slot + _CAME)
            if came != 0:
                count_time(load_i64(port + _REACTION), now - came)
        port += _PORT


@inline
def look_for_life(exchange, now):  # type: ignore[no-untyped-def]
    """1 when there is a life sign and it has not changed in time, or not yet: no input is to be trusted (`fieldbus.link.life`)."""
    cell, lifeless = load_i64(exchange + _LIFE_CELL), 0
    if cell >= 0:
        transaction = transaction_at(exchange, load_i64(exchange + _LIFE_TRANSACTION))
        if load_i64(transaction + _T_QUALITY) == _GOOD:
            bits = load_i64(load_i64(exchange + _VALUES_IN) + 8 * cell)
            if load_i64(exchange + _LIFE_IS_SEEN) != 0 and bits != load_i64(exchange + _LIFE_LAST):
                store_i64(exchange + _LIFE_CHANGED, now)
            store_i64(exchange + _LIFE_LAST, bits)
            store_i64(exchange + _LIFE_IS_SEEN, 1)
        changed = load_i64(exchange + _LIFE_CHANGED)
        lifeless = 1 if changed == 0 or now - changed > load_i64(exchange + _LIFE_TIMEOUT) else 0
    store_i64(exchange + _IS_LIFELESS, lifeless)
    return lifeless


@inline
def hide(port, suspect, slot):  # type: ignore[no-untyped-def]
    """What means nothing is NaN for who subscribes to it."""
    run = load_i64(port + _RUNS)
    for _ in range(load_i64(port + _RUN_COUNT)):
        here, there = load_i64(run + _HERE), slot + _CELLS + 8 * load_i64(run + _THERE)
        for i in range(load_i64(run + _COUNT)):
            if load_u8(suspect + here + i) != 0:
                store_f64(there + 8 * i, _NAN)
        run += _RUN


@inline
def publish_inputs(exchange, now):  # type: ignore[no-untyped-def]
    """`values_in` -> every subscriber, as good as the worst of the transactions, and of the values, that it is made of."""
    values, suspect, timeout = (
        load_i64(exchange + _VALUES_IN),
        load_i64(exchange + _SUSPECT),
        load_i64(exchange + _TIMEOUT),
    )
    lifeless = look_for_life(exchange, now)
    table = atomic_load(exchange + _SUBSCRIBERS)
    port = table + 8
    for _ in range(load_i64(table)):
        channel = load_i64(port + _CHANNEL)
        slot = channel_back(channel)
        quality, asked, arrived = _GOOD, now, 0
        of = load_i64(port + _OF)
        for i in range(load_i64(port + _OF_COUNT)):
            transaction = transaction_at(exchange, load_i64(of + 8 * i))
            quality = max(quality, load_i64(transaction + _T_QUALITY))
            asked = min(asked, load_i64(transaction + _ASKED))
            arrived = max(arrived, load_i64(transaction + _ARRIVED))
        run, wrong = load_i64(port + _RUNS), 0
        for _ in range(load_i64(port + _RUN_COUNT)):
            here, count = load_i64(run + _HERE), load_i64(run + _COUNT)
            copy_bytes(slot + _CELLS + 8 * load_i64(run + _THERE), values + 8 * here, 8 * count)
            for i in range(count):
                wrong |= load_u8(suspect + here + i)
            run += _RUN
        if wrong != 0:
            hide(port, suspect, slot)
        if wrong != 0 or lifeless != 0 or now - asked > timeout or load_i64(port + _OF_COUNT) == 0:
            quality = _BAD
        store_i64(port + _TAKEN, quality)
        store_i64(slot + _TIMESTAMP, asked)
        store_i64(slot + _QUALITY, quality)
        store_i64(slot + _CAME, arrived)
        store_i64(port + _SEEN, asked)
        channel_publish(channel)
        port += _PORT


@inline
def publish_age(exchange, now):  # type: ignore[no-untyped-def]
    """While the keeper has the exchange: the same values again, STALE until they are too old, or the device is lost.

    What was BAD, or means nothing, stays so.
    """
    values, suspect, timeout, lost = (
        load_i64(exchange + _VALUES_IN),
        load_i64(exchange + _SUSPECT),
        load_i64(exchange + _TIMEOUT),
        atomic_load(exchange + _LOST) | load_i64(exchange + _IS_LIFELESS),
    )
    table = atomic_load(exchange + _SUBSCRIBERS)
    port = table + 8
    for _ in range(load_i64(table)):
        channel = load_i64(port + _CHANNEL)
        slot, asked = channel_back(channel), load_i64(port + _SEEN)
        run = load_i64(port + _RUNS)
        for _ in range(load_i64(port + _RUN_COUNT)):
            nbytes = 8 * load_i64(run + _COUNT)
            copy_bytes(slot + _CELLS + 8 * load_i64(run + _THERE), values + 8 * load_i64(run + _HERE), nbytes)
            run += _RUN
        hide(port, suspect, slot)
        was_bad = load_i64(port + _TAKEN) == _BAD
        store_i64(slot + _TIMESTAMP, asked)
        store_i64(slot + _QUALITY, _BAD if lost != 0 or was_bad or now - asked > timeout else _STALE)
        store_i64(slot + _CAME, 0)
        channel_publish(channel)
        port += _PORT


@inline
def publish_outputs(exchange, now):  # type: ignore[no-untyped-def]
    """`values_out`, as they were sent -> observers."""
    table = atomic_load(exchange + _OBSERVERS)
    port = table + 8
    for _ in range(load_i64(table)):
        channel = load_i64(port + _CHANNEL)
        slot = channel_back(channel)
        copy_bytes(slot + _CELLS, load_i64(exchange + _VALUES_OUT), 8 * load_i64(exchange + _CELLS_OUT))
        store_i64(slot + _TIMESTAMP, now)
        store_i64(slot + _QUALITY, _GOOD)
        channel_publish(channel)
        port += _PORT
