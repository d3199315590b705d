"""The loops of the simulated drive, and the axis that they move.

    target, or ramp --> demand --> position loop --> velocity loop --> torque, limited, lagging --> inertia, friction, load, brake

The axis is integrated in steps of at most 62.5 us up to now: J dv/dt = torque - load - viscous v - coulomb sign(v), semi-implicit
Euler; where it stands still it moves only when more than its static friction pushes. In csp the demand moves from one set point to
the next within an interpolation period.

Source: IEC 61800-7-201 (profile CiA 402), clauses 13 to 15: cyclic synchronous position, velocity and torque mode.
"""

from fieldbus.ethercat.simulated.drive_block import CELL, DRIVE, DriveState, Mode, Ramp
from rt_native.lang import inline, load_f64, load_i64, store_f64, store_i64
from rt_native.memory import offsets

_D = offsets(DRIVE)
_STATE, _LAST, _DUE, _BRAKE_UNTIL, _IS_BRAKED = _D.state, _D.last_ns, _D.due_ns, _D.brake_until_ns, _D.is_braked
_FOLLOWS, _RAMP, _FROM_NS, _SEGMENT, _IS_LIMITED = _D.follows, _D.ramp, _D.from_ns, _D.segment_ns, _D.is_limited
_IS_JAMMED, _HALTS, _POSITION, _VELOCITY, _TORQUE = _D.is_jammed, _D.halts, _D.position, _D.velocity, _D.torque
_INTEGRAL, _DEMAND, _FROM, _TO, _FEED = _D.integral, _D.demand, _D.segment_from, _D.segment_to, _D.feed
_WANTED, _PER_TORQUE, _VISCOUS, _COULOMB, _BRAKE_TORQUE = (
    _D.wanted_velocity, _D.per_torque, _D.viscous, _D.coulomb, _D.brake_torque
)  # fmt: skip
_LOAD, _RATED, _POSITION_GAIN, _VELOCITY_GAIN, _INTEGRAL_GAIN = (
    _D.load, _D.rated, _D.position_gain, _D.velocity_gain, _D.integral_gain
)  # fmt: skip
_LAG_S = _D.lag_s
_W_MODE, _W_MODE_DISPLAY, _W_TARGET_POSITION, _W_TARGET_VELOCITY, _W_TARGET_TORQUE = (
    CELL.mode, CELL.mode_display, CELL.target_position, CELL.target_velocity, CELL.target_torque
)  # fmt: skip
_W_MOST_TORQUE, _W_QUICK_DECELERATION, _W_DECELERATION, _W_VELOCITY_OFFSET, _W_TORQUE_OFFSET = (
    CELL.most_torque, CELL.quick_deceleration, CELL.deceleration, CELL.velocity_offset, CELL.torque_offset
)  # fmt: skip
_W_INTERPOLATION, _W_INTERPOLATION_EXPONENT = CELL.interpolation, CELL.interpolation_exponent
_ENABLED, _REACTION = int(DriveState.OPERATION_ENABLED), int(DriveState.FAULT_REACTION)
_NONE, _CSP, _CSV, _CST = (int(mode) for mode in Mode)
NO_RAMP, QUICK, SLOW, HARDEST = (int(ramp) for ramp in Ramp)
_STEP_NS, _MOST_STEPS = 62_500, 1600
_LEAST_SEGMENT, _MOST_SEGMENT = 62_500, 20_000_000
_HALF, _WORD = 1 << 31, 1 << 32
_JAM_NM = 1e9


@inline
def rounded(value):
    """The nearest whole number."""
    return int(value + 0.5) if value >= 0.0 else -int(0.5 - value)


@inline
def wrapped(value):
    """As 32 bits show it."""
    return (value + _HALF) % _WORD - _HALF


@inline
def is_powered(state):
    """Does the power stage drive the motor?"""
    return _ENABLED <= state <= _REACTION


@inline
def towards(value, target, most):
    """`value`, nearer to `target` by at most `most`."""
    return min(value + most, target) if value < target else max(value - most, target)


# --- targets ------------------------------------------------------------------------------------------------------------


@inline
def hold(drive):
    """The demand is where the axis is."""
    position = load_f64(drive + _POSITION)
    store_f64(drive + _DEMAND, position)
    store_f64(drive + _FROM, position)
    store_f64(drive + _TO, position)
    store_f64(drive + _FEED, 0.0)


@inline
def choose_mode(drive, words):
    """Object 0x6060 -> 0x6061; one that the drive has not is not taken."""
    mode = load_i64(words + _W_MODE)
    if mode != load_i64(words + _W_MODE_DISPLAY) and (mode == _NONE or _CSP <= mode <= _CST):
        store_i64(words + _W_MODE_DISPLAY, mode)
        hold(drive)


@inline
def period_of(words, measured):
    """Object 0x60C2 in nanoseconds; where that is 0, the time between the last two set points."""
    value, exponent = load_i64(words + _W_INTERPOLATION), load_i64(words + _W_INTERPOLATION_EXPONENT)
    if value > 0 and -9 <= exponent <= 0:
        period = value
        for _ in range(9 + exponent):
            period *= 10
    else:
        period = measured
    return min(max(period, _LEAST_SEGMENT), _MOST_SEGMENT)


@inline
def take_target(drive, words, now):
    """A set point has come: csp moves there within a period, from where its demand is now."""
    due = load_i64(drive + _DUE)
    store_i64(drive + _DUE, now)
    demand = load_f64(drive + _DEMAND)
    whole = rounded(demand)
    target = demand - whole + whole + wrapped(load_i64(words + _W_TARGET_POSITION) - wrapped(whole))
    period = period_of(words, now - due)
    store_f64(drive + _FROM, demand)
    store_f64(drive + _TO, target - (demand - whole))
    store_i64(drive + _FROM_NS, now)
    store_i64(drive + _SEGMENT, period)
    store_f64(drive + _FEED, (load_f64(drive + _TO) - demand) / (period * 1e-9))


@inline
def move_demand(drive, now):
    """Where the demand is now, on its way to the set point."""
    passed, period = now - load_i64(drive + _FROM_NS), load_i64(drive + _SEGMENT)
    start, end = load_f64(drive + _FROM), load_f64(drive + _TO)
    if passed >= period:
        store_f64(drive + _DEMAND, end)
        if passed >= 2 * period:
            store_f64(drive + _FEED, 0.0)
    else:
        store_f64(drive + _DEMAND, start + (end - start) * passed / period)


@inline
def wanted_velocity(drive, words, mode, seconds):
    """Counts/s for the velocity loop."""
    ramp = load_i64(drive + _RAMP)
    if ramp != NO_RAMP or load_i64(drive + _HALTS) != 0:
        at = _W_QUICK_DECELERATION if ramp == QUICK else _W_DECELERATION
        most = 1e18 if ramp == HARDEST else load_i64(words + at) * seconds
        wanted = towards(load_f64(drive + _WANTED), 0.0, most)
        store_f64(drive + _WANTED, wanted)
        return wanted
    if load_i64(drive + _FOLLOWS) == 0:
        return 0.0
    if mode == _CSV:
        return float(load_i64(words + _W_TARGET_VELOCITY) + load_i64(words + _W_VELOCITY_OFFSET))
    error = load_f64(drive + _DEMAND) - load_f64(drive + _POSITION)
    return load_f64(drive + _POSITION_GAIN) * error + load_f64(drive + _FEED) + load_i64(words + _W_VELOCITY_OFFSET)


# --- the axis -----------------------------------------------------------------------------------------------------------


@inline
def wanted_torque(drive, words, mode, seconds):
    """Nm, within the limit; the integral stands still where that is reached."""
    rated = load_f64(drive + _RATED)
    most = load_i64(words + _W_MOST_TORQUE) * rated / 1000.0
    integral = load_f64(drive + _INTEGRAL)
    offset = load_i64(words + _W_TORQUE_OFFSET) * rated / 1000.0
    is_torque = mode == _CST and load_i64(drive + _RAMP) == NO_RAMP and load_i64(drive + _HALTS) == 0
    if is_torque and load_i64(drive + _FOLLOWS) != 0:
        torque = load_i64(words + _W_TARGET_TORQUE) * rated / 1000.0 + offset
        store_f64(drive + _INTEGRAL, 0.0)
        error = 0.0
    else:
        error = wanted_velocity(drive, words, mode, seconds) - load_f64(drive + _VELOCITY)
        torque = load_f64(drive + _VELOCITY_GAIN) * error + integral + offset
    limited = min(max(torque, -most), most)
    is_limited = torque != limited
    store_i64(drive + _IS_LIMITED, 1 if is_limited else 0)
    if not is_limited:
        store_f64(drive + _INTEGRAL, integral + load_f64(drive + _INTEGRAL_GAIN) * error * seconds)
    return limited


@inline
def move_axis(drive, seconds):
    """One step of the axis under its torque."""
    velocity, inverse = load_f64(drive + _VELOCITY), load_f64(drive + _PER_TORQUE)
    friction = load_f64(drive + _COULOMB)
    if load_i64(drive + _IS_BRAKED) != 0:
        friction += load_f64(drive + _BRAKE_TORQUE)
    if load_i64(drive + _IS_JAMMED) != 0:
        friction += _JAM_NM
    push = load_f64(drive + _TORQUE) - load_f64(drive + _LOAD) - load_f64(drive + _VISCOUS) * velocity
    if velocity == 0.0:
        moving = 0.0 if abs(push) <= friction else (push - (friction if push > 0.0 else -friction))
        velocity = moving * inverse * seconds
    else:
        free = velocity + push * inverse * seconds
        grip = friction * inverse * seconds
        velocity = towards(free, 0.0, grip)
    store_f64(drive + _VELOCITY, velocity)
    store_f64(drive + _POSITION, load_f64(drive + _POSITION) + velocity * seconds)


@inline
def advance(drive, words, now):
    """Bring axis and loops to `now`."""
    last = load_i64(drive + _LAST)
    store_i64(drive + _LAST, now)
    total = min(now - last, _STEP_NS * _MOST_STEPS)
    if last == 0 or total <= 0:
        return
    count = (total + _STEP_NS - 1) // _STEP_NS
    seconds, mode = total * 1e-9 / count, load_i64(words + _W_MODE_DISPLAY)
    share = seconds / (load_f64(drive + _LAG_S) + seconds)
    for i in range(count):
        at, state = now - total + total * (i + 1) // count, load_i64(drive + _STATE)
        torque = 0.0
        store_i64(drive + _IS_BRAKED, 0 if is_powered(state) and at >= load_i64(drive + _BRAKE_UNTIL) else 1)
        if is_powered(state):
            if load_i64(drive + _FOLLOWS) != 0 and mode == _CSP:
                move_demand(drive, at)
            torque = wanted_torque(drive, words, mode, seconds)
        now_torque = load_f64(drive + _TORQUE)
        store_f64(drive + _TORQUE, now_torque + (torque - now_torque) * share)
        move_axis(drive, seconds)
