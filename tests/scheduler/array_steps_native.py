"""Steps with arrays for the tests, compiled by `Step.compile`."""

from scheduler.step_lang import step


@step(state=2)
def smooth(inputs, outputs, state):
    """Half of the way to the last input; the other number of the state counts."""
    state[0] += 0.5 * (inputs[-1] - state[0])
    state[1] += 1
    outputs[0] = state[0]


@step
def total(inputs, outputs, state):
    """The sum of all inputs, how many outputs there are, whether the first input is above 2."""
    result = 0.0
    for i in range(len(inputs)):
        result += inputs[i]
    outputs[0], outputs[1], outputs[2] = result, len(outputs), inputs[0] > 2
    return 0


@step
def refuse(inputs, outputs, state):
    """Fails for inputs below 0."""
    outputs[0] = 1.0
    return 7 if inputs[0] < 0 else 0


@step
def times(inputs, outputs, state, cycle):
    """What the cycle says."""
    outputs[0], outputs[1] = cycle.period_s, cycle.elapsed_s
    outputs[2] = cycle.published[0] + (100 if cycle.resumed else 0)


@step
def reads_beyond(inputs, outputs, state):
    """An input that is not there."""
    outputs[0] = inputs[len(inputs)]


@step
def writes_beyond(inputs, outputs, state):
    """An output that is not there."""
    outputs[len(outputs)] = 1.0


@step(state=1)
def writes_before(inputs, outputs, state):
    """A number of the state that is not there: the cycle's own words lie before it."""
    state[-2] = 1.0
