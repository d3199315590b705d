"""The keys `threads` and `helper_cpus`: what is refused, with its line, and what good ones make of the task."""

import json

import pytest
from typer.testing import CliRunner

from station.cli import app
from station.errors import StationFileError
from station.file.reading import read_station
from station.machine.computer import Computer
from station.wiring.parts import build
from station.wiring.together import Together
from tests.station.file.test_slice_keys import station
from tests.station.stations import AXIS

OTHER = """
[tasks.other]
cycle = "1 ms"
cpu = 3
inputs = ["speed"]
step = { type = "linear", matrix = [[1.0]] }
"""

LINK = """
[links.plant]
type = "modbus-tcp"
host = "127.0.0.1"
cycle = "10 ms"
cpu = 3
"""


def refused(path, said, key):
    with pytest.raises(StationFileError) as error:
        read_station(path)
    (problem,) = [p for p in error.value.problems if said in p.message]
    assert problem.key == f"tasks.axis.{key}"
    assert key in path.read_text().splitlines()[problem.line - 1]


@pytest.mark.parametrize(
    ("keys", "said", "key"),
    [
        (
            "threads = 2\nhelper_cpus = [1, 2]",
            "names 2; with threads = 2 it names 1 core, or is left out",
            "helper_cpus",
        ),
        ("threads = 3\nhelper_cpus = [1]", "names 1; with threads = 3 it names 2 cores, or is left out", "helper_cpus"),
        ("helper_cpus = [1]", "with threads = 1 it names 0 cores, or is left out", "helper_cpus"),
        ("threads = 3\nhelper_cpus = [1, 1]", "names a core twice; each helper needs its own", "helper_cpus"),
        ("threads = 2\ncpu = 1\nhelper_cpus = [1]", "names core 1, on which the task itself runs", "helper_cpus"),
        ("threads = 9", "8", "threads"),
    ],
)
def test_helpers_that_cannot_be_are_refused(tmp_path, keys, said, key):
    """With their line, and what they can be."""
    refused(station(tmp_path, keys), said, key)


def test_a_core_of_another_task_is_refused(tmp_path):
    """A helper spins on it."""
    path = station(tmp_path, "threads = 2\nhelper_cpus = [3]")
    path.write_text(path.read_text() + OTHER)
    refused(path, "names core 3, which task other uses; a helper needs a core for itself", "helper_cpus")


def test_a_core_of_a_links_thread_is_refused(tmp_path):
    """It reads its device on it."""
    path = station(tmp_path, "threads = 2\nhelper_cpus = [3]")
    path.write_text(path.read_text() + LINK)
    refused(
        path, "names core 3, on which the thread of link plant runs; a helper needs a core for itself", "helper_cpus"
    )


def test_helpers_without_a_model_are_refused(tmp_path):
    axis = AXIS.replace('model = "mean"', 'step = { type = "linear", matrix = [[1.0, 1.0]] }')
    refused(station(tmp_path, "threads = 2", axis), "is of no use without a model", "threads")


@pytest.mark.parametrize(("keys", "told"), [("threads = 2", True), ("", False)])
def test_a_priority_that_leaves_none_for_helpers_is_told(tmp_path, keys, told):
    """Theirs is one less than the task's."""
    path = station(tmp_path, f"priority = 1\n{keys}")
    said = [warning.message for warning in read_station(path).warnings]
    assert any("leaves none for the helpers" in one for one in said) is told


def test_a_core_that_is_not_there_is_told(tmp_path, monkeypatch):
    """Offline, or not left by the control group; the file may be for another computer, so it is a warning."""
    path = station(tmp_path, "threads = 3\nhelper_cpus = [2, 3]")
    monkeypatch.setattr(Computer, "cores", property(lambda self: (0, 1, 2)))
    monkeypatch.setattr(Computer, "allowed", property(lambda self: (0, 1)))
    said = [warning.message for warning in read_station(path).warnings]
    assert any("names core 3, which is offline or not there: this computer has core 0, 1, 2" in one for one in said)
    assert any(
        "names core 2; the control group that this runs in leaves core 0, 1" in one and "AllowedCPUs" in one
        for one in said
    )
    assert any("asks for 3 cores; this process is left core 0, 1: leave the process more cores" in one for one in said)


def test_a_task_gets_its_helpers(tmp_path, monkeypatch):
    monkeypatch.setattr(Computer, "allowed", property(lambda self: (0, 1)))
    file = read_station(station(tmp_path, "threads = 2"))
    assert not file.warnings
    (task,) = build(file).tasks
    assert (task.threads, task.helper_cpus) == (2, ())


def test_check_says_that_a_short_model_stays_on_one_core(tmp_path):
    """In words, and as JSON."""
    path = str(station(tmp_path, "threads = 2"))
    said = CliRunner().invoke(app, ["check", path])
    words = " ".join(said.output.split())
    assert said.exit_code == 0 and "it stays on one core" in words and "cores run model" not in words
    (found,) = json.loads(CliRunner().invoke(app, ["check", "--json", path]).output)
    (one,) = found["together"]
    assert one == {"task": "axis", "model": "mean", "threads": 2, "share": 0.0, "line_ns": None}


def test_cores_that_are_too_far_for_a_model_are_named():
    """What it takes, and what helps."""
    far, near = (Together("axis", "mean", 2, share, 270.0) for share in (0.0, 0.9))
    assert "too short for cores that far apart (a cache line takes 270 ns there and back)" in far.complaint
    assert "share a last-level cache" in far.complaint and not near.complaint
