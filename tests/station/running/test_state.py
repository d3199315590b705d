"""A station whose model keeps something: what becomes of it, and who resets it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from station.cli import app
from station.errors import RefusedError, StationFileError
from station.file.reading import read_station
from station.running.control import ControlServer
from station.running.station import Station
from tests.station.stations import running
from tests.waiting import wait_for

TEXT = """\
[station]
name = "filtering"

[models.filter]
file = "filter.onnx"
state = { h_out = "h_in" }

[links.plant]
type = "in-process"
device = "plant.py:device"
cycle = "2 ms"
timeout = "10 s"

[tags]
x = {}
again = { type = "bool" }
y = { direction = "out", safe = -1 }

[tasks.t]
model = "filter"
cycle = "2 ms"
inputs = ["x"]
outputs = ["y"]
"""
PLANT = """\
given = {"x": 2.0, "again": 0}

def device(outputs):
    given["y"] = outputs["y"]
    return {"x": given["x"], "again": given["again"]}
"""


def filtering(path, gain=0.5):
    """h = gain * h + x * x; y = h."""
    ends = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1]) for n in ("x", "h_in", "y", "h_out")}
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("Mul", ["h_in", "gain"], ["kept"]),
        helper.make_node("Add", ["square", "kept"], ["h_out"]),
        helper.make_node("Identity", ["h_out"], ["y"]),
    ]
    constant = numpy_helper.from_array(np.array([[gain]], np.float32), "gain")
    graph = helper.make_graph(nodes, "filter", [ends["x"], ends["h_in"]], [ends["y"], ends["h_out"]], [constant])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def station_with(tmp_path):
    def make(more=""):
        filtering(tmp_path / "filter.onnx")
        (tmp_path / "plant.py").write_text(PLANT)
        (tmp_path / "station.toml").write_text(TEXT + more)
        return Station(read_station(tmp_path / "station.toml"))

    return make


def plant_of(station):
    return station._parts.links["plant"]._device.__globals__["given"]


def state_resets(station):
    return station.snapshot().tasks[0].counters["state_resets"]


def more_cycles(station):
    """So many that what the plant gives has reached the task."""
    reads = station._parts.links["plant"].status().reads
    wait_for(lambda: station._parts.links["plant"].status().reads > reads + 2)
    before = station.snapshot().tasks[0].cycles
    wait_for(lambda: station.snapshot().tasks[0].cycles > before + 20)


def settles(station):
    wait_for(lambda: station.snapshot().tasks[0].cycles > 10 and plant_of(station).get("y") == pytest.approx(8))


def test_one_absurd_sample_is_over_when_it_is_over(station_with):
    """Finite as it is, it makes the state infinite: that begins anew, is counted and told, and the outputs are live again."""
    station = station_with()
    with running(station):
        settles(station)
        plant_of(station)["x"] = 3e38
        wait_for(lambda: state_resets(station) > 0)
        plant_of(station)["x"] = 2.0
        more_cycles(station)  # the output alone does not tell: it is held at what it was
        settles(station)
        wait_for(lambda: any("began anew" in event.text for event in station.diary.events))
        assert any("the model's state became NaN or infinite" in event.text for event in station.diary.events)
        wait_for(lambda: station.snapshot().tasks[0].note == "")


def test_where_it_is_held_an_update_does_not_carry_it_over(station_with, tmp_path):
    """The infinity stays until somebody does something; the update says that the state began anew, and why."""
    station = station_with('guard = { on_bad_state = "hold", max_hold = "20 ms" }\n')
    with running(station):
        settles(station)
        plant_of(station)["x"] = 3e38
        wait_for(lambda: "infinite" in station.snapshot().tasks[0].note)
        plant_of(station)["x"] = 2.0
        wait_for(lambda: plant_of(station)["y"] == -1.0)  # nothing is held for ever
        wait_for(lambda: "safe" in station.snapshot().tasks[0].note)  # noted behind the outputs
        updated = station.update("filter", filtering(tmp_path / "again.onnx"))
        assert updated.message.endswith("its state was reset: it held NaN or infinity")
        settles(station)
        assert state_resets(station) == 0


def test_a_command_resets(station_with, tmp_path):
    """The one of the command line, over the control socket; a task that is not there is refused by name."""
    station = station_with('guard = { on_bad_state = "safe" }\n')
    socket = tmp_path / "s"
    with running(station), ControlServer(station, socket):
        settles(station)
        plant_of(station)["x"] = 3e38
        wait_for(lambda: plant_of(station)["y"] == -1.0)
        plant_of(station)["x"] = 2.0
        more_cycles(station)
        result = CliRunner().invoke(app, ["reset-state", "t", "--socket", str(socket)])
        assert (result.exit_code, result.output.strip()) == (0, "the state of task t begins anew in its next cycle")
        wait_for(lambda: state_resets(station) > 0)
        more_cycles(station)
        settles(station)
        wrong = CliRunner().invoke(app, ["reset-state", "tt", "--socket", str(socket)])
        assert wrong.exit_code != 0
        assert "tt" in wrong.output


def test_a_tag_resets(station_with):
    """Each time that it is no longer 0; it is no input of the model."""
    station = station_with('reset = "again"\n')
    with running(station):
        settles(station)
        for number in (1, 2):
            plant_of(station)["again"] = 1
            wait_for(lambda number=number: state_resets(station) == number)
            plant_of(station)["again"] = 0
            more_cycles(station)
            assert state_resets(station) == number


def test_a_task_that_keeps_nothing_is_refused(station_with, tmp_path):
    station = station_with()
    text = (tmp_path / "station.toml").read_text().replace('state = { h_out = "h_in" }\n', "")
    (tmp_path / "station.toml").write_text(text.replace('inputs = ["x"]', 'inputs = ["x", "again"]'))
    plain = Station(read_station(tmp_path / "station.toml"))
    with pytest.raises(
        RefusedError, match="task t keeps nothing from cycle to cycle: it has no step, and model filter"
    ):
        plain.reset_state("t")
    with pytest.raises(KeyError, match="axis"):
        station.reset_state("axis")


@pytest.mark.parametrize(
    ("tag", "words"),
    [("agin", 'did you mean "again"'), ("y", 'direction "out"; a reset comes from an input'), ("many", "has 2 values")],
)
def test_a_wrong_reset_is_told(station_with, tag, words):
    more = f'reset = "{tag}"\n[tags.many]\ncount = 2\n'
    with pytest.raises(StationFileError, match=words):
        station_with(more)


def test_a_reset_of_nothing_is_a_warning(station_with, tmp_path):
    station_with()
    path = tmp_path / "station.toml"
    path.write_text(path.read_text().replace('state = { h_out = "h_in" }\n', "") + 'reset = "again"\n')
    assert "nothing can be reset" in " ".join(problem.message for problem in read_station(path).warnings)
