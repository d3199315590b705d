"""Test vectors: what differs is named with vector, output, element and both values."""

import numpy as np

from rt_engine.contract import TestVector
from rt_engine.gate.report import Outcome
from rt_engine.gate.vectors import check_vectors
from tests.rt_engine.gate.models import loaded, root, root_contract
from tests.rt_engine.test_state import STATE, counter

X = np.array([[0.0, 0.5, 1.0]], np.float32)


def vector(y, **tolerances):
    return TestVector({"x": X}, {"y": np.asarray(y, np.float32)}, **tolerances)


def checked(*vectors):
    model = loaded(root(), root_contract(vectors=vectors))
    return check_vectors(model, model.contract)


def test_what_agrees_passes_and_says_how_near():
    found = checked(vector(np.sqrt(X + 1)), vector(np.sqrt(X + 1) + 0.05, atol=0.1, rtol=0.0))
    assert found.outcome is Outcome.PASSED
    assert found.why == "2 give what they should; at most 50% of the tolerance"


def test_what_differs_is_named_with_both_values():
    good = np.sqrt(X + 1)
    bad = good + np.array([[0, 0.5, 0]])
    found = checked(vector(good), vector(bad))
    assert found.outcome is Outcome.FAILED
    assert "vector 1: y[0, 1] 'v' is 1.22474492, expected 1.72474492 (+-1e-05, 0.0001 of it)" in found.why


def test_those_of_a_model_with_state_run_in_order_from_a_fresh_state():
    from rt_engine.contract import Contract

    model = counter()
    x = np.ones(3, np.float32)
    steps = tuple(TestVector({"x": x}, {"total": total * x}) for total in (1, 2, 3))
    name = next(iter(STATE))
    steps = tuple(TestVector(step.inputs, {name: next(iter(step.outputs.values()))}) for step in steps)
    good = loaded(model, Contract(state=STATE, vectors=steps), state=STATE)
    assert check_vectors(good, good.contract).outcome is Outcome.PASSED
    turned = loaded(counter(), Contract(state=STATE, vectors=steps[::-1]), state=STATE)
    assert check_vectors(turned, turned.contract).outcome is Outcome.FAILED


def test_a_file_without_any_is_not_refused():
    model = loaded(root())
    assert check_vectors(model, None).outcome is Outcome.SKIPPED
