"""The contract of a new version beside that of the running one, and beside the station's tags."""

from dataclasses import replace

import pytest

from rt_engine.contract import Element, TensorContract
from rt_engine.contract.compare import Wire, Wiring
from rt_engine.contract.keys import to_keys
from rt_engine.gate.contracts import UNKNOWN
from rt_engine.gate.examine import examine
from rt_engine.gate.report import Outcome
from tests.rt_engine.gate.models import job, loaded, of, root, root_contract

HERE = root_contract()
INPUT = HERE.inputs[0]
SCALED = TensorContract("x", (replace(INPUT.elements[0], scale=2.0), *INPUT.elements[1:]))


def with_elements(*elements):
    return root_contract(inputs=(TensorContract("x", elements),))


@pytest.mark.parametrize(
    ("running", "words"),
    [
        (
            with_elements(replace(INPUT.elements[0], unit="deg"), *INPUT.elements[1:]),
            "'angle' is in rad, of the running one in deg",
        ),
        (
            with_elements(*INPUT.elements[::-1]),
            "has its elements in another order: angle, speed, force; the running one's is force",
        ),
        (with_elements(Element("tilt", "rad"), *INPUT.elements[1:]), "element 0 is 'angle', of the running one 'tilt'"),
        (root_contract(rate_hz=1000.0), "it was trained for 100 Hz, the running one for 1000 Hz"),
        (
            root_contract(inputs=(SCALED,), scaling="outside"),
            "'angle' has scale 1 and offset 0, of the running one 2 and 0",
        ),
    ],
)
def test_another_meaning_is_refused_with_both(running, words):
    model = loaded(root(), HERE)
    same = of(examine(model, job(model, running=to_keys(HERE))), "same meaning")
    assert same.outcome is Outcome.PASSED
    found = of(examine(model, job(model, running=to_keys(running))), "same meaning")
    assert found.outcome is Outcome.FAILED and words in found.why


@pytest.mark.parametrize(
    ("contract", "outcome", "words"),
    [
        (None, Outcome.SKIPPED, "it has no contract, the running model has one: nothing is known of order, units and"),
        (
            with_elements(replace(INPUT.elements[0], unit=""), *INPUT.elements[1:]),
            Outcome.PASSED,
            "says less than the running model's: input 'x' 'angle' has no unit, of the running one rad",
        ),
        (root_contract(inputs=()), Outcome.PASSED, "input 'x' 'angle' is not described"),
    ],
)
def test_what_the_running_contract_says_and_the_new_one_does_not_is_told(contract, outcome, words):
    model = loaded(root(), contract) if contract is not None else loaded(root())
    found = of(examine(model, job(model, running=to_keys(HERE))), "same meaning")
    assert found.outcome is outcome and words in found.why
    assert found.figures[UNKNOWN] >= 1


def wiring(**wire):
    return Wiring(
        task="t", period_ns=10_000_000, inputs=(Wire(tag="hip", tensor="x", index=0, low=-1, high=1, **wire),)
    )


def station(model, running=None, **wire):
    keys = {} if running is None else to_keys(running)
    return of(examine(model, job(model, wirings=(wiring(**wire),), running=keys)), "station")


def test_what_is_connected_in_another_unit_is_refused_with_both_units():
    model = loaded(root(), HERE)
    assert station(model, unit="rad").outcome is Outcome.PASSED
    found = station(model, unit="deg")
    assert found.outcome is Outcome.FAILED
    assert "task t: tag hip is in deg; angle of x in rad" in found.why


def test_a_difference_that_the_running_one_has_too_refuses_nothing():
    """The station's file was accepted with it."""
    assert station(loaded(root(), HERE), running=HERE, unit="deg").outcome is Outcome.PASSED


def test_a_warning_is_said_and_refuses_nothing():
    found = station(loaded(root(), root_contract(high=0.5)), unit="rad")
    assert found.outcome is Outcome.PASSED and "was trained for -1 .. 0.5 rad" in found.why


def test_a_contract_may_be_demanded():
    model = loaded(root())
    assert of(examine(model, job(model)), "contract").outcome is Outcome.SKIPPED
    wanted = of(examine(model, job(model, needs_contract=True)), "contract")
    assert wanted.outcome is Outcome.FAILED and "`rt-engine contract MODEL --set contract.toml` adds one" in wanted.why


def test_a_broken_contract_is_refused():
    """What it says of another shape is not believed."""
    model = root()
    entry = model.metadata_props.add()
    entry.key, entry.value = (
        "rt_engine.contract",
        '{"format": 1, "inputs": [{"name": "z", "elements": [{"name": "a"}]}]}',
    )
    made = loaded(model)
    found = of(examine(made, job(made)), "contract")
    assert found.outcome is Outcome.FAILED and "describes the input 'z'" in found.why
