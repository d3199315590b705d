"""Pad of a tensor with a length that is only known at run time. ONNX Runtime is the oracle."""

import numpy as np
import pytest

import rt_engine
from rt_engine.errors import UnsupportedModelError
from tests.rt_engine.passes.test_lengths import FLOAT, ROWS, chosen, model, node, same

MORE = {
    "thirty": np.array(30),
    "forty": np.array(40),
    "six": np.array(6),
    "to": np.array([-1, 6]),
    "order": np.array([-1, 2]),
    "front": np.array([0]),
    "last": np.array([-1]),
    "before": np.array([-(2**62)]),
    "value": np.array(3, np.float32),
}


def padded(total: str, value: str = "") -> list:
    """Rows that are chosen, with as many of a value behind them as are missing; the pads as exporters turn them over."""
    return [
        *ROWS,
        node("Shape", ["v"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Sub", [total, "n"], ["missing"]),
        node("Mul", ["missing", "six"], ["much"]),
        node("Unsqueeze", ["much", "at0"], ["m1"]),
        node("Concat", ["front", "m1"], ["p"], axis=0),
        node("Reshape", ["p", "order"], ["pairs_"]),
        node("Slice", ["pairs_", "last", "before", "at0", "last"], ["turned"]),
        node("Transpose", ["turned"], ["t_"], perm=[1, 0]),
        node("Reshape", ["t_", "flat"], ["pads"]),
        node("Reshape", ["v", "flat"], ["f"]),
        node("Pad", ["f", "pads", value], ["q"]),
        node("Reshape", ["q", "to"], ["y"]),
    ]


@pytest.mark.parametrize(("total", "value"), [("thirty", ""), ("forty", ""), ("forty", "value")])
def test_what_is_missing_is_padded(total, value):
    """It is as long in every run, as boxes after NonMaxSuppression are."""
    proto = model(padded(total, value), {"x": (FLOAT, [30, 6]), "t": (FLOAT, [1])}, rank=2, more=MORE)
    assert not rt_engine.load(proto).counts
    same(proto, chosen((30, 6)))


def test_what_may_be_too_much_is_refused():
    """A pad that would be negative in some run."""
    nodes = padded("six")
    with pytest.raises(UnsupportedModelError, match="Pad over it is not supported"):
        rt_engine.load(model(nodes, {"x": (FLOAT, [30, 6]), "t": (FLOAT, [1])}, rank=2, more=MORE))
