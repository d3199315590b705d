"""What the gate asks of a model, one after the other."""

import json
from dataclasses import replace

import rt_engine
from rt_engine.gate.examine import examine
from rt_engine.gate.job import Budget, GateJob, Recorded
from rt_engine.gate.report import Check, Outcome
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


def test_a_recording_is_run_over_by_who_can():
    """Who examines brings it along; what it says is the check, and it has less time where the model is too slow anyway."""
    model, asked = rt_engine.load(counter().SerializeToString()), []

    def over(model, recorded):
        asked.append(recorded)
        return Check("recording", Outcome.FAILED, "force is NaN")

    job = GateJob("a", model.inputs, model.outputs, draws=10, recording=Recorded("/r", "policy", 0.5))
    assert GateJob.from_json(json.loads(json.dumps(job.to_json()))) == job
    report = examine(model, job, over=over)
    assert asked == [Recorded("/r", "policy", 0.5)]
    assert report.refusal == "recording: force is NaN"
    slow = examine(model, replace(job, budgets=(Budget("axis", 50_000, 50_000),)), over=over)
    assert not slow.passed
    assert asked[-1].most_s < asked[0].most_s


def test_a_recording_that_nobody_here_can_replay_is_no_pass():
    model = rt_engine.load(counter().SerializeToString())
    report = examine(model, GateJob(draws=10, recording=Recorded("/r")))
    assert outcome(report, "recording").outcome is Outcome.FAILED
    assert outcome(examine(model, GateJob(draws=10)), "recording").outcome is Outcome.SKIPPED
