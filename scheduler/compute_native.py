"""The middle of a cycle: input tensors -> model -> the user's step -> `raw`, in numbers that may go on to the guard.

compute   is_turn     the model's turn; else `go_on`: what is between turns, then the step (`scheduler.slow_native`)
          run_model   the version's outputs, scaled, to `raw`; then a version on trial is judged
          aim         the outputs' way to the next turn begins in `raw`
          -           here: monitor, and the fallback that it asks for, before the step sees `raw`; a monitor that speaks
                      calls `second_native.end_trial`, and gives ROLLED_BACK if the block is on trial
          run_step    the user's function on `raw`
          look_at     numbers and states that are not finite
"""

from rt_native.counting import add_to
from rt_native.lang import atomic_load, call1, call5, inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.memory_native import keep_sound
from scheduler.outputs_native import not_finite, scatter
from scheduler.second_native import judge_run, watch_on
from scheduler.slow_native import aim, begin_turn, between, fault_of_turn, is_turn, note_fault
from scheduler.status import Action, TaskStatus
from scheduler.task_block import STATS, STEP_HEADER, TASK, Control, OnFault
from scheduler.time_native import now

_T, _N, _H = offsets(TASK), offsets(STATS), offsets(STEP_HEADER)
_HEADER, _ELAPSED, _RESUMED, _STEP_TICK = STEP_HEADER.itemsize, _H.elapsed_ns, _H.resumed, _H.tick_ns
_CONTROL, _PERIOD, _ON_NAN, _EXECUTE, _STATS, _TICK = (
    _T.control, _T.period_ns, _T.on_nan, _T.execute, _T.stats, _T.tick_ns
)  # fmt: skip
_STEP, _STEP_STATE, _VALUES, _VALUE_COUNT, _RAW, _RAW_COUNT = (
    _T.step, _T.step_state, _T.values, _T.value_count, _T.raw, _T.raw_count
)  # fmt: skip
_NAN_OUTPUTS, _FAILED, _ACTION = _N.nan_outputs, _N.failed, _N.action
_PAUSE, _PASS, _LIVE, _SAFE = int(Control.PAUSE), int(OnFault.PASS), int(Action.LIVE), int(Action.SAFE)
_OK, _PAUSED, _STEP_FAILED, _NAN_OUTPUT = (
    int(TaskStatus[name]) for name in ["OK", "PAUSED", "STEP_FAILED", "NAN_OUTPUT"]
)


@inline
def compute(task, block, tick):  # type: ignore[no-untyped-def]
    """Run the model and the user's step on the inputs; OK when `raw` holds numbers that may go on to the guard."""
    if atomic_load(task + _CONTROL) == _PAUSE:
        return _PAUSED
    return take_turn(task, block, tick) if is_turn(task, tick) else go_on(task, tick)


@inline
def take_turn(task, block, tick):  # type: ignore[no-untyped-def]
    """The model, then the step."""
    begin_turn(task, tick)
    fault, given = run_model(task, block, tick), 0
    if fault == _OK:
        given = not_finite(task)
        aim(task, tick)
        fault = run_step(task, tick)
    else:
        note_fault(task, fault)
    if fault != _OK:
        add_to(load_i64(task + _STATS) + _FAILED, 1)
        return fault
    fault = look_at(task, block, given)
    return fault if fault == _NAN_OUTPUT and given == 0 else note_fault(task, fault)


@inline
def go_on(task, tick):  # type: ignore[no-untyped-def]
    """A cycle between two turns of the model: what its outputs are now, then the step."""
    fault = fault_of_turn(task)
    if fault != _OK:
        return fault
    between(task, tick)
    if run_step(task, tick) != _OK:
        add_to(load_i64(task + _STATS) + _FAILED, 1)
        return _STEP_FAILED
    wrong = not_finite(task) if load_i64(task + _STEP) != 0 else 0
    add_to(load_i64(task + _STATS) + _NAN_OUTPUTS, wrong)
    return _NAN_OUTPUT if wrong > 0 and load_i64(task + _ON_NAN) != _PASS else _OK


@inline
def run_model(task, block, tick):  # type: ignore[no-untyped-def]
    """Run the model, its outputs -> `raw`; gives its status, or ROLLED_BACK if it is on trial and was found bad."""
    watch = watch_on(task, block)
    begun = now(task) if watch != 0 else 0
    status = call1(load_i64(task + _EXECUTE), block) if block != 0 else _OK
    if status == _OK:
        scatter(task, block, load_i64(task + _RAW))
    if watch != 0:
        status = judge_run(task, block, watch, status, begun, tick)
    return status


@inline
def run_step(task, tick):  # type: ignore[no-untyped-def]
    """The user's own function: step(inputs, n_in, outputs, n_out, state); before its state lies what it can ask."""
    step = load_i64(task + _STEP)
    if step == 0:
        return _OK
    state, last_tick = load_i64(task + _STEP_STATE), load_i64(task + _TICK)
    header = state - _HEADER
    ran = load_i64(header + _STEP_TICK)
    is_own = ran == last_tick and load_i64(load_i64(task + _STATS) + _ACTION) == _LIVE
    store_i64(header + _RESUMED, 0 if is_own else 1)
    store_i64(header + _ELAPSED, tick - ran if ran != 0 else load_i64(task + _PERIOD))
    store_i64(header + _STEP_TICK, tick)
    inputs, n_in = load_i64(task + _VALUES), load_i64(task + _VALUE_COUNT)
    outputs, n_out = load_i64(task + _RAW), load_i64(task + _RAW_COUNT)
    return _OK if call5(step, inputs, n_in, outputs, n_out, state) == 0 else _STEP_FAILED


@inline
def look_at(task, block, given):  # type: ignore[no-untyped-def]
    """Look at what model and step have left: `raw`, and their states. `given`: how many of the model's outputs are not finite."""
    wrong = not_finite(task) if load_i64(task + _STEP) != 0 else given
    add_to(load_i64(task + _STATS) + _NAN_OUTPUTS, wrong)
    fault, on_nan = keep_sound(task, block, given, wrong), load_i64(task + _ON_NAN)
    if wrong > 0 and on_nan != _PASS and (fault == _OK or on_nan == _SAFE):
        return _NAN_OUTPUT
    return fault
