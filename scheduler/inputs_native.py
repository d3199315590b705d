"""The first third of a cycle: input channels -> newest values -> windows -> the model's input tensors."""

from fieldbus.image.image_layout import SLOT
from fieldbus.image.image_native import channel_latch
from rt_engine.run.blocks import BLOCK
from rt_native.lang import copy_bytes, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets
from scheduler.element_native import store_element
from scheduler.status import TaskStatus
from scheduler.task_block import INPUT, NO_TENSOR, SOURCE, STATS, TASK, OnFault
from scheduler.trace_native import widen

_T, _S, _I, _N, _SLOT = offsets(TASK), offsets(SOURCE), offsets(INPUT), offsets(STATS), offsets(SLOT)
_SOURCES, _SOURCE_COUNT, _INPUTS, _INPUT_COUNT = _T.sources, _T.source_count, _T.inputs, _T.input_count
_STATS, _ON_NAN, _ON_BAD = _T.stats, _T.on_nan, _T.on_bad_input
_ALL_VALUES, _BAD_SOURCE, _BAD_AGE, _BAD_VALUE, _RANGE = (
    _T.values, _T.bad_source, _T.bad_age_ns, _T.bad_value, _I.seen
)  # fmt: skip
_CHANNEL, _MAX_AGE, _LATCHED, _SOURCE_SIZE = _S.channel, _S.max_age_ns, _S.slot, SOURCE.itemsize
_SOURCE, _CELL, _COUNT, _VALUES, _INPUT_SIZE = _I.source, _I.cell, _I.count, _I.values, INPUT.itemsize
_TENSOR, _DTYPE, _FIRST, _SPACING, _SCALE, _OFFSET = _I.tensor, _I.dtype, _I.first, _I.spacing, _I.scale, _I.offset
_WINDOW, _STRIDE, _RING, _FILLED, _POSITION, _NEXT = (
    _I.window,
    _I.stride_ns,
    _I.ring,
    _I.filled,
    _I.position,
    _I.next_sample_ns,
)
_TIMESTAMP, _QUALITY, _CELLS, _BAD = _SLOT.timestamp_ns, _SLOT.quality, SLOT.itemsize, 2
_TENSORS = offsets(BLOCK).tensors
_BAD_INPUTS, _NAN_INPUTS, _FILLING_CYCLES = _N.bad_inputs, _N.nan_inputs, _N.filling
_OK, _BAD_INPUT = int(TaskStatus.OK), int(TaskStatus.BAD_INPUT)
_NAN_INPUT, _FILLING = int(TaskStatus.NAN_INPUT), int(TaskStatus.WINDOW_FILLING)
_PASS, _NONE = int(OnFault.PASS), NO_TENSOR


@inline
def add_to(counter, amount):  # type: ignore[no-untyped-def]
    """Add to a counter that only this thread writes."""
    store_i64(counter, load_i64(counter) + amount)


@inline
def latch(task, now):  # type: ignore[no-untyped-def]
    """Take the newest write of every input channel, whole; BAD_INPUT if one is bad or too old."""
    fault = _OK
    source = load_i64(task + _SOURCES)
    for number in range(load_i64(task + _SOURCE_COUNT)):
        slot = channel_latch(load_i64(source + _CHANNEL))
        store_i64(source + _LATCHED, slot)
        age, is_bad = now - load_i64(slot + _TIMESTAMP), load_i64(slot + _QUALITY) >= _BAD
        if is_bad or age > load_i64(source + _MAX_AGE):
            store_i64(task + _BAD_SOURCE, number)
            store_i64(task + _BAD_AGE, 0 if is_bad else age)
            fault = _BAD_INPUT
        source += _SOURCE_SIZE
    return fault


@inline
def scale_values(task, is_good):  # type: ignore[no-untyped-def]
    """Scale the latched cells into `values`; gives how many are NaN or infinite."""
    wrong, first = 0, load_i64(task + _ALL_VALUES)
    entry = load_i64(task + _INPUTS)
    for _ in range(load_i64(task + _INPUT_COUNT)):
        cells = load_i64(load_i64(entry + _SOURCE) + _LATCHED) + _CELLS + 8 * load_i64(entry + _CELL)
        values, scale, offset = load_i64(entry + _VALUES), load_f64(entry + _SCALE), load_f64(entry + _OFFSET)
        for i in range(load_i64(entry + _COUNT)):
            value = load_f64(cells + 8 * i) * scale + offset
            store_f64(values + 8 * i, value)
            if value - value != 0.0:
                if wrong == 0:
                    store_i64(task + _BAD_VALUE, (values + 8 * i - first) // 8)
                wrong += 1
        if is_good:
            widen(entry + _RANGE, cells, load_i64(entry + _COUNT))
        entry += _INPUT_SIZE
    return wrong


@inline
def add_sample(entry):  # type: ignore[no-untyped-def]
    """Put the newest values of an input in its ring, in both places."""
    nbytes, window, position = 8 * load_i64(entry + _COUNT), load_i64(entry + _WINDOW), load_i64(entry + _POSITION)
    ring, values = load_i64(entry + _RING), load_i64(entry + _VALUES)
    copy_bytes(ring + position * nbytes, values, nbytes)
    copy_bytes(ring + (position + window) * nbytes, values, nbytes)
    store_i64(entry + _POSITION, (position + 1) % window)
    store_i64(entry + _FILLED, min(load_i64(entry + _FILLED) + 1, window))


@inline
def fill_windows(task, tick):  # type: ignore[no-untyped-def]
    """Add a sample to every window whose stride has passed; WINDOW_FILLING while one is not full.

    Where bad inputs are run anyway, the first sample fills the whole window.
    """
    fault = _OK
    at_once = load_i64(task + _ON_BAD) == _PASS
    entry = load_i64(task + _INPUTS)
    for _ in range(load_i64(task + _INPUT_COUNT)):
        window = load_i64(entry + _WINDOW)
        if tick >= load_i64(entry + _NEXT):
            store_i64(entry + _NEXT, tick + load_i64(entry + _STRIDE))
            add_sample(entry)
            while at_once and load_i64(entry + _FILLED) < window:
                add_sample(entry)
        if load_i64(entry + _FILLED) < window:
            fault = _FILLING
        entry += _INPUT_SIZE
    return fault


@inline
def empty_windows(task):  # type: ignore[no-untyped-def]
    """A window holds consecutive good samples: after a bad one it fills anew."""
    entry = load_i64(task + _INPUTS)
    for _ in range(load_i64(task + _INPUT_COUNT)):
        store_i64(entry + _FILLED, 0)
        store_i64(entry + _NEXT, 0)
        entry += _INPUT_SIZE


@inline
def gather(task, block):  # type: ignore[no-untyped-def]
    """Copy every window into the tensors of the model version that runs, oldest sample first."""
    tensors = load_i64(block + _TENSORS)
    entry = load_i64(task + _INPUTS)
    for _ in range(load_i64(task + _INPUT_COUNT)):
        tensor = load_i64(entry + _TENSOR)
        if tensor != _NONE:
            base, dtype, first = load_i64(tensors + tensor), load_i64(entry + _DTYPE), load_i64(entry + _FIRST)
            count, spacing = load_i64(entry + _COUNT), load_i64(entry + _SPACING)
            sample = load_i64(entry + _RING) + 8 * count * load_i64(entry + _POSITION)
            for _ in range(load_i64(entry + _WINDOW)):
                for i in range(count):
                    store_element(base, dtype, first + i, load_f64(sample + 8 * i))
                sample += 8 * count
                first += spacing
        entry += _INPUT_SIZE


@inline
def read_inputs(task, block, tick, now):  # type: ignore[no-untyped-def]
    """Latch, check and convert the inputs of one tick; gives OK when the model may run on them."""
    stats = load_i64(task + _STATS)
    fault = latch(task, now)
    wrong = scale_values(task, fault == _OK)
    add_to(stats + _BAD_INPUTS, 1 if fault != _OK else 0)
    add_to(stats + _NAN_INPUTS, wrong)
    if fault != _OK and load_i64(task + _ON_BAD) == _PASS:
        fault = _OK
    if fault == _OK and wrong > 0 and load_i64(task + _ON_NAN) != _PASS:
        fault = _NAN_INPUT
    if fault != _OK:
        empty_windows(task)
        return fault
    fault = fill_windows(task, tick)
    if fault != _OK:
        add_to(stats + _FILLING_CYCLES, 1)
        return fault
    if block != 0:
        gather(task, block)
    return _OK
