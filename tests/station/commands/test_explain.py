"""The command `explain`."""

import json

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from station.cli import app
from station.errors import ExitCode
from tests.rt_engine.explain import models


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
        (["--at", "#12"], "--at"),
    ],
)
def test_a_mistake_is_said(network, words, said):
    """With what there is."""
    result = CliRunner().invoke(app, ["explain", str(network), *words])
    assert result.exit_code in (ExitCode.BAD_FILE, 2)
    assert said in result.output
