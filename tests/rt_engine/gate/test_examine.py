"""What the gate asks of a model, one after the other."""

import rt_engine
from rt_engine.gate.examine import examine
from rt_engine.gate.job import GateJob
from rt_engine.gate.report import Outcome
from rt_engine.program.program import TensorSpec
from tests.rt_engine.test_state import counter


def outcome(report, name):
    return next(check for check in report.checks if check.name == name)


def test_another_interface_fails_in_the_words_of_a_slot():
    model = rt_engine.load(counter().SerializeToString())
    same = examine(model, GateJob("a", model.inputs, model.outputs))
    assert outcome(same, "interface").outcome is Outcome.PASSED
    other = TensorSpec("z", (1,), model.inputs[0].dtype)
    found = outcome(examine(model, GateJob("a", (other,), model.outputs)), "interface")
    assert found.outcome is Outcome.FAILED
    assert found.why.startswith("slot 'a': the new model's inputs are (") and "z: float32[1]" in found.why
