"""The ready steps: what `scheduler.controllers` describes, on the states of `scheduler.controller_blocks`.

None keeps a NaN or an infinity that came in: it is given on, for the guard to judge.
"""

import math

from rt_native.lang import export, inline, load_f64, load_i64, store_f64
from rt_native.memory import offsets
from scheduler.controller_blocks import LINEAR, PID, RAMP, TWO_POINT, Wanted
from scheduler.task_block import STEP_HEADER

_H, _L, _T, _R, _P = (offsets(block) for block in (STEP_HEADER, LINEAR, TWO_POINT, RAMP, PID))
_ELAPSED, _PERIOD, _RESUMED, _PUBLISHED = (
    offset - STEP_HEADER.itemsize for offset in (_H.elapsed_ns, _H.period_ns, _H.resumed, _H.published)
)
_LINEAR, _TWO_POINT = LINEAR.itemsize, TWO_POINT.itemsize
_ROWS, _COLUMNS, _OF_MODEL = _L.rows, _L.columns, _T.of_model
_SWITCH_ON, _SWITCH_OFF, _ON_VALUE, _OFF_VALUE = _T.switch_on, _T.switch_off, _T.on_value, _T.off_value
_RAMP_OF_MODEL, _UP, _DOWN = _R.of_model, _R.up, _R.down
_MEASURED, _WANTED, _SETPOINT, _GAIN, _BIAS, _LOW, _HIGH = (
    _P.measured, _P.wanted, _P.setpoint, _P.gain, _P.bias, _P.low, _P.high
)  # fmt: skip
_INTEGRAL_S, _DERIVATIVE_S, _FILTER_S = _P.integral_s, _P.derivative_s, _P.filter_s
_INTEGRAL, _SLOPE, _BEFORE, _SENT = _P.integral, _P.slope, _P.before, _P.sent
_CONSTANT, _MODEL = int(Wanted.CONSTANT), int(Wanted.MODEL)


@inline
def is_number(value):
    """Neither NaN nor infinite."""
    return value - value == 0.0


@inline
def within(value, low, high):
    """The nearest value in low .. high."""
    return low if value < low else high if value > high else value


@inline
def seconds(state):
    """How far time went since the last call; a cycle where the step did not run in between."""
    return load_i64(state + (_PERIOD if load_i64(state + _RESUMED) != 0 else _ELAPSED)) * 1e-9


@export
def controller_linear(inputs, n_in, outputs, n_out, state):
    """outputs = matrix @ inputs + offset."""
    rows, columns = load_i64(state + _ROWS), load_i64(state + _COLUMNS)
    offset = state + _LINEAR
    factor = offset + 8 * rows
    for row in range(rows):
        total = load_f64(offset + 8 * row)
        for column in range(columns):
            total += load_f64(factor) * load_f64(inputs + 8 * column)
            factor += 8
        store_f64(outputs + 8 * row, total)
    return 0


@export
def controller_two_point(inputs, n_in, outputs, n_out, state):
    """Each output on or off; between the two limits as before, or as published where this step did not run."""
    on_at, off_at = load_f64(state + _SWITCH_ON), load_f64(state + _SWITCH_OFF)
    on, off = load_f64(state + _ON_VALUE), load_f64(state + _OFF_VALUE)
    published, resumed = load_i64(state + _PUBLISHED), load_i64(state + _RESUMED) != 0
    signals = outputs if load_i64(state + _OF_MODEL) != 0 else inputs
    turn = 1.0 if on_at > off_at else -1.0  # on above, off below; or the other way round
    for i in range(n_out):
        signal, memory = load_f64(signals + 8 * i), state + _TWO_POINT + 8 * i
        before = load_f64(published + 8 * i)
        is_on = abs(before - on) < abs(before - off) if resumed else load_f64(memory) != 0.0
        if turn * signal >= turn * on_at:
            is_on = True
        elif turn * signal <= turn * off_at:
            is_on = False
        store_f64(memory, 1.0 if is_on else 0.0)
        store_f64(outputs + 8 * i, (on if is_on else off) if is_number(signal) else signal)
    return 0


@export
def controller_ramp(inputs, n_in, outputs, n_out, state):
    """Each output from what was published towards its signal, no further than the time allows."""
    time = seconds(state)
    up, down = load_f64(state + _UP) * time, load_f64(state + _DOWN) * time
    published = load_i64(state + _PUBLISHED)
    signals = outputs if load_i64(state + _RAMP_OF_MODEL) != 0 else inputs
    for i in range(n_out):
        signal, before = load_f64(signals + 8 * i), load_f64(published + 8 * i)
        reached = within(signal, before - down, before + up) if is_number(before) else signal
        store_f64(outputs + 8 * i, reached if is_number(signal) else signal)
    return 0


@export
def controller_pid(inputs, n_in, outputs, n_out, state):
    """The first output; `scheduler.controllers.pid` has the equations."""
    measured, published = load_f64(inputs + 8 * load_i64(state + _MEASURED)), load_f64(load_i64(state + _PUBLISHED))
    error = wanted(inputs, outputs, state) - measured
    if not is_number(error):
        store_f64(state + _BEFORE, error)  # so that the next number begins anew
        store_f64(outputs, error)
        return 0
    gain, bias, low, high = (
        load_f64(state + _GAIN), load_f64(state + _BIAS), load_f64(state + _LOW), load_f64(state + _HIGH)
    )  # fmt: skip
    before, integral_s, time = load_f64(state + _BEFORE), load_f64(state + _INTEGRAL_S), seconds(state)
    is_new = load_i64(state + _RESUMED) != 0 or not is_number(before)
    integral, slope, growth = load_f64(state + _INTEGRAL), 0.0, 0.0
    if is_new:
        bumpless = within(published, low, high) - bias - gain * error
        integral = bumpless if integral_s > 0.0 and is_number(bumpless) else 0.0
    else:
        share = time / (load_f64(state + _FILTER_S) + time)
        steepness = gain * load_f64(state + _DERIVATIVE_S) * (before - measured) / time
        slope = load_f64(state + _SLOPE) + share * (steepness - load_f64(state + _SLOPE))
        growth = gain * time / integral_s * error if integral_s > 0.0 else 0.0
    limited = 0.0 if is_new else published - load_f64(state + _SENT)
    if (limited < 0.0 and growth > 0.0) or (limited > 0.0 and growth < 0.0):
        growth = 0.0
    output = bias + gain * error + integral + growth + slope
    output, growth = reined(output, growth, low, high)
    is_sound = is_number(integral + growth) and is_number(slope)  # else too large: the next number begins anew
    store_f64(state + _INTEGRAL, integral + growth)
    store_f64(state + _SLOPE, slope)
    store_f64(state + _BEFORE, measured if is_sound else math.nan)
    store_f64(state + _SENT, output)
    store_f64(outputs, output)
    return 0


@inline
def reined(output, growth, low, high):
    """The output within its limits, and what the integral may grow: no further than to the limit, never back."""
    if output > high:
        return high, (max(growth - (output - high), 0.0) if growth > 0.0 else growth)
    if output < low:
        return low, (min(growth + (low - output), 0.0) if growth < 0.0 else growth)
    return output, growth


@inline
def wanted(inputs, outputs, state):
    """The setpoint: constant, what the model gave, or an input."""
    where = load_i64(state + _WANTED)
    if where == _CONSTANT:
        return load_f64(state + _SETPOINT)
    return load_f64(outputs) if where == _MODEL else load_f64(inputs + 8 * where)
