"""The middle of a cycle: input tensors -> model -> the user's step -> `raw`, in numbers that may go on to the guard.

compute   is_turn     the model's turn; else `go_on`: what is between turns, then the step (`scheduler.slow_native`)
          run_model   the version's outputs, scaled, to `raw`; then a version on trial is judged
          advance     or a slice of its run, and `go_on`, until that is done (`scheduler.slices_native`)
          is_distrusted   the monitor, on the model's tensors, before the step sees `raw`; it ends a trial
          stand_in    the fallback's numbers -> `raw`, where the monitor speaks or the model's are no numbers
          aim         the outputs' way to the next turn begins in `raw`
          run_step    the user's function on `raw`
          look_at     numbers and states that are not finite
"""

from rt_engine.change import Verdict
from rt_engine.run.blocks import BLOCK, SLICES
from rt_engine.run.slices_native import MORE
from rt_engine.run.state_native import restore_states
from rt_engine.status import Status
from rt_native.counting import add_to
from rt_native.lang import call1, call5, inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.advance_native import advance
from scheduler.fallback_native import fallback_use, is_late_cycle, stand_in, stand_on, stands, step_aside
from scheduler.memory_native import keep_model, keep_step, save_model
from scheduler.monitor_native import look, still_speaks
from scheduler.outputs_native import not_finite, scatter
from scheduler.second_native import end_trial, is_on_trial, judge_run, watch_on
from scheduler.slices_native import give_up, slice_of
from scheduler.slow_native import aim, begin_turn, between, fault_of_turn, is_turn, note_fault, turn_at_once
from scheduler.status import Action, TaskStatus
from scheduler.task_block import STATS, STEP_HEADER, TASK, Control, OnFault
from scheduler.time_native import measured

_T, _N, _H = offsets(TASK), offsets(STATS), offsets(STEP_HEADER)
_HEADER, _ELAPSED, _RESUMED, _STEP_TICK = STEP_HEADER.itemsize, _H.elapsed_ns, _H.resumed, _H.tick_ns
_TOLD, _PERIOD, _ON_NAN, _EXECUTE, _STATS, _TICK = (
    _T.told, _T.period_ns, _T.on_nan, _T.execute, _T.stats, _T.tick_ns
)  # fmt: skip
_STEP, _STEP_STATE, _VALUES, _VALUE_COUNT, _RAW, _RAW_COUNT = (
    _T.step, _T.step_state, _T.values, _T.value_count, _T.raw, _T.raw_count
)  # fmt: skip
_NAN_OUTPUTS, _FAILED, _ACTION = _N.nan_outputs, _N.failed, _N.action
_PAUSE, _PASS, _LIVE, _SAFE = int(Control.PAUSE), int(OnFault.PASS), int(Action.LIVE), int(Action.SAFE)
_STAND_IN = int(Action.FALLBACK)
_MONITOR, _HELPER_LATE = int(Verdict.MONITOR), int(Status.HELPER_LATE)
_MORE, _SLICES, _RAN = MORE, offsets(BLOCK).slices, offsets(SLICES).ran_ns
_OK, _PAUSED, _STEP_FAILED, _NAN_OUTPUT, _SPOKEN, _ROLLED_BACK = (
    int(TaskStatus[name]) for name in ["OK", "PAUSED", "STEP_FAILED", "NAN_OUTPUT", "MONITOR", "ROLLED_BACK"]
)


@inline
def compute(task, block, tick):  # type: ignore[no-untyped-def]
    """Run the model and the user's step on the inputs; OK when `raw` holds numbers that may go on to the guard."""
    if load_i64(task + _TOLD) == _PAUSE:
        give_up(task)
        if slice_of(task) != 0:
            turn_at_once(task)
        return _PAUSED
    if slice_of(task) != 0:
        return take_slice(task, block, tick)
    return take_turn(task, block, tick) if is_turn(task, tick) else go_on(task, tick)


@inline
def take_turn(task, block, tick):  # type: ignore[no-untyped-def]
    """The model runs, whole."""
    begin_turn(task, tick)
    return conclude(task, block, tick, run_model(task, block, tick))


@inline
def take_slice(task, block, tick):  # type: ignore[no-untyped-def]
    """The model runs for a slice. Its outputs are taken when the run is done, and are those of its turn then."""
    status = advance(task, block, tick)
    if status == _MORE:
        return go_on(task, tick)
    note_fault(task, _OK)
    watch, took = watch_on(task, block), load_i64(load_i64(block + _SLICES) + _RAN)
    return conclude(task, block, tick, take_outputs(task, block, watch, status, took, tick))


@inline
def conclude(task, block, tick, status):  # type: ignore[no-untyped-def]
    """After a run of the model: what stands in for it where it is not to be trusted, then the step."""
    stats, given, sound, said = load_i64(task + _STATS), 0, _OK, 0
    if status == _ROLLED_BACK:
        return status
    if status == _OK:
        given = not_finite(task)
        said = is_distrusted(task, block, tick)
        if said != 0 and is_on_trial(task, block):
            end_trial(task, block, tick, _MONITOR, -1)
            return _ROLLED_BACK
        sound = keep_model(task, block, given)
    else:
        add_to(stats + _FAILED, 1)
    cause = cause_of(task, status, said, given, sound)
    if cause != _OK and stand_in(task) != 0:
        note_fault(task, cause)
        add_to(stats + _NAN_OUTPUTS, given)
        given = 0
    elif status != _OK:
        return note_fault(task, status)
    aim(task, tick)
    if run_step(task, tick) != _OK:
        step_aside(task)
        add_to(stats + _FAILED, 1)
        return _STEP_FAILED
    return look_at(task, given, sound, cause)


@inline
def go_on(task, tick):  # type: ignore[no-untyped-def]
    """A cycle between two turns of the model: what its outputs, or those of what stands in, are now, then the step."""
    fault = fault_of_turn(task)
    is_new = (
        slice_of(task) != 0 and fault != _OK
    )  # a fallback computes in each cycle, where the model may be long in coming
    if fault != _OK and (stand_in(task) if is_new else stand_on(task)) == 0:
        return fault
    if not is_new:
        between(task, tick)
    if run_step(task, tick) != _OK:
        step_aside(task)
        add_to(load_i64(task + _STATS) + _FAILED, 1)
        return _STEP_FAILED
    wrong = not_finite(task) if load_i64(task + _STEP) != 0 else 0
    add_to(load_i64(task + _STATS) + _NAN_OUTPUTS, wrong)
    if wrong > 0 and load_i64(task + _ON_NAN) != _PASS:
        step_aside(task)
        return _NAN_OUTPUT
    return fault


@inline
def is_distrusted(task, block, tick):  # type: ignore[no-untyped-def]
    """1 where the monitor speaks. In a cycle that a smaller model computes there is no time to look: what it said stays."""
    return still_speaks(task) if is_late_cycle(task) else look(task, block, tick)


@inline
def cause_of(task, status, said, given, sound):  # type: ignore[no-untyped-def]
    """Why the model's numbers are not to be used; OK where they are. A monitor without a fallback only counts."""
    if status != _OK:
        return status
    if said != 0 and fallback_use(task) != 0:
        return _SPOKEN
    return nan_or(task, given, sound)


@inline
def nan_or(task, wrong, sound):  # type: ignore[no-untyped-def]
    """NAN_OUTPUT where numbers are wrong and may not be, and the states are sound or less is done about them; else `sound`."""
    on_nan = load_i64(task + _ON_NAN)
    return _NAN_OUTPUT if wrong > 0 and on_nan != _PASS and (sound == _OK or on_nan == _SAFE) else sound


@inline
def run_model(task, block, tick):  # type: ignore[no-untyped-def]
    """Run the model, its outputs -> `raw`; gives its status, or ROLLED_BACK if it is on trial and was found bad."""
    save_model(task, block)
    watch = watch_on(task, block)
    begun = measured(task) if watch != 0 else 0
    status = call1(load_i64(task + _EXECUTE), block) if block != 0 else _OK
    if status == _HELPER_LATE:  # the model is not at fault: its next run begins where this one did
        restore_states(block)
    return take_outputs(task, block, watch, status, measured(task) - begun if watch != 0 else 0, tick)


@inline
def take_outputs(task, block, watch, status, took, tick):  # type: ignore[no-untyped-def]
    """The outputs of a run that ended with `status` -> `raw`; gives that, or ROLLED_BACK."""
    if status == _OK:
        scatter(task, block, load_i64(task + _RAW))
    if watch != 0:
        status = judge_run(task, block, watch, status, took, tick)
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
    is_own = ran == last_tick and load_i64(load_i64(task + _STATS) + _ACTION) in (_LIVE, _STAND_IN)
    store_i64(header + _RESUMED, 0 if is_own else 1)
    store_i64(header + _ELAPSED, tick - ran if ran != 0 else load_i64(task + _PERIOD))
    store_i64(header + _STEP_TICK, tick)
    inputs, n_in = load_i64(task + _VALUES), load_i64(task + _VALUE_COUNT)
    outputs, n_out = load_i64(task + _RAW), load_i64(task + _RAW_COUNT)
    return _OK if call5(step, inputs, n_in, outputs, n_out, state) == 0 else _STEP_FAILED


@inline
def look_at(task, given, sound, cause):  # type: ignore[no-untyped-def]
    """What this cycle's numbers are worth, now that the step has run. `given`: how many it was given that are not finite."""
    wrong = not_finite(task) if load_i64(task + _STEP) != 0 else given
    add_to(load_i64(task + _STATS) + _NAN_OUTPUTS, wrong)
    keep_step(task, given, wrong)
    if stands(task):
        if wrong == 0 or load_i64(task + _ON_NAN) == _PASS:
            return cause
        step_aside(task)
        return _NAN_OUTPUT
    fault = cause if cause == _SPOKEN else nan_or(task, wrong, sound)
    return fault if fault == _NAN_OUTPUT and given == 0 else note_fault(task, fault)
