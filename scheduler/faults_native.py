"""From what went wrong in a cycle to what its outputs are: live, held, or safe."""

from rt_native.lang import inline, load_i64, store_i64
from rt_native.memory import offsets
from scheduler.fallback_native import fallback_action, is_other_condemned, longest_hold, stands
from scheduler.status import Action, TaskStatus
from scheduler.task_block import TASK, Control, OnOverrun, OnState

_T = offsets(TASK)
_TOLD, _TRIPPED, _ON_OVERRUN, _ON_NAN, _ON_BAD = _T.told, _T.tripped, _T.on_overrun, _T.on_nan, _T.on_bad_input
_ON_STATE, _MAX_HOLD, _HELD_SINCE = _T.on_bad_state, _T.max_hold_ns, _T.held_since_ns
_PAUSE = int(Control.PAUSE)
_LIVE, _HOLD, _SAFE = int(Action.LIVE), int(Action.HOLD), int(Action.SAFE)
_SKIP, _RESET_STATE, _RESTORE = int(OnOverrun.SKIP), int(OnState.RESET), int(OnState.RESTORE)
(
    _OK,
    _PAUSED,
    _TRIP,
    _NAN_OUTPUT,
    _LATE_CYCLE,
    _BAD_INPUT,
    _NAN_INPUT,
    _FILLING,
    _BAD_STATE,
    _ROLLED_BACK,
    _NO_RESULT,
) = (
    int(TaskStatus[name])
    for name in [
        *("OK", "PAUSED", "WATCHDOG", "NAN_OUTPUT", "OVERRUN"),
        *("BAD_INPUT", "NAN_INPUT", "WINDOW_FILLING", "BAD_STATE", "ROLLED_BACK", "NO_RESULT"),
    ]
)


@inline
def judge(task, fault, late):  # type: ignore[no-untyped-def]
    """What this cycle's outputs have to answer for: pause and watchdog come first, a late end last."""
    if load_i64(task + _TOLD) == _PAUSE:
        return _PAUSED
    if load_i64(task + _TRIPPED) != 0:
        return _TRIP
    if is_other_condemned(task):
        return _ROLLED_BACK
    if (fault == _OK or stands(task)) and late and load_i64(task + _ON_OVERRUN) != _SKIP:
        return _LATE_CYCLE
    return fault


@inline
def action_on(task, fault):  # type: ignore[no-untyped-def]
    """The task's policy for a fault; safe where it has none."""
    if fault == _OK:
        return _LIVE
    instead = fallback_action(task, fault)
    if instead >= 0:
        return instead
    if fault in (_BAD_INPUT, _FILLING):
        return load_i64(task + _ON_BAD)
    if fault in (_NAN_INPUT, _NAN_OUTPUT):
        return load_i64(task + _ON_NAN)
    if fault == _LATE_CYCLE:
        return load_i64(task + _ON_OVERRUN)
    if fault == _ROLLED_BACK:
        return _HOLD
    if fault == _NO_RESULT:
        return _HOLD if load_i64(task + _ON_BAD) == _HOLD else _SAFE
    if fault == _BAD_STATE:
        policy = load_i64(task + _ON_STATE)
        return _HOLD if policy in (_RESET_STATE, _RESTORE) else policy
    return _SAFE


@inline
def end_hold(task, fault, action, tick):  # type: ignore[no-untyped-def]
    """The action; safe where outputs were held for as long as the task may."""
    since = load_i64(task + _HELD_SINCE)
    if action != _HOLD:
        store_i64(task + _HELD_SINCE, -1)
        return action
    if since < 0:
        store_i64(task + _HELD_SINCE, tick)
        return _HOLD
    return _SAFE if tick - since >= longest_hold(task, fault, load_i64(task + _MAX_HOLD)) else _HOLD
