"""The command `replay` over many recordings, on workers."""

import json

import pytest
from typer.testing import CliRunner

from station.cli import app
from station.errors import ExitCode
from tests.station.replay.recordings import STATION, model_bytes, record, write

NETWORKS = {"policy": model_bytes()}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Two stations; a bit of the second is another."""
    folder = tmp_path_factory.mktemp("fleet")
    for name in ("left", "right"):
        (folder / name).mkdir()
        axis = record(NETWORKS)
        if name == "right":
            axis.layout.raw(axis.records)[31, 0] += 1e-9
        write(folder / name / "a.mcap", axis, NETWORKS, text=STATION.replace('"bench"', f'"{name}"'))
    return folder


def ask(*words):
    return CliRunner().invoke(app, ["replay", *map(str, words)])


def test_a_folder_of_stations_is_replayed_by_processes(fleet):
    """A line for each, the first difference, how fast it was; what differs is the exit code."""
    done = ask(fleet, "--workers", 1)
    assert done.exit_code == ExitCode.FAILED
    assert "left" in done.output and "the same bits" in done.output
    assert "right, axis: cycle 31, tick" in done.output
    assert "120 cycles in" in done.output and "on 1 worker: " in done.output
    done = ask(fleet / "left", "--workers", 1, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["is_equal"], found["cycles"], found["parts"][0]["station"]) == (True, 60, "left")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--on", "ray://x"], ExitCode.FAILED, "dask://HOST:8786"),
        (["--on", "dask://127.0.0.1:1"], ExitCode.FAILED, "dask"),
        (["--workers", "0"], 2, "--workers"),
    ],
)
def test_workers_that_are_not_there_are_said(fleet, monkeypatch, words, code, said):
    """With what would help."""
    monkeypatch.setattr("station.replay.pool.CONNECT_S", 0.5)
    done = ask(fleet, *words)
    assert (done.exit_code, said in done.output) == (code, True), done.output


def test_a_folder_without_recordings_is_said(tmp_path):
    done = ask(tmp_path, "--workers", 1)
    assert done.exit_code == ExitCode.BAD_FILE and "no recordings" in done.output


def test_another_model_is_tried_on_all_stations(fleet, tmp_path):
    """A line for each, all outputs together; a page is of one station."""
    model = tmp_path / "new.onnx"
    model.write_bytes(model_bytes(2.5))
    words = (fleet, "--model", model, "--tolerance", "0.1", "--workers", 1)
    done = ask(*words)
    assert done.exit_code == ExitCode.FAILED
    assert "all stations together" in done.output
    assert {"left", "right"} <= {line.split()[0] for line in done.output.splitlines() if line.strip()}
    found = json.loads(ask(*words, "--json").stdout)
    assert [one["station"] for one in found["stations"]] == ["left", "right"] and not found["passes"]
    done = ask(*words, "--html", tmp_path / "page.html")
    assert done.exit_code == 2 and "a page is of one station" in done.output
