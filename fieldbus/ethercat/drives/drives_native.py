"""Drives, in each cycle: what they show -> where they are brought -> what they are sent. Between tasks' outputs and requests.

    inputs of the newest answer    statusword, mode, position, error code  --> AXIS.state, AXIS.fault
    outputs of the tasks, or safe  AXIS.enable, AXIS.target, AXIS.reset    --> controlword, mode, target

The arithmetic is `fieldbus.ethercat.drives.cia402`.
"""

import fieldbus.ethercat.drives.cia402 as cia402
from fieldbus.ethercat.drives.drive_block import DRIVE, NO_CELL
from fieldbus.exchange.block import EXCHANGE, TRANSACTION
from fieldbus.exchange.frames_native import transaction_at
from fieldbus.exchange.notes_native import wake
from rt_native.counting import add_to
from rt_native.lang import atomic_exchange, atomic_load, export, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets

state_of = inline(cia402.state_of)
goal_of = inline(cia402.goal_of)
controlword_for = inline(cia402.controlword_for)
stands = inline(cia402.stands)
handed_over = inline(cia402.handed_over)
moved = inline(cia402.moved)

_X, _T, _D = offsets(EXCHANGE), offsets(TRANSACTION), offsets(DRIVE)
_DRIVES, _DRIVE_COUNT, _VALUES_IN, _VALUES_OUT, _TIMEOUT, _FORCE_SAFE = (
    _X.drives, _X.drive_count, _X.values_in, _X.values_out, _X.timeout_ns, _X.force_safe
)  # fmt: skip
_QUALITY, _ASKED = _T.quality, _T.asked_ns
_ROW, _STATUSWORD_CELL, _SHOWN_MODE_CELL, _POSITION_CELL, _ERROR_CELL, _STATE_CELL, _FAULT_CELL = (
    _D.row, _D.statusword_cell, _D.shown_mode_cell, _D.position_cell, _D.error_cell, _D.state_cell, _D.fault_cell
)  # fmt: skip
_CONTROLWORD_CELL, _MODE_CELL, _WIRE_CELL, _TARGET_CELL, _ENABLE_CELL, _RESET_CELL = (
    _D.controlword_cell, _D.mode_cell, _D.wire_cell, _D.target_cell, _D.enable_cell, _D.reset_cell
)  # fmt: skip
_MODE, _IS_MODE_CHECKED, _HANDOVER, _STOP_NS, _LONGEST, _MAX_RATE, _RESET_ASKED = (
    _D.mode, _D.is_mode_checked, _D.handover_ns, _D.stop_ns, _D.longest_ns, _D.max_rate, _D.reset_asked
)  # fmt: skip
_STATE, _GOAL, _CONTROLWORD, _STATUSWORD, _SHOWN_MODE, _IS_HEARD, _LACKS_TARGET = (
    _D.state, _D.goal, _D.controlword, _D.statusword, _D.shown_mode, _D.is_heard, _D.lacks_target
)  # fmt: skip
_ENABLED_NS, _STOPPING_NS, _RESET_NS, _RESET_WANTED, _RESET_TAG, _BEFORE = (
    _D.enabled_ns, _D.stopping_ns, _D.reset_ns, _D.reset_wanted, _D.reset_tag, _D.before_ns
)  # fmt: skip
_COMMANDED, _GAP, _FAULT, _LAST_FAULT, _FAULTS, _RESETS = (
    _D.commanded, _D.gap, _D.fault, _D.last_fault, _D.faults, _D.resets
)  # fmt: skip
_SIZE, _NONE, _BAD = DRIVE.itemsize, NO_CELL, 2
_CSP, _ENABLED, _STOPPING, _REACTING, _IN_FAULT, _TO_ENABLE = (
    int(cia402.Mode.CSP), int(cia402.DriveState.OPERATION_ENABLED), int(cia402.DriveState.QUICK_STOP_ACTIVE),
    int(cia402.DriveState.FAULT_REACTION_ACTIVE), int(cia402.DriveState.FAULT), int(cia402.Goal.ENABLE)
)  # fmt: skip
_NOTHING, _FAULT_RESET, _GENERIC = cia402.NOTHING, cia402.FAULT_RESET, 0x1000
_RESET_HOLD = 200_000_000
"""So long a reset is held at most, if the drive does not leave its fault; another one needs a rising edge."""


@export
def drives_step(exchange, now):  # type: ignore[no-untyped-def]
    """Bring all drives one step further; the outputs of tasks have been gathered, and are still to be sent."""
    drive, news = load_i64(exchange + _DRIVES), 0
    for _ in range(load_i64(exchange + _DRIVE_COUNT)):
        news |= observe(exchange, drive, now)
        command(exchange, drive, now)
        aim(exchange, drive, now)
        store_i64(drive + _BEFORE, now)
        drive += _SIZE
    if news != 0:
        wake(exchange)
    return 0


@inline
def cell_of(values, drive, at):  # type: ignore[no-untyped-def]
    """The value of one of a drive's cells, which must be there."""
    return load_f64(values + 8 * load_i64(drive + at))


@inline
def put(values, drive, at, value):  # type: ignore[no-untyped-def]
    """Set one of a drive's cells, if it is there."""
    cell = load_i64(drive + at)
    if cell != _NONE:
        store_f64(values + 8 * cell, value)


@inline
def observe(exchange, drive, now):  # type: ignore[no-untyped-def]
    """What the drive shows -> its state and fault, for tasks too; gives 1 when a fault has come or gone."""
    values, row = load_i64(exchange + _VALUES_IN), transaction_at(exchange, load_i64(drive + _ROW))
    is_heard = load_i64(row + _QUALITY) != _BAD and now - load_i64(row + _ASKED) <= load_i64(exchange + _TIMEOUT)
    store_i64(drive + _IS_HEARD, 1 if is_heard else 0)
    statusword = int(cell_of(values, drive, _STATUSWORD_CELL))
    state = state_of(statusword)
    store_i64(drive + _STATUSWORD, statusword)
    store_i64(drive + _STATE, state)
    put(values, drive, _STATE_CELL, float(state))
    mode = load_i64(drive + _MODE)
    if load_i64(drive + _SHOWN_MODE_CELL) != _NONE:
        mode = int(cell_of(values, drive, _SHOWN_MODE_CELL))
    store_i64(drive + _SHOWN_MODE, mode)
    if state != _STOPPING:
        store_i64(drive + _STOPPING_NS, 0)
    elif load_i64(drive + _STOPPING_NS) == 0:
        store_i64(drive + _STOPPING_NS, now)
    return observe_fault(values, drive, state)


@inline
def observe_fault(values, drive, state):  # type: ignore[no-untyped-def]
    """The error code of a drive in FAULT; gives 1 when a fault has come or gone."""
    before, fault = load_i64(drive + _FAULT), 0
    if state in (_IN_FAULT, _REACTING):
        if load_i64(drive + _ERROR_CELL) != _NONE:
            fault = int(cell_of(values, drive, _ERROR_CELL))
        fault = fault if fault != 0 else _GENERIC
        store_i64(drive + _LAST_FAULT, fault)
        if before == 0:
            add_to(drive + _FAULTS, 1)
    store_i64(drive + _FAULT, fault)
    put(values, drive, _FAULT_CELL, float(fault))
    return 1 if fault != before else 0


@inline
def command(exchange, drive, now):  # type: ignore[no-untyped-def]
    """Where the drive is brought, and the control word that it gets for that."""
    values, state, statusword = (
        load_i64(exchange + _VALUES_OUT),
        load_i64(drive + _STATE),
        load_i64(drive + _STATUSWORD),
    )
    target = cell_of(values, drive, _TARGET_CELL)
    has_target = 1 if target - target == 0.0 else 0
    shows_mode = load_i64(drive + _SHOWN_MODE) == load_i64(drive + _MODE) or load_i64(drive + _IS_MODE_CHECKED) == 0
    is_right = 1 if shows_mode or state != _ENABLED else 0
    order = cell_of(values, drive, _ENABLE_CELL)
    is_leaving = atomic_load(exchange + _FORCE_SAFE)
    goal = goal_of(load_i64(drive + _IS_HEARD), is_right, order, has_target, is_leaving)
    has_stopped = stands(statusword, now - load_i64(drive + _STOPPING_NS), load_i64(drive + _STOP_NS))
    controlword = controlword_for(state, goal, has_stopped, 1 if shows_mode else 0)
    if resets(values, drive, state, now):
        controlword = _FAULT_RESET
    store_i64(drive + _LACKS_TARGET, 1 if order > 0.5 and has_target == 0 else 0)
    store_i64(drive + _GOAL, goal)
    store_i64(drive + _CONTROLWORD, controlword)
    put(values, drive, _CONTROLWORD_CELL, float(controlword))
    put(values, drive, _MODE_CELL, float(load_i64(drive + _MODE)))


@inline
def resets(values, drive, state, now):  # type: ignore[no-untyped-def]
    """Is the drive told in this cycle to reset its fault? From when somebody asks until it does, for a while."""
    tag = 1 if cell_of(values, drive, _RESET_CELL) > 0.5 else 0
    wanted = load_i64(drive + _RESET_WANTED) | (tag & (1 - load_i64(drive + _RESET_TAG)))
    if atomic_exchange(drive + _RESET_ASKED, 0) != 0:
        wanted = 1
    began = load_i64(drive + _RESET_NS)
    if state != _IN_FAULT:
        began, wanted = 0, wanted if state == _REACTING else 0
    elif began != 0 and now - began >= _RESET_HOLD:
        began = 0  # for a cycle at least the bit falls, so that it can rise
    elif began == 0 and wanted != 0 and load_i64(drive + _IS_HEARD) != 0:
        began, wanted = now, 0
        add_to(drive + _RESETS, 1)
    store_i64(drive + _RESET_TAG, tag)
    store_i64(drive + _RESET_WANTED, wanted)
    store_i64(drive + _RESET_NS, began)
    return began != 0


@inline
def aim(exchange, drive, now):  # type: ignore[no-untyped-def]
    """The target: where the axis is (csp), or 0, until it is enabled; from there on the task's, without a jump."""
    outs, target = load_i64(exchange + _VALUES_OUT), 0.0
    commanded = rest = at_rest(exchange, drive)
    if load_i64(drive + _STATE) == _ENABLED and load_i64(drive + _GOAL) == _TO_ENABLE:
        target, commanded = cell_of(outs, drive, _TARGET_CELL), load_f64(drive + _COMMANDED)
        if load_i64(drive + _ENABLED_NS) == 0:
            store_i64(drive + _ENABLED_NS, now)
            store_f64(drive + _GAP, rest - target)
            commanded = rest
        since = now - load_i64(drive + _ENABLED_NS)
        wanted = handed_over(target, load_f64(drive + _GAP), since, load_i64(drive + _HANDOVER))
        elapsed = min(now - load_i64(drive + _BEFORE), load_i64(drive + _LONGEST))
        commanded = moved(commanded, wanted, load_f64(drive + _MAX_RATE) * elapsed * 1e-9)
    else:
        store_i64(drive + _ENABLED_NS, 0)
    store_f64(drive + _COMMANDED, commanded)
    put(outs, drive, _WIRE_CELL, commanded)
    put(outs, drive, _TARGET_CELL, commanded)


@inline
def at_rest(exchange, drive):  # type: ignore[no-untyped-def]
    """The target with which the axis would not move: its position, in csp as it was heard last; else 0."""
    if load_i64(drive + _MODE) != _CSP:
        return 0.0
    return cell_of(load_i64(exchange + _VALUES_IN), drive, _POSITION_CELL)
