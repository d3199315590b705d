"""What a task remembers from cycle to cycle: the states of its model, and of its step. Kept sound, and put back where it began.

    TASK.on_bad_state     a state of the model is NaN or infinite after a cycle
    RESET                 back to the start, for the next cycle; this one's outputs are held
    RESTORE               back to what it was before this cycle; this one's outputs are held
    HOLD, SAFE            that is done with the outputs, until somebody asks for a reset
    PASS                  nobody looks

A state can also be finite and useless. So with RESET and RESTORE, outputs that the model gave as NaN or infinity in `MOST_WRONG`
cycles in a row reset its states, and outputs that the step made so of the model's numbers as often in a row reset the step's. Of
those nothing else is known but where they begin. A state that has to be restored as often in a row is one of those, and is reset.

A reset of all of them, and of what other models of the task remember, is asked for from outside (`TASK.reset_state`), or by the
rising edge of a cell of an input channel (`TASK.reset_source`).
"""

from fieldbus.image.image_layout import SLOT
from rt_engine.recording.record_block import Flag
from rt_engine.run.state_native import reset_states, restore_states, save_states, states_finite
from rt_native.counting import add_to
from rt_native.lang import atomic_exchange, copy_bytes, inline, load_f64, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.fallback_native import reset_others
from scheduler.second_native import reset_second
from scheduler.slices_native import drop_run, slice_of
from scheduler.slow_native import turn_at_once
from scheduler.status import TaskStatus
from scheduler.tapping_native import raise_flag
from scheduler.task_block import MOST_WRONG, SOURCE, STATS, STEP_HEADER, TASK, OnState

_T, _N, _SLOT = offsets(TASK), offsets(STATS), offsets(SLOT)
_STATS, _RESET_STATE, _ON_STATE = _T.stats, _T.reset_state, _T.on_bad_state
_TEAM = _T.team
_MODEL_WRONG, _STEP_WRONG = _T.model_wrong, _T.step_wrong
_RESET_SOURCE, _RESET_CELL, _RESET_BEFORE = _T.reset_source, _T.reset_cell, _T.reset_before
_STEP_STATE, _STEP_INITIAL, _STEP_BYTES = _T.step_state, _T.step_initial, _T.step_bytes
_STEP_TICK = offsets(STEP_HEADER).tick_ns - STEP_HEADER.itemsize
_LATCHED, _QUALITY, _CELLS, _BAD = offsets(SOURCE).slot, _SLOT.quality, SLOT.itemsize, 2
_STATE_RESETS, _STATE_RESTORES, _RESTORED = _N.state_resets, _N.state_restores, _T.restored
_PASS, _RESET, _RESTORE = int(OnState.PASS), int(OnState.RESET), int(OnState.RESTORE)
_RENEWED = int(Flag.RENEWED)
_OK, _BAD_STATE, _MOST_WRONG = int(TaskStatus.OK), int(TaskStatus.BAD_STATE), MOST_WRONG


@inline
def reset_model(block):  # type: ignore[no-untyped-def]
    """The model's states back to where they began; gives how many there are."""
    return reset_states(block) if block != 0 else 0


@inline
def reset_step(task):  # type: ignore[no-untyped-def]
    """The step's state back to where it began; gives its bytes. It takes the next cycle for its first."""
    nbytes = load_i64(task + _STEP_BYTES)
    if nbytes > 0:
        state = load_i64(task + _STEP_STATE)
        copy_bytes(state, load_i64(task + _STEP_INITIAL), nbytes)
        store_i64(state + _STEP_TICK, 0)
    return nbytes


@inline
def is_triggered(task):  # type: ignore[no-untyped-def]
    """Is the cell that resets no longer 0, and was before? Values of bad quality, and NaN, are not looked at."""
    source = load_i64(task + _RESET_SOURCE)
    if source == 0:
        return False
    slot = load_i64(source + _LATCHED)
    value = load_f64(slot + _CELLS + 8 * load_i64(task + _RESET_CELL))
    if load_i64(slot + _QUALITY) >= _BAD or value != value:
        return False
    before = load_i64(task + _RESET_BEFORE)
    store_i64(task + _RESET_BEFORE, 1 if value != 0.0 else 0)
    return value != 0.0 and before == 0


@inline
def renew(task, block):  # type: ignore[no-untyped-def]
    """Put the states back if somebody has asked for it since the last cycle."""
    triggered = is_triggered(task)
    if atomic_exchange(task + _RESET_STATE, 0) != 0 or triggered:
        drop_run(task)
        if slice_of(task) != 0:
            turn_at_once(task)
        reset_second(task)
        raise_flag(task, _RENEWED)
        count_reset(task, reset_model(block) + reset_step(task) + reset_others(task))


@inline
def count_reset(task, found):  # type: ignore[no-untyped-def]
    """A reset of nothing is none."""
    add_to(load_i64(task + _STATS) + _STATE_RESETS, 1 if found > 0 else 0)


@inline
def save_model(task, block):  # type: ignore[no-untyped-def]
    """Keep the states as they are before a cycle, for RESTORE, and for a helper that is late; they are sound, as the cycle before
    saw to that."""
    if block != 0 and (load_i64(task + _ON_STATE) == _RESTORE or load_i64(task + _TEAM) != 0):
        save_states(block)


@inline
def keep_model(task, block, given):  # type: ignore[no-untyped-def]
    """Look at the states that the model left; BAD_STATE if one is NaN or infinite. `given`: how many of its outputs are so."""
    policy = load_i64(task + _ON_STATE)
    model_wrong = load_i64(task + _MODEL_WRONG) + 1 if given > 0 else 0
    is_bad = policy != _PASS and block != 0 and not states_finite(block)
    restored = load_i64(task + _RESTORED) + 1 if is_bad else 0
    if policy == _RESTORE and is_bad and restored < _MOST_WRONG:
        add_to(load_i64(task + _STATS) + _STATE_RESTORES, 1 if restore_states(block) > 0 else 0)
    elif policy in (_RESET, _RESTORE) and (is_bad or model_wrong >= _MOST_WRONG):
        count_reset(task, reset_model(block))
        model_wrong = restored = 0
    store_i64(task + _MODEL_WRONG, model_wrong)
    store_i64(task + _RESTORED, restored)
    return _BAD_STATE if is_bad else _OK


@inline
def keep_step(task, given, wrong):  # type: ignore[no-untyped-def]
    """Look at what the step left. `given`, `wrong`: how many of the outputs are NaN or infinite before it, and after it."""
    step_wrong = load_i64(task + _STEP_WRONG) + 1 if given == 0 and wrong > 0 else 0
    if load_i64(task + _ON_STATE) in (_RESET, _RESTORE) and step_wrong >= _MOST_WRONG:
        count_reset(task, reset_step(task))
        step_wrong = 0
    store_i64(task + _STEP_WRONG, step_wrong)
