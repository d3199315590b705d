"""Ready steps, compiled with the scheduler: nobody has to write one for what every plant has.

    Task(name="level", period_s=0.01, inputs=(...), outputs=(...), step=pid(gain=2.0, integral_s=5.0, setpoint=40.0))

All go on from what was published: after outputs that were held or safe, and at the start, none jumps to where it was.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scheduler.controller_blocks import LINEAR, PID, RAMP, TWO_POINT, Wanted
from scheduler.errors import StepError
from scheduler.native import NATIVE
from scheduler.steps import Step

FILTER_SHARE = 0.1
"""Of the derivative time: the filter that a derivative has when none is given."""


def linear(matrix: Sequence[Sequence[float]] | NDArray[np.float64], offset: Sequence[float] | None = None) -> Step:
    """`outputs = matrix @ inputs + offset`: a row for each output, a column for each input.

    Raises:
        StepError: not a matrix of finite numbers, or an offset of another length.
    """
    try:
        factors = np.array(matrix, np.float64, ndmin=1)
        offsets = np.array([0.0] * len(factors) if offset is None else offset, np.float64)
    except ValueError as error:
        raise StepError("linear: the rows of the matrix must be numbers, as many in each") from error
    if factors.ndim != 2 or not factors.size:
        raise StepError("linear: the matrix must be a list of rows, each a list of numbers")
    if offsets.shape != (len(factors),):
        raise StepError(f"linear: the offset has {offsets.size} numbers; the matrix has {len(factors)} rows")
    _must_be_finite("linear", matrix=float(factors.sum()), offset=float(offsets.sum()))
    head = np.array([factors.shape], np.int64).tobytes()
    assert len(head) == LINEAR.itemsize
    rows, columns = factors.shape
    return _step("linear", head + offsets.tobytes() + factors.tobytes(), (columns, rows))


def two_point(
    *,
    switch_on: float,
    switch_off: float,
    on_value: float = 1.0,
    off_value: float = 0.0,
    count: int = 1,
    of_model: bool = False,
) -> Step:
    """Each output is on or off; between the limits it stays as it is (hysteresis).

    `switch_on` below `switch_off` is a heater: on at `switch_on` and below, off at `switch_off` and above. The other way round
    a cooler, or an alarm. The signals are the task's inputs, one for each of `count` outputs; `of_model`: what the model gave.

    Raises:
        StepError: the limits are equal, the values are equal, or one is not finite.
    """
    _must_be_finite("two-point", switch_on=switch_on, switch_off=switch_off, on_value=on_value, off_value=off_value)
    if switch_on == switch_off or on_value == off_value:
        raise StepError("two-point: switch_on and switch_off must be different, and so must on_value and off_value")
    block = np.array([(of_model, switch_on, switch_off, on_value, off_value)], TWO_POINT)
    return _step("two_point", block.tobytes() + bytes(8 * count), (None if of_model else count, count), 8 * count)


def ramp(*, up: float, down: float | None = None, count: int = 1, of_model: bool = False) -> Step:
    """Each output follows its signal at most `up` per second, and `down` when it falls (None: as fast). Signals: as `two_point`.

    It begins at the safe value.

    Raises:
        StepError: a rate is not above 0.
    """
    rates = (up, up if down is None else down)
    if not all(0.0 < rate < math.inf for rate in rates):
        raise StepError(f"ramp: up and down are changes per second, above 0; got {rates[0]:g} and {rates[1]:g}")
    block = np.array([(of_model, *rates)], RAMP)
    return _step("ramp", block.tobytes(), (None if of_model else count, count))


def pid(
    *,
    gain: float,
    integral_s: float = 0.0,
    derivative_s: float = 0.0,
    filter_s: float | None = None,
    setpoint: float = 0.0,
    wanted: int = Wanted.CONSTANT,
    measured: int = 0,
    inputs: int = 1,
    bias: float = 0.0,
    low: float = -math.inf,
    high: float = math.inf,
) -> Step:
    """One loop, in the standard form, on the task's only output.

        e = wanted - measured
        output = bias + gain * (e + integral of e / integral_s - derivative_s * d(measured)/dt, filtered), within low .. high

    The derivative is that of the measured value (a new setpoint is no kick), behind a first-order filter of `filter_s`, by
    default a tenth of `derivative_s`. The integral stands still while it would drive the output further into a limit, also
    of the task's guard (anti-windup). At the start, and after outputs that were held or safe, it is set so that the output
    goes on from there (bumpless). Without an integral (`integral_s` 0) the output is what the error says.

    Args:
        measured, wanted: elements of the task's `inputs` elements; `wanted` can be one of `Wanted`: `setpoint`, or what the
            model gave for the output.

    Raises:
        StepError: a number is out of its range.
    """
    smooth = FILTER_SHARE * derivative_s if filter_s is None else filter_s
    _must_be_finite("pid", gain=gain, setpoint=setpoint, bias=bias)
    times = {"integral_s": integral_s, "derivative_s": derivative_s, "filter_s": smooth}
    _must_be_finite("pid", **times)
    if negative := [name for name, value in times.items() if value < 0]:
        raise StepError(f"pid: {negative[0]} is below 0")
    if not (0 <= measured < inputs and Wanted.MODEL <= wanted < inputs) or measured == wanted:
        raise StepError(
            f"pid: measured {measured} and wanted {int(wanted)} are not two different ones of {inputs} inputs"
        )
    if not low < high:
        raise StepError(f"pid: low {low:g} is not below high {high:g}")
    memory = (0.0, 0.0, 0.0, 0.0)
    numbers = (setpoint, gain, integral_s, derivative_s, smooth, bias, low, high)
    return _step("pid", np.array([(measured, wanted, *numbers, *memory)], PID).tobytes(), (inputs, 1), 8 * len(memory))


def _step(name: str, state: bytes, shape: tuple[int | None, int], memory: int = 0) -> Step:
    """`memory`: the last so many bytes of the state are no parameters."""
    fixed = len(state) - memory
    return Step(NATIVE.address(f"controller_{name}"), len(state), name.replace("_", "-"), state, shape, fixed)


def _must_be_finite(what: str, **values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise StepError(f"{what}: {name} must be a finite number, got {value}")
