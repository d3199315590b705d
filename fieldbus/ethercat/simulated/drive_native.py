"""The simulated drive: states, stops and faults of CiA 402, around the loops and the axis of `axis_native`.

    controlword --> state --> ramp or target --> axis --> statusword and actual values

Source: IEC 61800-7-201 (profile CiA 402): states and transitions clause 6.3, option codes 0x605A to 0x605E and 0x6007.
"""

from fieldbus.ethercat.simulated.axis_native import (
    HARDEST,
    NO_RAMP,
    QUICK,
    SLOW,
    advance,
    choose_mode,
    hold,
    is_powered,
    rounded,
    take_target,
    wrapped,
)
from fieldbus.ethercat.simulated.device import Why
from fieldbus.ethercat.simulated.drive_block import CELL, DRIVE, STATE_BITS, DriveState, Error, Mode
from fieldbus.ethercat.simulated.slave_block import SLAVE
from rt_native.lang import export, inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets

_D = offsets(DRIVE)
_STATE, _BEFORE, _BRAKE_NS, _BRAKE_UNTIL, _IS_BRAKED = (
    _D.state, _D.before, _D.brake_ns, _D.brake_until_ns, _D.is_braked
)  # fmt: skip
_FOLLOWS, _RAMP, _RAMP_TO, _OVER, _FAULTS = _D.follows, _D.ramp, _D.ramp_to, _D.over_since_ns, _D.faults
_ASKED_FAULT, _HELD_FAULT, _WAS_OPERATIONAL, _IS_LIMITED, _HALTS = (
    _D.asked_fault, _D.held_fault, _D.was_operational, _D.is_limited, _D.halts
)  # fmt: skip
_POSITION, _VELOCITY, _TORQUE, _INTEGRAL, _DEMAND = _D.position, _D.velocity, _D.torque, _D.integral, _D.demand
_WANTED, _RATED, _COUNTS = _D.wanted_velocity, _D.rated, _D.counts
_W_CONTROLWORD, _W_STATUSWORD, _W_MODE_DISPLAY, _W_POSITION, _W_VELOCITY = (
    CELL.controlword, CELL.statusword, CELL.mode_display, CELL.position, CELL.velocity
)  # fmt: skip
_W_TORQUE, _W_ERROR, _W_QUICK_STOP_OPTION, _W_SHUTDOWN_OPTION, _W_DISABLE_OPTION = (
    CELL.torque, CELL.error, CELL.quick_stop_option, CELL.shutdown_option, CELL.disable_option
)  # fmt: skip
_W_FAULT_OPTION, _W_CONNECTION_OPTION, _W_WINDOW, _W_WINDOW_MS, _W_FOLLOWING_ERROR = (
    CELL.fault_option, CELL.connection_option, CELL.window, CELL.window_ms, CELL.following_error
)  # fmt: skip
_W_DEMAND, _W_MOST_SPEED, _W_DIGITAL_INPUTS = CELL.demand, CELL.most_speed, CELL.digital_inputs
_IS_CLOCKED = offsets(SLAVE).is_clocked
_NOT_READY, _DISABLED, _READY, _ON, _ENABLED, _QUICK_STOP, _REACTION, _FAULT = (int(state) for state in DriveState)
_NONE, _CSP = int(Mode.NONE), int(Mode.CSP)
_BITS_LOW = sum(bits << (8 * state) for state, bits in enumerate(STATE_BITS) if state < _FAULT)
_BITS_FAULT = STATE_BITS[_FAULT]
_SPEED_ERROR, _FOLLOWING_ERROR, _CONNECTION_ERROR = int(Error.SPEED), int(Error.FOLLOWING), int(Error.CONNECTION)
_OPERATIONAL, _ON_OUTPUTS, _ON_SYNC0 = int(Why.OPERATIONAL), int(Why.OUTPUTS), int(Why.SYNC0)
_NO_CHANGE = -1
_NO_WINDOW, _STANDS = 0xFFFFFFFF, 1.0 / 60.0  # turns/s
_VOLTAGE, _REMOTE, _LIMITED, _FOLLOWING, _LATE = 0x0010, 0x0200, 0x0800, 0x1000, 0x2000


# --- states -------------------------------------------------------------------------------------------------------------
# A change is one number: the state during a ramp, the ramp, the state after it; without a ramp the last is entered at once.


@inline
def change_of(via, ramp, then):
    """A change as a number."""
    return via | ramp << 4 | then << 8


@inline
def at_once(state):
    """The change to a state without a ramp."""
    return state << 8


@inline
def ramp_of(option):
    """Option codes 0x605A and 0x605E: 1 slow, 2 quick, 3 and 4 as hard as it can; 5 to 8 the same, and staying."""
    if option > 4:
        option -= 4
    return SLOW if option == 1 else QUICK if option == 2 else HARDEST if option > 0 else NO_RAMP


@inline
def change_enabled(drive, words, control):
    """Transitions 5, 8, 9, 11 out of OPERATION ENABLED; while the axis still stops the command may be taken back."""
    ramp = load_i64(drive + _RAMP)
    if control & 0x02 == 0:
        return at_once(_DISABLED)
    if control & 0x04 == 0:
        return change_of(_QUICK_STOP, ramp_of(load_i64(words + _W_QUICK_STOP_OPTION)), _DISABLED)
    if control & 0x01 == 0:
        return change_of(_ENABLED, SLOW if load_i64(words + _W_SHUTDOWN_OPTION) == 1 else NO_RAMP, _READY)
    if control & 0x08 == 0:
        return change_of(_ENABLED, SLOW if load_i64(words + _W_DISABLE_OPTION) == 1 else NO_RAMP, _ON)
    return at_once(_ENABLED) if ramp != NO_RAMP else _NO_CHANGE


@inline
def change_below(state, control):
    """Transitions 2, 3, 4, 6, 7, 10: states without power."""
    drops = control & 0x06 != 0x06
    if state == _DISABLED:
        return at_once(_READY) if control & 0x07 == 0x06 else _NO_CHANGE
    if drops:
        return at_once(_DISABLED)
    if state == _READY:
        return at_once(_ON) if control & 0x07 == 0x07 else _NO_CHANGE
    if control & 0x07 == 0x06:
        return at_once(_READY)
    return at_once(_ENABLED) if control & 0x0F == 0x0F else _NO_CHANGE


@inline
def change_stopping(drive, words, state, control, rises):
    """Transitions 12, 15, 16: out of QUICK STOP ACTIVE and FAULT."""
    if state == _QUICK_STOP:
        if control & 0x02 == 0:
            return at_once(_DISABLED)
        stays = load_i64(words + _W_QUICK_STOP_OPTION) >= 5
        return at_once(_ENABLED) if stays and control & 0x0F == 0x0F else _NO_CHANGE
    if state == _FAULT and rises & 0x80 != 0 and load_i64(drive + _HELD_FAULT) == 0:
        store_i64(words + _W_ERROR, 0)
        return at_once(_DISABLED)
    return _NO_CHANGE


@inline
def change_asked(drive, words):
    """The change that the control word asks for (IEC 61800-7-201, table 28)."""
    control, state = load_i64(words + _W_CONTROLWORD), load_i64(drive + _STATE)
    rises = control & ~load_i64(drive + _BEFORE)
    store_i64(drive + _BEFORE, control)
    if state == _NOT_READY:
        return at_once(_DISABLED)
    if state <= _ON:
        return change_below(state, control)
    if state == _ENABLED:
        return change_enabled(drive, words, control)
    return change_stopping(drive, words, state, control, rises)


@inline
def change_after_ramp(drive, words):
    """The axis stands: the state after the ramp."""
    if load_i64(drive + _RAMP) == NO_RAMP or load_f64(drive + _WANTED) != 0.0:
        return _NO_CHANGE
    if abs(load_f64(drive + _VELOCITY)) > load_f64(drive + _COUNTS) * _STANDS:
        return _NO_CHANGE
    if load_i64(drive + _STATE) == _QUICK_STOP and load_i64(words + _W_QUICK_STOP_OPTION) >= 5:
        return _NO_CHANGE
    return at_once(load_i64(drive + _RAMP_TO))


@inline
def change_by_fault(drive, words, code):
    """Transitions 13 and 14: an error; what moves is stopped first."""
    state = load_i64(drive + _STATE)
    if state >= _REACTION:
        return _NO_CHANGE
    store_i64(words + _W_ERROR, code)
    store_i64(drive + _FAULTS, load_i64(drive + _FAULTS) + 1)
    return change_of(_REACTION, ramp_of(load_i64(words + _W_FAULT_OPTION)) if is_powered(state) else NO_RAMP, _FAULT)


@inline
def make(drive, change, now):
    """Carry out a change. Into operation the brake opens first, and the axis is held where it is."""
    old, ramp = load_i64(drive + _STATE), (change >> 4) & 0xF
    state = change >> 8 if ramp == NO_RAMP else change & 0xF
    if ramp != NO_RAMP and load_i64(drive + _RAMP) == NO_RAMP:
        store_f64(drive + _WANTED, load_f64(drive + _VELOCITY))
    store_i64(drive + _STATE, state)
    store_i64(drive + _RAMP, ramp)
    store_i64(drive + _RAMP_TO, change >> 8)
    store_i64(drive + _FOLLOWS, 0)
    store_i64(drive + _OVER, 0)
    if state == _ENABLED and not is_powered(old):
        store_f64(drive + _INTEGRAL, 0.0)
        store_i64(drive + _BRAKE_UNTIL, now + load_i64(drive + _BRAKE_NS))


@inline
def change_states(drive, words, why, now):
    """A fault first, then the end of a ramp, then what the master wants."""
    code = load_i64(drive + _ASKED_FAULT)
    store_i64(drive + _ASKED_FAULT, 0)
    lost = lost_connection(drive, words, why)
    code = lost if code == 0 else code
    asked = change_asked(drive, words)
    change = change_after_ramp(drive, words)
    change = asked if change == _NO_CHANGE else change
    if code != 0:
        change = change_by_fault(drive, words, code)
    if change != _NO_CHANGE:
        make(drive, change, now)


@inline
def lost_connection(drive, words, why):
    """Object 0x6007: OP has ended while the drive was in operation. Gives the error, 0: none."""
    is_operational = 1 if why & _OPERATIONAL != 0 else 0
    was = load_i64(drive + _WAS_OPERATIONAL)
    store_i64(drive + _WAS_OPERATIONAL, is_operational)
    state, option = load_i64(drive + _STATE), load_i64(words + _W_CONNECTION_OPTION)
    if was == 0 or is_operational != 0 or (state != _ENABLED and state != _QUICK_STOP) or option == 0:
        return 0
    if option == 1:
        return _CONNECTION_ERROR
    store_i64(words + _W_CONTROLWORD, 0x00 if option == 2 else 0x02)
    return 0


# --- what follows -------------------------------------------------------------------------------------------------------


@inline
def ask_fault(drive, code):
    """The next step finds this error."""
    if load_i64(drive + _ASKED_FAULT) == 0:
        store_i64(drive + _ASKED_FAULT, code)


@inline
def follow(drive, words, now):
    """Begin to follow targets when the brake is open; halt; find too much speed."""
    state, mode = load_i64(drive + _STATE), load_i64(words + _W_MODE_DISPLAY)
    halts = 1 if state == _ENABLED and load_i64(words + _W_CONTROLWORD) & 0x100 != 0 else 0
    if halts != 0 and load_i64(drive + _HALTS) == 0:
        store_f64(drive + _WANTED, load_f64(drive + _VELOCITY))
    store_i64(drive + _HALTS, halts)
    may = state == _ENABLED and load_i64(drive + _RAMP) == NO_RAMP and halts == 0
    was = load_i64(drive + _FOLLOWS)
    follows = 1 if may and mode != _NONE and (was != 0 or now >= load_i64(drive + _BRAKE_UNTIL)) else 0
    store_i64(drive + _FOLLOWS, follows)
    if follows == 0 or was == 0:
        hold(drive)
    most = load_i64(words + _W_MOST_SPEED) * load_f64(drive + _COUNTS) / 60.0
    if is_powered(state) and most > 0.0 and abs(load_f64(drive + _VELOCITY)) > most:
        ask_fault(drive, _SPEED_ERROR)


@inline
def is_far_away(drive, words, now):
    """Objects 0x6065, 0x6066: is the axis too far from its demand? For too long it is an error."""
    error = load_f64(drive + _DEMAND) - load_f64(drive + _POSITION)
    is_csp = load_i64(words + _W_MODE_DISPLAY) == _CSP and load_i64(drive + _FOLLOWS) != 0
    window = load_i64(words + _W_WINDOW)
    store_i64(words + _W_FOLLOWING_ERROR, wrapped(rounded(error)))
    if not is_csp or window == _NO_WINDOW or abs(error) <= window:
        store_i64(drive + _OVER, 0)
        return False
    since = load_i64(drive + _OVER)
    if since == 0:
        store_i64(drive + _OVER, now)
    elif now - since >= load_i64(words + _W_WINDOW_MS) * 1_000_000:
        ask_fault(drive, _FOLLOWING_ERROR)
    return True


@inline
def publish(drive, words, is_late):
    """Status word and actual values."""
    state, position = load_i64(drive + _STATE), load_f64(drive + _POSITION)
    status = _BITS_FAULT if state == _FAULT else (_BITS_LOW >> (8 * state)) & 0xFF
    status |= _VOLTAGE | _REMOTE
    if load_i64(drive + _IS_LIMITED) != 0 and is_powered(state):
        status |= _LIMITED
    if load_i64(drive + _FOLLOWS) != 0:
        status |= _FOLLOWING
    if is_late:
        status |= _LATE
    whole = int(position)
    if position < whole:
        whole -= 1
    store_i64(words + _W_STATUSWORD, status)
    store_i64(words + _W_POSITION, wrapped(whole))
    store_i64(words + _W_VELOCITY, rounded(load_f64(drive + _VELOCITY)))
    store_i64(words + _W_TORQUE, rounded(load_f64(drive + _TORQUE) / load_f64(drive + _RATED) * 1000.0))
    store_i64(words + _W_DEMAND, wrapped(rounded(load_f64(drive + _DEMAND))))
    store_i64(words + _W_DIGITAL_INPUTS, load_i64(drive + _IS_BRAKED) << 16)


@export
def drive_step(drive, now_ns, why, slave, words):
    """One call of the slave's step: the axis up to now, then what the master wants from now on."""
    advance(drive, words, now_ns)
    choose_mode(drive, words)
    change_states(drive, words, why, now_ns)
    follow(drive, words, now_ns)
    is_due = why & (_ON_SYNC0 if load_i64(slave + _IS_CLOCKED) != 0 else _ON_OUTPUTS) != 0
    if is_due and load_i64(drive + _FOLLOWS) != 0:
        take_target(drive, words, now_ns)
    publish(drive, words, is_far_away(drive, words, now_ns))
    return 0
