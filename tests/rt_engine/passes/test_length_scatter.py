"""Scatter with as many indices as a run has: what is behind them is not written. ONNX Runtime is the oracle."""

import numpy as np
import pytest

from tests.rt_engine.passes.test_lengths import FLOAT, PLACES, ROWS, VALUES, chosen, model, node, same

NEGATIVE = [*PLACES, node("Sub", ["i", "forty"], ["negative"])]
MORE = {"forty": np.array(40), "zeros": np.zeros(40, np.float32), "picture": np.zeros((30, 6), np.float32)}


@pytest.mark.parametrize("reduction", ["none", "add"])
@pytest.mark.parametrize("index", ["i", "negative"])
def test_elements(index, reduction):
    """Into a tensor of a fixed length; places may count from the end."""
    nodes = [*VALUES, *NEGATIVE, node("ScatterElements", ["zeros", index, "v"], ["y"], axis=0, reduction=reduction)]
    same(model(nodes, {"x": (FLOAT, [40]), "t": (FLOAT, [1])}, more=MORE), chosen((40,)))


@pytest.mark.parametrize("width", [1, 2])
def test_tuples(width):
    """x[x > t] = f(x[x > t]), of a vector and of a matrix."""
    shape = [40] if width == 1 else [30, 6]
    into = "zeros" if width == 1 else "picture"
    nodes = [*VALUES, node("Neg", ["v"], ["w"]), node("ScatterND", [into, "places", "w"], ["y"])]
    same(model(nodes, {"x": (FLOAT, shape), "t": (FLOAT, [1])}, rank=width, more=MORE), chosen(tuple(shape)))


def test_rows():
    """Whole rows, at one index each."""
    nodes = [*ROWS, node("Unsqueeze", ["i", "at1"], ["p"]), node("ScatterND", ["picture", "p", "v"], ["y"])]
    same(model(nodes, {"x": (FLOAT, [30, 6]), "t": (FLOAT, [1])}, rank=2, more=MORE), chosen((30, 6)))


def test_into_a_tensor_with_a_length():
    """Those of the chosen that are above a half are put back among the chosen, as pooling by levels does."""
    nodes = [
        *VALUES,
        node("Greater", ["v", "half"], ["c"]),
        node("NonZero", ["c"], ["f2"]),
        node("Squeeze", ["f2", "at0"], ["j"]),
        node("Gather", ["v", "j"], ["w"]),
        node("Neg", ["w"], ["u"]),
        node("ScatterElements", ["v", "j", "u"], ["y"], axis=0),
    ]
    same(model(nodes, {"x": (FLOAT, [40]), "t": (FLOAT, [1])}), chosen((40,)))


def test_an_index_behind_the_length_of_a_run_is_a_status():
    """Not a silent write into the rest."""
    nodes = [*VALUES, node("Shape", ["v"], ["s"]), node("ScatterElements", ["v", "at2", "seven"], ["y"], axis=0)]
    feeds = [{"x": np.arange(4, dtype=np.float32), "t": np.array([t], np.float32)} for t in (-1, 0, 1, 2, 3)]
    same(model(nodes, {"x": (FLOAT, [4]), "t": (FLOAT, [1])}), feeds)
