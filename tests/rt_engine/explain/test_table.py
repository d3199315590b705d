"""An explanation in a terminal."""

import io

import numpy as np

import rt_engine
from rt_engine.explain import explain
from rt_engine.explain.table import figure, influences, tensors
from rt_native.terminal import Terminal
from tests.rt_engine.explain import models


def printed(*sheets) -> str:
    out = io.StringIO()
    console = Terminal(file=out, width=200)
    for sheet in sheets:
        console.print(sheet)
    return out.getvalue()


def test_tensors_and_what_moved_the_outputs_are_lines():
    """The input that did most first."""
    weights = np.array([[1.0], [-5.0], [2.0]])
    found = explain(rt_engine.load(models.linear(weights, np.zeros(1))), {"x": np.ones((1, 3), np.float32)})
    lines = printed(tensors(found), *influences(found.influence)).splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["x", "y"]
    assert lines[4] == "y = -2"
    assert [line.split()[:4] for line in lines[6:]] == [
        ["x[1]", "1", "0", "-5"],
        ["x[2]", "1", "0", "2"],
        ["x[0]", "1", "0", "1"],
    ]


def test_what_is_not_finite_stands_out():
    """Its counts are in the last column."""
    found = explain(rt_engine.load(models.mlp()), {"x": np.full((1, 4), np.nan, np.float32)}, moving=False)
    assert printed(tensors(found)).splitlines()[2].split()[-2:] == ["4,", "0"]


def test_a_number_that_is_none_is_a_dash():
    assert (figure(None), figure(float("nan")), figure(0.1 + 0.2)) == ("-", "-", "0.3")
