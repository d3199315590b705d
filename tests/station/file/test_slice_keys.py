"""The key `slice`: what is refused, with its line, and what a good one makes of task, reaction and `check`."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import rt_engine
from rt_engine.run.slicing import slice_runs
from station.cli import app
from station.errors import StationFileError
from station.file.reactions import expected
from station.file.reading import read_station
from station.wiring.parts import build
from station.wiring.slices import spread
from tests.station.stations import AXIS, SIM, station_text, write_station


def station(folder, keys, axis=AXIS):
    """The path of a station whose task has these keys."""
    return write_station(
        folder, station_text("bench", SIM, axis.replace('cycle = "1 ms"\ninputs', f'cycle = "1 ms"\n{keys}\ninputs'))
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            'slice = "1 ms"',
            "is not shorter than the cycle of 1 ms: a model that fits into a cycle needs none, others have up to 900 us",
        ),
        ('slice = "950 us"', "leaves too little of the cycle for inputs, step and outputs: it can be up to 900 us"),
        ('slice = "5 us"', "is too short: to go on with a run costs too much of it; it can be from 20 us on"),
        ('slice = "300 us"\non_late = "mean"', "and on_late exclude each other"),
    ],
)
def test_a_slice_that_fits_nowhere_is_refused(tmp_path, keys, said):
    """With its line, and what it can be."""
    path = station(tmp_path, keys)
    with pytest.raises(StationFileError) as refused:
        read_station(path)
    (problem,) = [p for p in refused.value.problems if said in p.message]
    lines = path.read_text().splitlines()
    assert problem.key == "tasks.axis.slice" and lines[problem.line - 1] == keys.splitlines()[0]


def test_a_slice_without_a_model_is_refused(tmp_path):
    """There is nothing to be sliced."""
    axis = AXIS.replace('model = "mean"', 'step = { type = "linear", matrix = [[1.0, 1.0]] }')
    with pytest.raises(StationFileError, match="is of no use without a model"):
        read_station(station(tmp_path, 'slice = "300 us"', axis))


def test_a_task_gets_its_slice(tmp_path):
    """And outputs may go in a line between two results."""
    file = read_station(station(tmp_path, 'slice = "300 us"\nbetween = "linear"'))
    assert not file.warnings
    (task,) = build(file).tasks
    assert (task.slice_ns, task.every, task.outputs[0].between) == (300_000, 1, "linear")


def test_a_reaction_by_way_of_a_model_in_slices_takes_runs(tmp_path):
    """A run that has just begun is waited for, then the one that has seen the input is done."""
    config = read_station(station(tmp_path, 'slice = "300 us"')).config
    (whole,), (spread,) = expected(config), expected(config, {"axis": 10})
    assert spread.most_ns - whole.most_ns == 19 * config.tasks["axis"].cycle_ns
    assert "by way of the model, which takes 10 cycles" in spread.how


def test_check_says_where_it_counts_with_cores_that_are_not_there(tmp_path, monkeypatch):
    """What a run takes on all of them is no measure of this computer."""
    monkeypatch.setattr("station.wiring.slices.Computer", lambda: SimpleNamespace(allowed=[0]))
    monkeypatch.setattr(
        "station.wiring.slices.slice_runs", lambda *args, threads, **more: replace(slice_runs(*args), threads=threads)
    )
    config = read_station(station(tmp_path, 'slice = "300 us"\nthreads = 2')).config
    (found,) = spread(config, {"mean": rt_engine.load(tmp_path / "mean.onnx")})
    assert " on 2 cores (counted so: this computer leaves 1), in slices of 300 us 1 cycle: " in str(found)


def test_check_and_bench_say_how_many_cycles_a_run_takes(tmp_path):
    """Measured here; in words and as JSON."""
    path = station(tmp_path, 'slice = "300 us"')
    said = CliRunner().invoke(app, ["check", str(path)])
    assert said.exit_code == 0, said.output
    words = " ".join(said.output.split())
    assert re.search(r"task axis: a run of model mean takes .*in slices of 300 us 1 cycle: a result is 1 ms old", words)
    (found,) = json.loads(CliRunner().invoke(app, ["check", "--json", str(path)]).output)
    (one,) = found["slices"]
    assert (one["task"], one["cycles"], one["latency_ns"]) == ("axis", 1, 1_000_000)
    assert not one["cores_left"] and "counted so" not in words
    done = CliRunner().invoke(
        app, ["bench", str(tmp_path / "mean.onnx"), "--vs", "", "--seconds", "0.1", "--slice", "soon"]
    )
    assert done.exit_code == 2 and "is no duration" in " ".join(done.output.split())
