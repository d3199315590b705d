"""The first third of a cycle: input channels -> newest values -> windows -> the model's input tensors.

Values that lie in a row with equal scaling are one run (INPUT), moved eight at a time; the rest of a run one by one.
"""

from fieldbus.image.image_layout import SLOT
from fieldbus.image.image_native import channel_latch
from rt_engine.kernels.interface.dtypes import DType
from rt_engine.run.blocks import BLOCK
from rt_native.counting import add_to
from rt_native.lang import copy_bytes, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets
from rt_native.vector import load_f64x, select, splat_f64x, splat_i64x, store_f64x, sum_lanes
from scheduler.element_native import store_element
from scheduler.lanes_native import LANES, ones, store_singles
from scheduler.ranges_native import widen
from scheduler.slices_native import give_up, slice_of
from scheduler.slow_native import is_turn, next_in_row, turn_at_once
from scheduler.status import TaskStatus
from scheduler.task_block import INPUT, NO_TENSOR, SOURCE, STATS, TASK, OnFault

_T, _S, _I, _N, _SLOT = offsets(TASK), offsets(SOURCE), offsets(INPUT), offsets(STATS), offsets(SLOT)
_SOURCES, _SOURCE_COUNT, _INPUTS, _INPUT_COUNT = _T.sources, _T.source_count, _T.inputs, _T.input_count
_STATS, _ON_NAN, _ON_BAD = _T.stats, _T.on_nan, _T.on_bad_input
_VALUE_COUNT, _BAD_SOURCE, _BAD_AGE, _BAD_VALUE, _RANGES, _SEEN = (
    _T.value_count, _T.bad_source, _T.bad_age_ns, _T.bad_value, _T.input_ranges, _T.inputs_seen
)  # fmt: skip
_CHANNEL, _MAX_AGE, _LATCHED, _TAKEN, _SOURCE_SIZE = _S.channel, _S.max_age_ns, _S.slot, _S.seen, SOURCE.itemsize
_CAME, _COUNTER, _CAME_FIRST = _SLOT.arrived_ns, _SLOT.counter, _T.came_ns
_SOURCE, _CELL, _COUNT, _NUMBER, _VALUES, _INPUT_SIZE = (
    _I.source, _I.cell, _I.count, _I.number, _I.values, INPUT.itemsize
)  # fmt: skip
_IS_DIRECT, _IS_KEPT, _EIGHT, _FLOAT = _I.is_direct, _I.is_kept, LANES, int(DType.FLOAT)
_TENSOR, _DTYPE, _FIRST, _SPACING, _SCALE, _OFFSET = _I.tensor, _I.dtype, _I.first, _I.spacing, _I.scale, _I.offset
_LOW, _HIGH = _I.low, _I.high
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
def latch(task, now):  # type: ignore[no-untyped-def]
    """Take the newest write of every input channel, whole; BAD_INPUT if one is bad or too old."""
    fault, first_ns = _OK, 0
    source = load_i64(task + _SOURCES)
    for number in range(load_i64(task + _SOURCE_COUNT)):
        slot = channel_latch(load_i64(source + _CHANNEL))
        store_i64(source + _LATCHED, slot)
        came = load_i64(slot + _CAME)
        if came != 0 and load_i64(slot + _COUNTER) != load_i64(source + _TAKEN):
            first_ns = came if first_ns == 0 else min(first_ns, came)
        store_i64(source + _TAKEN, load_i64(slot + _COUNTER))
        age, is_bad = now - load_i64(slot + _TIMESTAMP), load_i64(slot + _QUALITY) >= _BAD
        if is_bad or age > load_i64(source + _MAX_AGE):
            store_i64(task + _BAD_SOURCE, number)
            store_i64(task + _BAD_AGE, 0 if is_bad else age)
            fault = _BAD_INPUT
        source += _SOURCE_SIZE
    store_i64(task + _CAME_FIRST, first_ns)
    return fault


@inline
def latched_cells(entry):  # type: ignore[no-untyped-def]
    """Where the cells of an input lie in this cycle."""
    return load_i64(load_i64(entry + _SOURCE) + _LATCHED) + _CELLS + 8 * load_i64(entry + _CELL)


@inline
def scale_values(task, is_good):  # type: ignore[no-untyped-def]
    """Scale the latched cells, into `values` where somebody reads them; gives how many are NaN or infinite."""
    wrong = 0
    ranges, numbers = load_i64(task + _RANGES), load_i64(task + _VALUE_COUNT)
    entry = load_i64(task + _INPUTS)
    for _ in range(load_i64(task + _INPUT_COUNT)):
        cells, count, number = latched_cells(entry), load_i64(entry + _COUNT), load_i64(entry + _NUMBER)
        if load_i64(entry + _IS_KEPT) != 0:
            keep(entry, cells, count)
        found = count_wrong(entry, cells, count)
        if found > 0 and wrong == 0:
            store_i64(task + _BAD_VALUE, number + first_wrong(entry, cells, count))
        wrong += found
        if is_good:
            widen(ranges, numbers, number, cells, count)
        entry += _INPUT_SIZE
    if is_good:
        add_to(task + _SEEN, 1)
    return wrong


@inline
def keep(entry, cells, count):  # type: ignore[no-untyped-def]
    """Scaled cells -> `values`."""
    values, scale, offset = load_i64(entry + _VALUES), load_f64(entry + _SCALE), load_f64(entry + _OFFSET)
    low, high = load_f64(entry + _LOW), load_f64(entry + _HIGH)
    done = 0
    while done + _EIGHT <= count:
        store_f64x(values + 8 * done, clipped_eight(load_f64x(cells + 8 * done) * scale + offset, low, high))
        done += _EIGHT
    for i in range(done, count):
        store_f64(values + 8 * i, clipped(load_f64(cells + 8 * i) * scale + offset, low, high))


@inline
def clipped(value, low, high):  # type: ignore[no-untyped-def]
    """Within low and high; NaN stays."""
    return low if value < low else high if value > high else value


@inline
def clipped_eight(value, low, high):  # type: ignore[no-untyped-def]
    """`clipped` of eight."""
    least, most = splat_f64x(low), splat_f64x(high)
    return select(value < least, least, select(value > most, most, value))


@inline
def count_wrong(entry, cells, count):  # type: ignore[no-untyped-def]
    """How many of the scaled cells are NaN or infinite."""
    scale, offset = load_f64(entry + _SCALE), load_f64(entry + _OFFSET)
    several, done = splat_i64x(0), 0
    while done + _EIGHT <= count:
        value = load_f64x(cells + 8 * done) * scale + offset
        several = several + ones(value - value != 0.0)
        done += _EIGHT
    wrong = sum_lanes(several)
    for i in range(done, count):
        value = load_f64(cells + 8 * i) * scale + offset
        if value - value != 0.0:
            wrong += 1
    return wrong


@inline
def first_wrong(entry, cells, count):  # type: ignore[no-untyped-def]
    """Which of the scaled cells is the first that is NaN or infinite."""
    scale, offset = load_f64(entry + _SCALE), load_f64(entry + _OFFSET)
    for i in range(count):
        value = load_f64(cells + 8 * i) * scale + offset
        if value - value != 0.0:
            return i
    return 0


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

    Samples keep to their row: one that comes late because a tick was missed does not move the next.

    Where bad inputs are run anyway, the first sample fills the whole window.
    """
    fault = _OK
    at_once = load_i64(task + _ON_BAD) == _PASS
    entry = load_i64(task + _INPUTS)
    for _ in range(load_i64(task + _INPUT_COUNT)):
        window = load_i64(entry + _WINDOW)
        if load_i64(entry + _IS_DIRECT) != 0:
            window = 0
        elif tick >= load_i64(entry + _NEXT):
            store_i64(entry + _NEXT, next_in_row(load_i64(entry + _NEXT), tick, load_i64(entry + _STRIDE)))
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
        if tensor != _NONE and load_i64(entry + _IS_DIRECT) != 0:
            fill(entry, load_i64(tensors + tensor))
        elif tensor != _NONE:
            fill_window(entry, load_i64(tensors + tensor))
        entry += _INPUT_SIZE


@inline
def fill(entry, base):  # type: ignore[no-untyped-def]
    """Scaled cells -> the elements of a tensor."""
    cells, count, dtype, first = (
        latched_cells(entry), load_i64(entry + _COUNT), load_i64(entry + _DTYPE), load_i64(entry + _FIRST)
    )  # fmt: skip
    scale, offset = load_f64(entry + _SCALE), load_f64(entry + _OFFSET)
    low, high = load_f64(entry + _LOW), load_f64(entry + _HIGH)
    done = 0
    if dtype == _FLOAT:
        while done + _EIGHT <= count:
            value = clipped_eight(load_f64x(cells + 8 * done) * scale + offset, low, high)
            store_singles(base + 4 * (first + done), value)
            done += _EIGHT
    for i in range(done, count):
        store_element(base, dtype, first + i, clipped(load_f64(cells + 8 * i) * scale + offset, low, high))


@inline
def fill_window(entry, base):  # type: ignore[no-untyped-def]
    """The samples of a ring -> the elements of a tensor."""
    dtype, first = load_i64(entry + _DTYPE), load_i64(entry + _FIRST)
    count, spacing = load_i64(entry + _COUNT), load_i64(entry + _SPACING)
    sample = load_i64(entry + _RING) + 8 * count * load_i64(entry + _POSITION)
    for _ in range(load_i64(entry + _WINDOW)):
        done = 0
        if dtype == _FLOAT:
            while done + _EIGHT <= count:
                store_singles(base + 4 * (first + done), load_f64x(sample + 8 * done))
                done += _EIGHT
        for i in range(done, count):
            store_element(base, dtype, first + i, load_f64(sample + 8 * i))
        sample += 8 * count
        first += spacing


@inline
def read_inputs(task, block, tick, now):  # type: ignore[no-untyped-def]
    """Latch, check and convert the inputs of one tick; gives OK when the model may run on them.

    A run that is spread over several cycles takes its inputs when it begins (`scheduler.advance_native`).
    """
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
        turn_at_once(task)
        give_up(task)
        return fault
    fault = fill_windows(task, tick)
    if fault != _OK:
        add_to(stats + _FILLING_CYCLES, 1)
        turn_at_once(task)
        give_up(task)
        return fault
    if block != 0 and slice_of(task) == 0 and is_turn(task, tick):
        gather(task, block)
    return _OK
