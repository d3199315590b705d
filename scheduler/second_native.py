"""A second version of a task's model, beside the one that is live: as its shadow, or to take over from it in the same tick.

cycle     remember     what a tick changes is kept, so that it can be done again
          judge_run    after the live one's run: what a version on trial must keep to; its outputs are kept for comparison
          is_found_bad -> take_back: the tick is done again, by the version before, on the same inputs
follow    when the outputs of all tasks of the thread are out: the second runs, if the time left suffices; the two are compared

Of a model that runs in slices (`scheduler.slices_native`) the second does, too, behind the outputs: on the inputs of a run that is
done. Results that come meanwhile are skipped. A version that is found bad ends its run; the one before begins another, and outputs
are held until that is done.
"""

from rt_engine.change import Verdict
from rt_engine.run.blocks import ARRANGEMENT, BLOCK, READER, SLICES, STATE, Mode
from rt_engine.run.slices_native import MORE, begin
from rt_engine.run.slot_native import condemn, fall_back, is_condemned
from rt_engine.run.state_native import is_finite, reset_states, restore_states, save_states, states_finite
from rt_engine.status import Status
from rt_native.counting import add_to
from rt_native.histogram_native import add as count_time
from rt_native.lang import call1, copy_bytes, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets
from rt_native.vector import any_lane, load_f64x
from scheduler.advance_native import spend
from scheduler.inputs_native import gather
from scheduler.lanes_native import LANES
from scheduler.outputs_native import scatter
from scheduler.second_block import BINS, COPY, CUT, DIFFERENCE, FIRST, SAVED, SECOND
from scheduler.slices_native import drop, drop_run, is_under_way, slice_of
from scheduler.slow_native import note_fault, turn_again
from scheduler.status import TaskStatus
from scheduler.task_block import NO_TENSOR, OUTPUT, STATS, TASK, OnState
from scheduler.time_native import measured, shift_of

_T, _S, _C, _K, _D, _O = (offsets(dtype) for dtype in (TASK, SECOND, COPY, SAVED, DIFFERENCE, OUTPUT))
_READER, _STATS, _RAW, _RAW_COUNT, _PERIOD, _EXECUTE, _ON_STATE = (
    _T.reader, _T.stats, _T.raw, _T.raw_count, _T.period_ns, _T.execute, _T.on_bad_state
)  # fmt: skip
_OUTPUTS, _OUTPUT_COUNT, _OUT_COUNT, _OUT_NUMBER, _TENSOR, _OUTPUT_SIZE = (
    _T.outputs, _T.output_count, _O.count, _O.number, _O.tensor, OUTPUT.itemsize
)  # fmt: skip
_WATCH, _ARRANGEMENT, _ACTIVE, _MODE = (
    offsets(READER).watch, offsets(READER).arrangement, offsets(READER).active, offsets(ARRANGEMENT).mode
)  # fmt: skip
_NUMBER, _SECOND, _IS_NEW, _BASE, _NEED, _BUDGET, _PENDING = (
    _S.number, _S.second, _S.is_new, _S.base_ns, _S.need_ns, _S.budget_ns, _S.pending_ns
)  # fmt: skip
_INPUTS, _INPUT_COUNT, _ACTIVE_OUTPUTS, _SECOND_OUTPUTS, _TENSORS = (
    _S.inputs, _S.input_count, _S.active_outputs, _S.second_outputs, _S.output_count
)  # fmt: skip
_LOW, _HIGH, _LIVE, _OTHER, _DIFFERENCES, _SAVED, _SAVED_COUNT, _EXECUTION, _JUDGED = (
    _S.low, _S.high, _S.live, _S.other, _S.differences, _S.saved, _S.saved_count, _S.execution, _S.judged
)  # fmt: skip
_RAN, _SKIPPED, _FAILED, _NOT_FINITE, _OUTSIDE = _S.ran, _S.skipped, _S.failed, _S.not_finite, _S.outside
_SOURCE, _TO, _BYTES, _COPY_SIZE = _C.source, _C.to, _C.nbytes, COPY.itemsize
_PLACE, _KEPT, _KEPT_BYTES, _SAVED_SIZE = _K.place, _K.copy, _K.nbytes, SAVED.itemsize
_LARGEST, _LARGEST_TICK, _BEYOND, _WRONG, _TOLERANCE, _BINS_AT, _DIFFERENCE_SIZE = (
    _D.largest, _D.largest_tick_ns, _D.beyond, _D.not_finite, _D.tolerance, _D.bins, DIFFERENCE.itemsize
)  # fmt: skip
_VERSION, _BLOCK_VERSION, _STATE_SIZE = offsets(STATS).version, offsets(BLOCK).version, STATE.itemsize
_LAST_BIN, _FIRST, _CUT, _NONE, _EIGHT = BINS - 1, FIRST, CUT, NO_TENSOR, LANES
_PLAIN, _TRIAL, _RESET, _RESTORE = int(Mode.PLAIN), int(Mode.TRIAL), int(OnState.RESET), int(OnState.RESTORE)
_OK, _ROLLED_BACK = int(TaskStatus.OK), int(TaskStatus.ROLLED_BACK)
_GOOD, _NUMBERS, _LIMITS, _SLOW, _STOPPED, _SPOKE = (
    int(Verdict[name]) for name in ["NONE", "NOT_FINITE", "OUT_OF_LIMITS", "TOO_SLOW", "FAILED", "MONITOR"]
)
_SLICES, _RAN_NS, _TICK, _MORE = offsets(BLOCK).slices, offsets(SLICES).ran_ns, _T.tick_ns, MORE
_TEAM, _HELPER_LATE = _T.team, int(Status.HELPER_LATE)
_FORGET = 6  # of what it once needed beyond its base, 1/64 is forgotten each time that it is skipped


@inline
def watch_of(task):  # type: ignore[no-untyped-def]
    """The SECOND of a task; 0 while it has none."""
    reader = load_i64(task + _READER)
    return load_i64(reader + _WATCH) if reader != 0 else 0


@inline
def watch_on(task, block):  # type: ignore[no-untyped-def]
    """The SECOND of a task in a cycle in which its active version runs; 0 where it is another block, or has none."""
    watch = watch_of(task)
    if watch != 0 and block != load_i64(load_i64(task + _READER) + _ACTIVE):
        return 0
    return watch


@inline
def reset_second(task):  # type: ignore[no-untyped-def]
    """The second version's states back to where they began."""
    watch = watch_of(task)
    if watch != 0:
        drop(load_i64(watch + _SECOND))
        reset_states(load_i64(watch + _SECOND))
        store_i64(watch + _PENDING, 0)  # the inputs of that result may be overwritten before it runs on them


@inline
def copy_each(row, count, size, to, source, nbytes):  # type: ignore[no-untyped-def]
    """Copy what each row names; `to`, `source` and `nbytes` are where in a row these stand."""
    for _ in range(count):
        copy_bytes(load_i64(row + to), load_i64(row + source), load_i64(row + nbytes))
        row += size


@inline
def remember(task):  # type: ignore[no-untyped-def]
    """Before a tick computes: keep what it changes."""
    watch = watch_of(task)
    if watch != 0:
        if slice_of(task) == 0:
            store_i64(watch + _PENDING, 0)
        rows, count = load_i64(watch + _SAVED), load_i64(watch + _SAVED_COUNT)
        copy_each(rows, count, _SAVED_SIZE, _KEPT, _PLACE, _KEPT_BYTES)


@inline
def restore(watch):  # type: ignore[no-untyped-def]
    """Put back what `remember` kept."""
    rows, count = load_i64(watch + _SAVED), load_i64(watch + _SAVED_COUNT)
    copy_each(rows, count, _SAVED_SIZE, _PLACE, _KEPT, _KEPT_BYTES)


@inline
def copy_inputs(watch):  # type: ignore[no-untyped-def]
    """The active version's inputs -> the second's."""
    rows, count = load_i64(watch + _INPUTS), load_i64(watch + _INPUT_COUNT)
    copy_each(rows, count, _COPY_SIZE, _TO, _SOURCE, _BYTES)


@inline
def is_on_trial(task, block):  # type: ignore[no-untyped-def]
    """Is the block that runs a version on trial?"""
    if watch_on(task, block) == 0:
        return False
    return load_i64(load_i64(load_i64(task + _READER) + _ARRANGEMENT) + _MODE) == _TRIAL


@inline
def end_trial(task, block, tick, verdict, place):  # type: ignore[no-untyped-def]
    """Find the version bad that runs, if it is on trial: the tick is done again then. For who judges beside `judge_run`."""
    if is_on_trial(task, block):
        reader = load_i64(task + _READER)
        condemn(reader, verdict, tick, load_i64(load_i64(reader + _WATCH) + _NUMBER), place)


@inline
def outputs_finite(state, count):  # type: ignore[no-untyped-def]
    """Are all elements of so many tensors numbers?"""
    good = True
    for _ in range(count):
        good = good and is_finite(state)
        state += _STATE_SIZE
    return good


@inline
def first_beyond(watch, raw, count):  # type: ignore[no-untyped-def]
    """Which of `raw` is the first outside of its limits, or -1. What is not a number is not outside."""
    low, high, done = load_i64(watch + _LOW), load_i64(watch + _HIGH), 0
    if low != 0:
        is_within = True
        while is_within and done + _EIGHT <= count:
            eight = load_f64x(raw + 8 * done)
            is_within = not any_lane((eight < load_f64x(low + 8 * done)) | (eight > load_f64x(high + 8 * done)))
            done += _EIGHT if is_within else 0
        for i in range(done, count):
            value = load_f64(raw + 8 * i)
            if value < load_f64(low + 8 * i) or value > load_f64(high + 8 * i):
                return i
    return -1


@inline
def first_lost(raw, count):  # type: ignore[no-untyped-def]
    """Which of `raw` is the first that is NaN or infinite, or -1."""
    for i in range(count):
        value = load_f64(raw + 8 * i)
        if value - value != 0.0:
            return i
    return -1


@inline
def judge_run(task, block, watch, status, took, tick):  # type: ignore[no-untyped-def]
    """After the active version's run, of `took` nanoseconds: OK, its own status, or ROLLED_BACK where it was found bad."""
    raw, count = load_i64(task + _RAW), load_i64(task + _RAW_COUNT)
    if status != _HELPER_LATE and is_on_trial(task, block):  # a core that is late is no fault of the version
        verdict, place = _GOOD, -1
        count_time(load_i64(watch + _JUDGED), took)
        outputs, tensors = load_i64(watch + _ACTIVE_OUTPUTS), load_i64(watch + _TENSORS)
        if status != _OK:
            verdict = _STOPPED
        elif not (outputs_finite(outputs, tensors) and states_finite(block)):
            verdict, place = _NUMBERS, first_lost(raw, count)
        else:
            place = first_beyond(watch, raw, count)
            verdict = _LIMITS if place >= 0 else _SLOW if took > load_i64(watch + _BUDGET) else _GOOD
        if verdict != _GOOD:
            end_trial(task, block, tick, verdict, place)
            return _ROLLED_BACK
    if status == _OK and is_under_way(load_i64(watch + _SECOND)):
        add_to(watch + _SKIPPED, 1)
    elif status == _OK:
        copy_bytes(load_i64(watch + _LIVE), raw, 8 * count)
        store_i64(watch + _PENDING, tick)
    return status


@inline
def is_found_bad(task):  # type: ignore[no-untyped-def]
    """Before outputs are published: has a task found the version bad that they are from?"""
    return watch_of(task) != 0 and is_condemned(load_i64(task + _READER))


@inline
def take_back(task, tick, given):  # type: ignore[no-untyped-def]
    """The version before is active again, and has this tick's inputs; ROLLED_BACK if no time is left to run it in this tick.

    `given`: what the inputs answered for; if they are no good, nothing runs on them.
    """
    reader = load_i64(task + _READER)
    watch = load_i64(reader + _WATCH)
    restore(watch)
    drop_run(task)
    drop(load_i64(watch + _SECOND))
    block = fall_back(reader, tick)
    store_i64(load_i64(task + _STATS) + _VERSION, load_i64(block + _BLOCK_VERSION))
    store_i64(watch + _PENDING, 0)
    turn_again(task)
    if given != _OK:
        return given
    if slice_of(task) != 0:
        return note_fault(task, _ROLLED_BACK)
    if tick + shift_of(task) + load_i64(task + _PERIOD) - measured(task) < load_i64(watch + _NEED):
        add_to(watch + _SKIPPED, 1)
        return _ROLLED_BACK
    gather(task, block)
    return _OK


@inline
def active_block(task):  # type: ignore[no-untyped-def]
    """The block that runs."""
    return load_i64(load_i64(task + _READER) + _ACTIVE)


@inline
def follow(task):  # type: ignore[no-untyped-def]
    """Run the second version on the inputs of the cycle that was, if the time left suffices, and compare the two."""
    watch = watch_of(task)
    if watch != 0 and load_i64(watch + _PENDING) != 0 and slice_of(task) != 0:
        follow_in_slices(task, watch)
    elif watch != 0 and load_i64(watch + _PENDING) != 0:
        tick, begun, need = load_i64(watch + _PENDING), measured(task), load_i64(watch + _NEED)
        store_i64(watch + _PENDING, 0)
        if tick + shift_of(task) + load_i64(task + _PERIOD) - begun < need:
            base = load_i64(watch + _BASE)
            store_i64(watch + _NEED, need - ((need - base) >> _FORGET) - (1 if need > base else 0))
            add_to(watch + _SKIPPED, 1)
        else:
            run_second(task, watch, tick, begun)
            store_i64(watch + _NEED, max(need, measured(task) - begun))


@inline
def run_second(task, watch, tick, begun):  # type: ignore[no-untyped-def]
    """A run of the second version."""
    copy_inputs(watch)
    block = load_i64(watch + _SECOND)
    if load_i64(task + _TEAM) != 0:
        save_states(block)
    status = call1(load_i64(task + _EXECUTE), block)
    if status == _HELPER_LATE:  # no fault of the version
        restore_states(block)
        add_to(watch + _SKIPPED, 1)
    else:
        end_second(task, watch, block, status, measured(task) - begun, tick)


@inline
def follow_in_slices(task, watch):  # type: ignore[no-untyped-def]
    """A slice of the second version's run, which it begins where none is under way."""
    block = load_i64(watch + _SECOND)
    slices = load_i64(block + _SLICES)
    if not is_under_way(block):
        copy_inputs(watch)
        save_states(block)
        begin(slices)
    status = spend(task, slice_of(task), block, load_i64(task + _TICK), 1)
    tick = load_i64(watch + _PENDING)
    if status != _MORE:
        store_i64(watch + _PENDING, 0)
    if status == _HELPER_LATE:  # no fault of the version
        add_to(watch + _SKIPPED, 1)
    elif status != _MORE:
        end_second(task, watch, block, status, load_i64(slices + _RAN_NS), tick)


@inline
def end_second(task, watch, block, status, took, tick):  # type: ignore[no-untyped-def]
    """What a run of the second version gave."""
    other = load_i64(watch + _OTHER)
    count_time(load_i64(watch + _EXECUTION), took)
    add_to(watch + _RAN, 1)
    if status != _OK:
        add_to(watch + _FAILED, 1)
    else:
        scatter(task, block, other)
        sound, tensors = states_finite(block), load_i64(watch + _TENSORS)
        if not (outputs_finite(load_i64(watch + _SECOND_OUTPUTS), tensors) and sound):
            add_to(watch + _NOT_FINITE, 1)
        if load_i64(watch + _IS_NEW) != 0 and first_beyond(watch, other, load_i64(task + _RAW_COUNT)) >= 0:
            add_to(watch + _OUTSIDE, 1)
        if not sound and load_i64(task + _ON_STATE) in (_RESET, _RESTORE):
            reset_states(block)  # as its task would, were it live
        compare(task, watch, tick)


@inline
def compare(task, watch, tick):  # type: ignore[no-untyped-def]
    """How far the two are apart in each output that the model gives."""
    live, other, differences = load_i64(watch + _LIVE), load_i64(watch + _OTHER), load_i64(watch + _DIFFERENCES)
    entry = load_i64(task + _OUTPUTS)
    for _ in range(load_i64(task + _OUTPUT_COUNT)):
        if load_i64(entry + _TENSOR) != _NONE:
            first = load_i64(entry + _OUT_NUMBER)
            for i in range(first, first + load_i64(entry + _OUT_COUNT)):
                apart = abs(load_f64(live + 8 * i) - load_f64(other + 8 * i))
                store_f64(other + 8 * i, apart)
                note_difference(differences + _DIFFERENCE_SIZE * i, apart, load_i64(other + 8 * i), tick)
        entry += _OUTPUT_SIZE


@inline
def note_difference(row, apart, bits, tick):  # type: ignore[no-untyped-def]
    """Count one |difference|, of which `bits` are the bits: two bins for each power of two (`scheduler.second_block`)."""
    if apart - apart != 0.0:
        add_to(row + _WRONG, 1)
    else:
        if apart > load_f64(row + _LARGEST):
            store_f64(row + _LARGEST, apart)
            store_i64(row + _LARGEST_TICK, tick)
        if apart > load_f64(row + _TOLERANCE):
            add_to(row + _BEYOND, 1)
        number = min(max((bits >> _CUT) - _FIRST, 0), _LAST_BIN)
        add_to(row + _BINS_AT + 8 * number, 1)
