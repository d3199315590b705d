"""Where the axis of `rt-engine demo --ethercat` should be: to and fro, 0.8 rad to each side, once in 3 s."""

from scheduler.step_lang import step

AMPLITUDE_RAD = 0.8
RATE = 2.0944  # rad/s: 2 pi / 3


@step(state=2)
def swing(inputs, outputs, state, cycle):  # type: ignore[no-untyped-def]
    """A point on a circle, turned by as much as time went by; the axis is wanted."""
    if state[0] == 0.0 and state[1] == 0.0:
        state[0] = 1.0
    angle = RATE * cycle.elapsed_s
    sine = angle - angle * angle * angle / 6.0
    x, y = state[0], state[1]
    cosine = 1.0 - 0.5 * angle * angle
    x, y = x * cosine - y * sine, x * sine + y * cosine
    size = 1.5 - 0.5 * (x * x + y * y)  # 1 / length, near 1: rounding does not add up
    state[0], state[1] = x * size, y * size
    outputs[0] = AMPLITUDE_RAD * y
    outputs[1] = AMPLITUDE_RAD * RATE * x
    outputs[2] = 1.0
