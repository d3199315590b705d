"""A program as boxes and edges."""

import json

import numpy as np
import pytest

import rt_engine
from rt_engine.explain import graph_of, operator_times
from tests.rt_engine.explain import models


def test_edges_lead_from_inputs_through_operators_to_outputs():
    """Every operator that computes is on the way."""
    graph = graph_of(rt_engine.load(models.lstm(), state={"h_out": "h", "c_out": "c"}))
    edges = {(e.source, e.target) for e in graph.edges}
    names = [n.name for n in graph.rows]
    lstm, fc = f"n{names.index('lstm')}", f"n{names.index('fc')}"
    assert {("i0", lstm), ("i1", lstm), (lstm, fc), (fc, "o0")} <= edges
    assert json.loads(json.dumps(graph.to_json()))["nodes"][0]["ns"] == 0


def test_times_of_records_are_added_up_by_operator():
    """Shares are of all."""
    model = rt_engine.load(models.mlp())
    times = np.arange(1.0, 1 + len(model.program.records))
    graph = graph_of(model, times)
    assert sum(row.ns for row in graph.rows) == times.sum()
    assert sum(row.share for row in graph.rows) == pytest.approx(1)


def test_measured_times_have_a_number_for_each_record():
    """None is negative."""
    model = rt_engine.load(models.mlp())
    times = operator_times(model, 0.001)
    assert len(times) == len(model.program.records)
    assert (times >= 0).all()


def test_the_picture_has_a_box_for_every_operator_that_computes():
    """Flatten only gives a value another shape; and its name, as text that is no markup."""
    drawn = graph_of(rt_engine.load(models.cnn())).svg()
    assert drawn.count("class='operator'") == len(rt_engine.load(models.cnn()).program.nodes) - 1
    assert "<script" not in drawn
