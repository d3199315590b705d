"""The last third of a cycle: the model's output tensors -> guard -> output channels.

A channel has one writer. That is the task's thread, until it hangs and the supervisor takes the outputs from it:

    TASK.owner     the cycle                                the supervisor
    TASK           WRITING -> publish -> TASK               REVOKED -> publish safe values, for good
    WRITING                                                 REVOKED, and leave: the cycle sees it and ends itself
    REVOKED        do not publish, end
"""

from fieldbus.image.image_layout import SLOT
from fieldbus.image.image_native import channel_back, channel_publish
from rt_engine.run.blocks import BLOCK
from rt_native.lang import atomic_exchange, atomic_store, export, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets
from scheduler.element_native import load_element
from scheduler.inputs_native import add_to
from scheduler.status import Action, State, TaskStatus
from scheduler.task_block import NO_TENSOR, OUTPUT, SINK, STATS, TASK, Control, Owner
from scheduler.trace_native import widen

_T, _O, _K, _N, _SLOT = offsets(TASK), offsets(OUTPUT), offsets(SINK), offsets(STATS), offsets(SLOT)
_CONTROL, _OWNER, _STATE, _STATS = _T.control, _T.owner, _T.state, _T.stats
_OUTPUTS, _OUTPUT_COUNT, _SINKS, _SINK_COUNT = _T.outputs, _T.output_count, _T.sinks, _T.sink_count
_RAW, _RAW_COUNT = _T.raw, _T.raw_count
_SINK, _CELL, _COUNT, _OUT_RAW, _OUT_LAST, _OUTPUT_SIZE = _O.sink, _O.cell, _O.count, _O.raw, _O.last, OUTPUT.itemsize
_TENSOR, _DTYPE, _FIRST, _SCALE, _OFFSET = _O.tensor, _O.dtype, _O.first, _O.scale, _O.offset
_LOW, _HIGH, _RATE, _SAFE_VALUE, _RANGE = _O.low, _O.high, _O.max_rate, _O.safe, _O.seen
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
_NONE, _LIVE, _SAFE = NO_TENSOR, int(Action.LIVE), int(Action.SAFE)
_TASK_OWNS, _WRITING, _REVOKED = int(Owner.TASK), int(Owner.WRITING), int(Owner.REVOKED)
_STOP, _HUNG_STATE, _HUNG = int(Control.STOP), int(State.HUNG), int(TaskStatus.HUNG)
_BAD = 2


@inline
def scatter(task, block):  # type: ignore[no-untyped-def]
    """Scale the model's output tensors into `raw`; 0 where an output has no tensor."""
    tensors = load_i64(block + _TENSORS) if block != 0 else 0
    entry = load_i64(task + _OUTPUTS)
    for _ in range(load_i64(task + _OUTPUT_COUNT)):
        raw, tensor, first = load_i64(entry + _OUT_RAW), load_i64(entry + _TENSOR), load_i64(entry + _FIRST)
        scale, offset, dtype = load_f64(entry + _SCALE), load_f64(entry + _OFFSET), load_i64(entry + _DTYPE)
        for i in range(load_i64(entry + _COUNT)):
            value = 0.0
            if tensor != _NONE:
                value = load_element(load_i64(tensors + tensor), dtype, first + i) * scale + offset
            store_f64(raw + 8 * i, value)
        entry += _OUTPUT_SIZE


@inline
def not_finite(task):  # type: ignore[no-untyped-def]
    """How many of `raw` are NaN or infinite."""
    raw, wrong = load_i64(task + _RAW), 0
    for i in range(load_i64(task + _RAW_COUNT)):
        value = load_f64(raw + 8 * i)
        if value - value != 0.0:
            if wrong == 0:
                store_i64(task + _BAD_VALUE, i)
            wrong += 1
    return wrong


@inline
def limit(task, elapsed_ns):  # type: ignore[no-untyped-def]
    """`raw` -> `last`, within low and high, and no further from the last value than `max_rate` allows.

    NaN passes; links send it as the safe value, so from there on the rate counts.
    """
    stats = load_i64(task + _STATS)
    entry = load_i64(task + _OUTPUTS)
    for _ in range(load_i64(task + _OUTPUT_COUNT)):
        raw, last = load_i64(entry + _OUT_RAW), load_i64(entry + _OUT_LAST)
        low, high, reach = (
            load_f64(entry + _LOW),
            load_f64(entry + _HIGH),
            load_f64(entry + _RATE) * (elapsed_ns * 1e-9),
        )
        for i in range(load_i64(entry + _COUNT)):
            value, before = load_f64(raw + 8 * i), load_f64(last + 8 * i)
            before = before if before == before else load_f64(entry + _SAFE_VALUE)
            if value < low or value > high:
                value = low if value < low else high
                add_to(stats + _CLAMPED, 1)
            if value > before + reach or value < before - reach:
                value = before + reach if value > before else before - reach
                add_to(stats + _LIMITED, 1)
            store_f64(last + 8 * i, value)
        entry += _OUTPUT_SIZE


@inline
def make_safe(task):  # type: ignore[no-untyped-def]
    """Safe values -> `last`: at once, no rate applies."""
    entry = load_i64(task + _OUTPUTS)
    for _ in range(load_i64(task + _OUTPUT_COUNT)):
        for i in range(load_i64(entry + _COUNT)):
            store_f64(load_i64(entry + _OUT_LAST) + 8 * i, load_f64(entry + _SAFE_VALUE))
        entry += _OUTPUT_SIZE


@inline
def guard(task, action, elapsed_ns):  # type: ignore[no-untyped-def]
    """Make `last` what this cycle's action wants."""
    stats = load_i64(task + _STATS)
    if action == _LIVE:
        limit(task, elapsed_ns)
    elif action == _SAFE:
        make_safe(task)
        add_to(stats + _SAFE_CYCLES, 1)
    else:
        add_to(stats + _HELD, 1)
    entry = load_i64(task + _OUTPUTS)
    for _ in range(load_i64(task + _OUTPUT_COUNT)):
        widen(entry + _RANGE, load_i64(entry + _OUT_LAST), load_i64(entry + _COUNT))
        entry += _OUTPUT_SIZE


@inline
def publish(task, safe, quality, now):  # type: ignore[no-untyped-def]
    """Write `last`, or the safe values, to every output channel, each as one consistent group."""
    sink = load_i64(task + _SINKS)
    for _ in range(load_i64(task + _SINK_COUNT)):
        slot = channel_back(load_i64(sink + _CHANNEL))
        store_i64(sink + _BACK, slot)
        store_i64(slot + _TIMESTAMP, now)
        store_i64(slot + _QUALITY, quality)
        sink += _SINK_SIZE
    entry = load_i64(task + _OUTPUTS)
    for _ in range(load_i64(task + _OUTPUT_COUNT)):
        cells = load_i64(load_i64(entry + _SINK) + _BACK) + _CELLS + 8 * load_i64(entry + _CELL)
        last, safe_value = load_i64(entry + _OUT_LAST), load_f64(entry + _SAFE_VALUE)
        for i in range(load_i64(entry + _COUNT)):
            store_f64(cells + 8 * i, safe_value if safe else load_f64(last + 8 * i))
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
