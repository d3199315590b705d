"""The command `explain`."""

import json

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from station.cli import app
from station.errors import ExitCode
from tests.rt_engine.explain import models
from tests.station.replay.recordings import OFFSET_NS, model_bytes, record, write


@pytest.fixture
def network(tmp_path):
    """A file with two layers."""
    path = tmp_path / "net.onnx"
    onnx.save(models.mlp(), path)
    return path


def test_a_model_is_explained_on_given_arrays(network, tmp_path):
    """A table, and a page; only the output that was asked for."""
    data, html = tmp_path / "in.npz", tmp_path / "page.html"
    np.savez(data, x=np.array([[1, 2, 3, 4]], np.float32))
    words = ["explain", str(network), "--input", str(data), "--output", "y[1]", "-o", str(html)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "act" in result.output and "y[1] = " in result.output and "y[0] = " not in result.output
    assert "finite differences" in result.output and "occlusion" in result.output
    assert "<!doctype html>" in html.read_text()


def test_several_examples_are_too_many(network, tmp_path):
    """And how they are explained as one."""
    data = tmp_path / "in.npz"
    np.savez(data, x=np.ones((3, 4), np.float32))
    result = CliRunner().invoke(app, ["explain", str(network), "--input", str(data)])
    assert result.exit_code == ExitCode.BAD_FILE
    assert "give one example, or say --shape x=3,4" in " ".join(result.output.split())


def test_json_is_for_programs(network):
    """Random inputs where none are given."""
    result = CliRunner().invoke(app, ["explain", str(network), "--json"])
    assert result.exit_code == 0, result.output
    assert [t["name"] for t in json.loads(result.stdout)["tensors"]] == ["x", "pre", "act", "y"]


def test_a_state_among_the_arrays_is_where_the_run_begins(tmp_path):
    """Others are at their initial value."""
    path, data = tmp_path / "lstm.onnx", tmp_path / "in.npz"
    onnx.save(models.lstm(), path)
    np.savez(data, x=np.ones((1, 1, 3), np.float32), c=np.full((1, 1, 5), 0.5, np.float32))
    words = ["explain", str(path), "--state", "h_out=h", "--state", "c_out=c", "--input", str(data), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    means = {t["name"]: t["mean"] for t in json.loads(result.stdout)["tensors"]}
    assert (means["c"], means["h"]) == (0.5, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "valve"], "no output is called valve; there is y[0], y[1]"),
        (["--at", "#12"], "are for recordings"),
    ],
)
def test_a_mistake_is_said(network, words, said):
    """With what there is."""
    result = CliRunner().invoke(app, ["explain", str(network), *words])
    assert result.exit_code in (ExitCode.BAD_FILE, 2)
    assert said in result.output


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Of 60 cycles of a task with y = 2x."""
    networks = {"policy": model_bytes()}
    return write(tmp_path_factory.mktemp("rec") / "a.mcap", record(networks), networks)


def test_a_cycle_of_a_recording_is_explained(recording, tmp_path):
    """By number and by time the same: names of tags, what was published, in a page too."""
    html, when = tmp_path / "page.html", None
    found = {}
    for at in ("#30", None):
        result = CliRunner().invoke(app, ["explain", str(recording), "--at", at or when, "-o", str(html), "--json"])
        assert result.exit_code == 0, result.output
        found[at] = json.loads(result.stdout)["influence"]
        tick = 1_000_000_000 + 30 * 1_000_000
        when = np.datetime_as_string(np.datetime64(OFFSET_NS + tick, "ns")) + "Z"
    assert found["#30"] == found[None]
    assert [s["name"] for s in found[None]["sources"]] == ["a", "b"]
    assert [t["name"] for t in found[None]["targets"]] == ["p", "q"]
    np.testing.assert_allclose(found[None]["slopes"], [[2, 0], [0, 2]], atol=1e-4)
    assert "#30, tick" in html.read_text() and "the same bits as in the cycle" in html.read_text()
    result = CliRunner().invoke(app, ["explain", str(recording), "--at", "#30", "--output", "p"])
    assert "p = " in result.output and "q = " not in result.output and "median" in result.output


def test_a_model_that_is_nowhere_is_said_with_its_hash(tmp_path):
    """And found in a folder."""
    networks = {"policy": model_bytes()}
    path = write(tmp_path / "a.mcap", record(networks), networks, attach=False)
    result = CliRunner().invoke(app, ["explain", str(path), "--at", "#30"])
    assert result.exit_code == ExitCode.BAD_FILE and "SHA-256" in result.output and "--models" in result.output
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "x.onnx").write_bytes(networks["policy"])
    result = CliRunner().invoke(
        app, ["explain", str(path), "--at", "#30", "--models", str(tmp_path / "models"), "--json"]
    )
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which cycle?"),
        (["--at", "#5000"], "has no cycle at #5000"),
        (["--at", "#30", "--task", "arm"], "no task 'arm'"),
        (["--at", "#30", "--input", "x.npz"], "taken for a recording"),
        (["--at", "#30", "--output", "valve"], "no output is called valve"),
    ],
)
def test_a_mistake_about_a_recording_is_said(recording, words, said):
    """With what there is."""
    result = CliRunner().invoke(app, ["explain", str(recording), *words])
    assert result.exit_code in (ExitCode.BAD_FILE, 2)
    assert said in result.output
