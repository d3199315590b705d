"""The last third of a cycle: the model's output tensors -> guard -> output channels.

A channel has one writer. That is the task's thread, until it hangs and the supervisor takes the outputs from it:

    TASK.owner     the cycle                                the supervisor
    TASK           WRITING -> publish -> TASK               REVOKED -> publish safe values, for good
    WRITING                                                 REVOKED, and leave: the cycle sees it and ends itself
    REVOKED        do not publish, end
"""

from fieldbus.image.image_layout import SLOT
from fieldbus.image.image_native import channel_back, channel_publish
from rt_engine.kernels.interface.dtypes import DType
from rt_engine.run.blocks import BLOCK
from rt_native.counting import add_to
from rt_native.lang import (
    atomic_exchange,
    atomic_store,
    copy_bytes,
    export,
    fill_bytes,
    inline,
    load_f64,
    load_i64,
    store_f64,
    store_i64,
)
from rt_native.memory import offsets
from rt_native.vector import load_f64x, select, splat_i64x, store_f64x, sum_lanes
from scheduler.element_native import load_element
from scheduler.lanes_native import LANES, load_singles, ones
from scheduler.ranges_native import widen
from scheduler.status import Action, State, TaskStatus
from scheduler.task_block import NO_TENSOR, OUTPUT, SINK, STATS, TASK, Control, Owner

_T, _O, _K, _N, _SLOT = offsets(TASK), offsets(OUTPUT), offsets(SINK), offsets(STATS), offsets(SLOT)
_CONTROL, _OWNER, _STATE, _STATS = _T.control, _T.owner, _T.state, _T.stats
_OUTPUTS, _OUTPUT_COUNT, _SINKS, _SINK_COUNT = _T.outputs, _T.output_count, _T.sinks, _T.sink_count
_RAW, _RAW_COUNT = _T.raw, _T.raw_count
_SINK, _CELL, _COUNT, _NUMBER, _OUTPUT_SIZE = _O.sink, _O.cell, _O.count, _O.number, OUTPUT.itemsize
_LAST, _RANGES, _SEEN, _EIGHT, _FLOAT = _T.last, _T.output_ranges, _T.outputs_seen, LANES, int(DType.FLOAT)
_TENSOR, _DTYPE, _FIRST, _SCALE, _OFFSET = _O.tensor, _O.dtype, _O.first, _O.scale, _O.offset
_LOW, _HIGH, _RATE, _SAFE_VALUE, _IS_LIMITED = _T.low, _T.high, _T.max_rate, _T.safe, _T.is_limited
_BAD_VALUE = _T.bad_value
_CHANNEL, _BACK, _SINK_SIZE = _K.channel, _K.slot, SINK.itemsize
_TIMESTAMP, _QUALITY, _CELLS = _SLOT.timestamp_ns, _SLOT.quality, SLOT.itemsize
_TENSORS = offsets(BLOCK).tensors
_CLAMPED, _LIMITED, _HELD, _SAFE_CYCLES, _STATUS, _ACTION = (
    _N.clamped,
    _N.limited,
    _N.held,
    _N.safe,
    _N.status,
    _N.action,
)
_NONE, _LIVE, _SAFE, _STAND_IN = NO_TENSOR, int(Action.LIVE), int(Action.SAFE), int(Action.FALLBACK)
_TASK_OWNS, _WRITING, _REVOKED = int(Owner.TASK), int(Owner.WRITING), int(Owner.REVOKED)
_STOP, _HUNG_STATE, _HUNG = int(Control.STOP), int(State.HUNG), int(TaskStatus.HUNG)
_GOOD, _BAD = 0, 2
_CAME, _CAME_FIRST = _SLOT.arrived_ns, _T.came_ns


@inline
def scatter(task, block, to):  # type: ignore[no-untyped-def]
    """Scale the model's output tensors into `to`: `raw`, or as many numbers elsewhere; 0 where an output has no tensor."""
    tensors = load_i64(block + _TENSORS) if block != 0 else 0
    entry = load_i64(task + _OUTPUTS)
    for _ in range(load_i64(task + _OUTPUT_COUNT)):
        raw, tensor, count = to + 8 * load_i64(entry + _NUMBER), load_i64(entry + _TENSOR), load_i64(entry + _COUNT)
        if tensor != _NONE:
            scale_elements(entry, load_i64(tensors + tensor), raw, count)
        else:
            fill_bytes(raw, 0, 8 * count)
        entry += _OUTPUT_SIZE


@inline
def scale_elements(entry, base, raw, count):  # type: ignore[no-untyped-def]
    """The elements of a tensor, scaled -> `raw`."""
    scale, offset = load_f64(entry + _SCALE), load_f64(entry + _OFFSET)
    first, dtype = load_i64(entry + _FIRST), load_i64(entry + _DTYPE)
    done = 0
    if dtype == _FLOAT:
        while done + _EIGHT <= count:
            store_f64x(raw + 8 * done, load_singles(base + 4 * (first + done)) * scale + offset)
            done += _EIGHT
    for i in range(done, count):
        store_f64(raw + 8 * i, load_element(base, dtype, first + i) * scale + offset)


@inline
def not_finite(task):  # type: ignore[no-untyped-def]
    """How many of `raw` are NaN or infinite."""
    raw, count = load_i64(task + _RAW), load_i64(task + _RAW_COUNT)
    several, done = splat_i64x(0), 0
    while done + _EIGHT <= count:
        value = load_f64x(raw + 8 * done)
        several = several + ones(value - value != 0.0)
        done += _EIGHT
    wrong = sum_lanes(several)
    for i in range(done, count):
        value = load_f64(raw + 8 * i)
        if value - value != 0.0:
            wrong += 1
    if wrong > 0:
        store_i64(task + _BAD_VALUE, first_wrong(raw, count))
    return wrong


@inline
def first_wrong(raw, count):  # type: ignore[no-untyped-def]
    """Which of `raw` is the first that is NaN or infinite."""
    for i in range(count):
        value = load_f64(raw + 8 * i)
        if value - value != 0.0:
            return i
    return 0


@inline
def limit(task, elapsed_ns):  # type: ignore[no-untyped-def]
    """`raw` -> `last`, within low and high, and no further from the last value than `max_rate` allows.

    NaN passes; links send it as the safe value, so from there on the rate counts.
    """
    stats, count, elapsed = load_i64(task + _STATS), load_i64(task + _RAW_COUNT), elapsed_ns * 1e-9
    raw, last, low, high = (
        load_i64(task + _RAW), load_i64(task + _LAST), load_i64(task + _LOW), load_i64(task + _HIGH)
    )  # fmt: skip
    rate, safe_value = load_i64(task + _RATE), load_i64(task + _SAFE_VALUE)
    done = limit_eights(task, count, elapsed)
    for i in range(done, count):
        value, before = load_f64(raw + 8 * i), load_f64(last + 8 * i)
        before = before if before == before else load_f64(safe_value + 8 * i)
        least, most, reach = load_f64(low + 8 * i), load_f64(high + 8 * i), load_f64(rate + 8 * i) * elapsed
        if value < least or value > most:
            value = least if value < least else most
            add_to(stats + _CLAMPED, 1)
        if value > before + reach or value < before - reach:
            value = before + reach if value > before else before - reach
            add_to(stats + _LIMITED, 1)
        store_f64(last + 8 * i, value)


@inline
def limit_eights(task, count, elapsed):  # type: ignore[no-untyped-def]
    """`limit` of as many as go eight at a time; gives their number."""
    raw, last, low, high = (
        load_i64(task + _RAW), load_i64(task + _LAST), load_i64(task + _LOW), load_i64(task + _HIGH)
    )  # fmt: skip
    rate, safe_value, is_limited = (
        load_i64(task + _RATE), load_i64(task + _SAFE_VALUE), load_i64(task + _IS_LIMITED)
    )  # fmt: skip
    stats, done = load_i64(task + _STATS), 0
    clamped, limited = splat_i64x(0), splat_i64x(0)
    while done + _EIGHT <= count:
        at = 8 * done
        value, least, most = load_f64x(raw + at), load_f64x(low + at), load_f64x(high + at)
        below, above = value < least, value > most
        clamped = clamped + ones(below | above)
        value = select(below, least, select(above, most, value))
        if is_limited != 0:
            before, reach = load_f64x(last + at), load_f64x(rate + at) * elapsed
            before = select(before == before, before, load_f64x(safe_value + at))
            too_far = (value > before + reach) | (value < before - reach)
            limited = limited + ones(too_far)
            value = select(too_far, select(value > before, before + reach, before - reach), value)
        store_f64x(last + at, value)
        done += _EIGHT
    add_to(stats + _CLAMPED, sum_lanes(clamped))
    add_to(stats + _LIMITED, sum_lanes(limited))
    return done


@inline
def make_safe(task):  # type: ignore[no-untyped-def]
    """Safe values -> `last`: at once, no rate applies."""
    copy_bytes(load_i64(task + _LAST), load_i64(task + _SAFE_VALUE), 8 * load_i64(task + _RAW_COUNT))


@inline
def guard(task, action, elapsed_ns):  # type: ignore[no-untyped-def]
    """Make `last` what this cycle's action wants."""
    stats = load_i64(task + _STATS)
    if action in (_LIVE, _STAND_IN):
        limit(task, elapsed_ns)
    elif action == _SAFE:
        make_safe(task)
        add_to(stats + _SAFE_CYCLES, 1)
    else:
        add_to(stats + _HELD, 1)
    count = load_i64(task + _RAW_COUNT)
    widen(load_i64(task + _RANGES), count, 0, load_i64(task + _LAST), count)
    add_to(task + _SEEN, 1)


@inline
def publish(task, safe, quality, now):  # type: ignore[no-untyped-def]
    """Write `last`, or the safe values, to every output channel, each as one consistent group."""
    sink = load_i64(task + _SINKS)
    for _ in range(load_i64(task + _SINK_COUNT)):
        slot = channel_back(load_i64(sink + _CHANNEL))
        store_i64(sink + _BACK, slot)
        store_i64(slot + _TIMESTAMP, now)
        store_i64(slot + _QUALITY, quality)
        store_i64(slot + _CAME, load_i64(task + _CAME_FIRST) if quality == _GOOD else 0)
        sink += _SINK_SIZE
    values = load_i64(task + _SAFE_VALUE) if safe else load_i64(task + _LAST)
    entry = load_i64(task + _OUTPUTS)
    for _ in range(load_i64(task + _OUTPUT_COUNT)):
        cells = load_i64(load_i64(entry + _SINK) + _BACK) + _CELLS + 8 * load_i64(entry + _CELL)
        copy_bytes(cells, values + 8 * load_i64(entry + _NUMBER), 8 * load_i64(entry + _COUNT))
        entry += _OUTPUT_SIZE
    sink = load_i64(task + _SINKS)
    for _ in range(load_i64(task + _SINK_COUNT)):
        channel_publish(load_i64(sink + _CHANNEL))
        sink += _SINK_SIZE


@inline
def write_outputs(task, safe, quality, now):  # type: ignore[no-untyped-def]
    """Publish as the owner of the outputs; 0 if they were taken from this task, which then has to end."""
    if atomic_exchange(task + _OWNER, _WRITING) == _REVOKED:
        atomic_store(task + _OWNER, _REVOKED)
        return 0
    publish(task, safe, quality, now)
    return 0 if atomic_exchange(task + _OWNER, _TASK_OWNS) == _REVOKED else 1


@export
def task_revoke(task, now):  # type: ignore[no-untyped-def]
    """Take the outputs from a task that hangs, and publish its safe values; 0 if it was writing at this very moment.

    Called by the supervisor. Either way the task ends itself when it comes back.
    """
    atomic_store(task + _CONTROL, _STOP)
    if atomic_exchange(task + _OWNER, _REVOKED) == _WRITING:
        return 0
    stats = load_i64(task + _STATS)
    store_i64(stats + _STATUS, _HUNG)
    store_i64(stats + _ACTION, _SAFE)
    publish(task, True, _BAD, now)
    atomic_store(task + _STATE, _HUNG_STATE)
    return 1
