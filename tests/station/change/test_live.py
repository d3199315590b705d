"""What a change's new version has to keep to in the tasks of a station."""

from types import SimpleNamespace

import rt_engine
from station.change.live import LiveTasks
from station.change.machine import Policy
from station.change.parts import Candidate
from station.file.reading import read_station
from station.wiring.parts import build
from tests.station.stations import write_station


def test_the_budget_of_a_trial_is_that_of_the_gate(tmp_path):
    """What a task needs besides its model is no time for the model: a run that takes it makes the cycle late."""
    file = read_station(write_station(tmp_path))
    tasks = LiveTasks(file.config, build(file), SimpleNamespace(), lambda: False)
    candidate = Candidate("mean", "m.onnx", "m.onnx", model=rt_engine.load(tmp_path / "twice.onnx"))
    candidate.budgets = {"axis": 960_000}
    assert tasks._terms_of("axis", candidate, Policy()).budget_ns == 960_000
