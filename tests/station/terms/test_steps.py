"""Steps of a station file: what is wrong with one is said at its line, and what is right runs."""

import pytest

from station.errors import StationFileError
from station.file.reading import read_station
from station.running.station import Station
from station.terms.steps import STEP_TABLES
from tests.station.stations import write_station
from tests.waiting import wait_for

HEAD = """\
[links.sim]
type = "in-process"
device = "device.py:device"
cycle = "1 ms"
timeout = "50 ms"

[tags]
a = {}
b = {}
force = { direction = "out", low = -10, high = 10 }
other = { direction = "out" }

"""


def station_of(step, inputs='["a"]', outputs='["force"]', more=""):
    """A station file with one task."""
    return f'{HEAD}[tasks.t]\ncycle = "1 ms"\ninputs = {inputs}\noutputs = {outputs}\n{more}{step}\n'


def problems(tmp_path, text):
    """The errors of a station file, as printed, without its path."""
    path = write_station(tmp_path, text)
    try:
        read_station(path)
    except StationFileError as error:
        return [str(p).removeprefix(f"{path}:") for p in error.problems if p.severity == "error"]
    return []


PID = 'step = { type = "pid", gain = 2, integral = "1 s", derivative = "0.1 s", filter = "20 ms", setpoint = 3 }'
GOOD = {
    "pid": (PID, {}),
    "linear": ('step = { type = "linear", matrix = [[1, 2.5]], offset = [1] }', {"inputs": '["a", "b"]'}),
    "two-point": ('step = { type = "two-point", switch_on = 2, switch_off = 1 }', {}),
    "ramp": ('step = { type = "ramp", up = 5, down = 7 }', {}),
    "function": ('step = { type = "function", function = "device.py:device" }', {}),
}


def test_every_type_has_an_example_here():
    assert {table.model_fields["type"].annotation.__args__[0] for table in STEP_TABLES} == set(GOOD)


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_one_has_no_fault(tmp_path, kind):
    step, more = GOOD[kind]
    assert problems(tmp_path, station_of(step, **more)) == []


TWO = {"inputs": '["a", "b"]'}
MISTAKES = [
    ('step = { type = "pdi", gain = 1 }', {}, "unknown step type 'pdi'; allowed: 'pid', 'linear', 'two-point'"),
    ("step = { gain = 1 }", {}, 'needs the key "type": pid, linear, two-point, ramp or function'),
    ('step = { type = "pid", setpoint = 1 }', {}, 'needs the key "gain"'),
    ('step = { type = "pid", gian = 1, setpoint = 1 }', {}, 'unknown key "gian"; did you mean "gain"?'),
    ('step = { type = "pid", gain = 1 }', {}, 'needs the key "setpoint" or "setpoint_tag"'),
    ('step = { type = "pid", gain = 1, setpoint_tag = "b" }', {}, '"b" is none of the task\'s inputs: a'),
    ('step = { type = "pid", gain = 1, setpoint_tag = "a" }', {}, '"a" is the measured value'),
    ('step = { type = "pid", gain = 1, setpoint = 1, filter = "1 ms" }', {}, 'add "derivative"'),
    (
        'step = { type = "pid", gain = 1, setpoint = 1 }',
        {"outputs": '["force", "other"]'},
        "a PID has one output; this task has 2",
    ),
    ('step = { type = "linear", matrix = [[1, 2]] }', {}, "1 rows (outputs) of 1 numbers (inputs), got rows of 2"),
    ('step = { type = "linear", offset = [1, 2] }', {}, "must have 1 numbers, one for each output value, got 2"),
    ('step = { type = "linear" }', TWO, 'the task has 2 input and 1 output values; say in "matrix"'),
    ('step = { type = "linear" }', TWO | {"more": 'model = "mean"\n'}, "the task's model computes the outputs"),
    ('step = { type = "two-point", switch_on = 1, switch_off = 1 }', {}, "is 1 like switch_on"),
    ('step = { type = "ramp", up = 1 }', TWO, "needs an input for each output; this task has 2 and 1"),
    ('step = "device.py"', {}, '"device.py" must be "file.py:function"'),
]


@pytest.mark.parametrize(("step", "more", "expected"), MISTAKES)
def test_a_mistake_is_one_finding_at_its_line(tmp_path, step, more, expected):
    """No second error follows from it."""
    text = station_of(step, **more)
    if "model" in more.get("more", ""):
        text = f'[models.mean]\nfile = "mean.onnx"\n{text}'
    line = text.split("\n").index(step) + 1
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(f"{line}: error: tasks.t.step"), problem
    assert expected in problem


def test_a_value_of_a_wrong_type_is_named(tmp_path):
    """With its key."""
    (problem,) = problems(tmp_path, station_of('step = { type = "ramp", up = -1 }'))
    assert "tasks.t.step.up" in problem
    (problem,) = problems(tmp_path, station_of('step = { type = "pid", gain = "high", setpoint = 1 }'))
    assert "tasks.t.step.gain" in problem


TANK = """\
level = 0.0
forces = []

def device(outputs):
    global level
    forces.append(outputs["force"])
    level += 0.01 * (outputs["force"] - level)
    return {"a": level, "b": 4.0}
"""


def test_a_station_controls_without_a_line_of_code(tmp_path):
    """A PID from the station file brings a plant to the setpoint that another tag says, within the output's limits."""
    step = 'step = { type = "pid", gain = 2, integral = "100 ms", setpoint_tag = "b" }'
    path = write_station(tmp_path, station_of(step, inputs='["a", "b"]'))
    (tmp_path / "device.py").write_text(TANK)
    station = Station(read_station(path))
    plant = station._parts.links["sim"]._device.__globals__
    with station:
        wait_for(lambda: abs(plant["level"] - 4.0) < 0.01)
        assert max(plant["forces"]) <= 10.0
