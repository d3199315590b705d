"""Drawn inputs through a model: the first bad one is named, element by element."""

import pytest

from rt_engine.gate.examine import examine
from rt_engine.gate.report import Outcome
from tests.rt_engine.gate.models import job, loaded, of, proto, root, root_contract
from tests.rt_engine.test_state import STATE, counter


def drawn(model, **more):
    return of(examine(model, job(model, **more)), "drawn inputs")


def test_good_outputs_within_limits_pass():
    found = drawn(loaded(root(), root_contract()))
    assert found.outcome is Outcome.PASSED
    assert found.why == "500 inputs from the contract's ranges give finite outputs within its limits"
    assert found.figures["inputs"] == 500


def test_the_first_input_whose_output_is_not_finite_is_named():
    """The root of what is below zero; input and output have their names and units."""
    found = drawn(loaded(root(), root_contract(low=-2.0)))
    assert found.outcome is Outcome.FAILED
    assert "x[0, 0] 'angle' = " in found.why and " rad" in found.why
    assert "output y[0, " in found.why and "= nan N is not finite" in found.why


def test_an_output_beyond_the_contracts_limits_is_named():
    found = drawn(loaded(root(), root_contract(high=4.0)))
    assert found.outcome is Outcome.FAILED
    assert "beyond the contract's limits 0 to 1.5" in found.why


def test_without_a_contract_they_have_only_to_be_finite_and_the_report_says_so():
    found = drawn(loaded(proto([("Exp", ["x"], ["y"])], [("x", [1, 2])], [("y", [1, 2])])))
    assert found.outcome is Outcome.PASSED and "no limits are known" in found.why
    assert drawn(loaded(root())).outcome is Outcome.FAILED


def test_no_time_is_said():
    found = drawn(loaded(root(), root_contract()), draws=1_000_000, draw_s=0.01)
    assert found.outcome is Outcome.PASSED and "there was no time for more (1,000,000 were wanted" in found.why


def test_a_model_with_state_runs_in_sequences_from_a_fresh_state():
    """Else a sum over all draws would grow beyond any limit."""
    model = loaded(counter(), state=STATE)
    assert "in sequences of at most 100 from a fresh state" in drawn(model).why


@pytest.mark.parametrize("bad", [0, 3])
def test_a_run_that_ends_with_a_status_is_one_of_the_drawn_inputs(bad):
    """An index that is computed from the input points outside of its table."""
    nodes = [("Cast", ["x"], ["i"]), ("Gather", ["table", "i"], ["y"])]
    model = proto(nodes, [("x", [1])], [("y", [1])], [("table", [0.0, 1.0, 2.0])])
    model.graph.node[0].attribute.add(name="to", i=7, type=2)
    from rt_engine.contract import Contract, Element, TensorContract

    inputs = TensorContract("x", (Element("place", low=0, high=2 + bad),))
    found = drawn(loaded(model, Contract(inputs=(inputs,))))
    assert (found.outcome is Outcome.FAILED) == bool(bad)
    assert ("INDEX_OUT_OF_RANGE" in found.why) == bool(bad)
