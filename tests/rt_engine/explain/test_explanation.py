"""An explanation as JSON."""

import json

import numpy as np
import pytest

import rt_engine
from rt_engine.explain import explain
from tests.rt_engine.explain import models


def test_the_json_form_is_json_whatever_the_numbers():
    """NaN and infinity become None."""
    x = np.array([[np.nan, np.inf, 1, 2]], np.float32)
    found = explain(rt_engine.load(models.mlp()), {"x": x}).to_json()
    again = json.loads(json.dumps(found, allow_nan=False))
    names = [t["name"] for t in again["tensors"]]
    assert names[0] == "x" and "act" in names and names[-1] == "y"
    assert again["tensors"][0]["nan"] == again["tensors"][0]["infinite"] == 1
    assert again["influence"]["targets"][0]["value"] is None


def test_a_tensor_is_found_by_name_and_by_operator():
    """A name that is not there is said with those that are."""
    found = explain(rt_engine.load(models.mlp()), {"x": np.zeros((1, 4), np.float32)}, moving=False)
    act = found.tensor("act")
    assert act in found.of_node(act.node)
    with pytest.raises(KeyError, match="act"):
        found.tensor("zzz")
