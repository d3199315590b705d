"""Another model on a recording: the real cycle, tasks that were restored, records of a tap."""

import numpy as np
import onnx
import pytest

import rt_engine
import rt_engine.recording
from rt_engine.contract import Contract, Element, TensorContract, attach
from scheduler.errors import ReplayError
from station.replay.asking import Asked, ask
from station.replay.judging import judged, passes
from station.replay.models import Search
from station.replay.restored import MissingModelError, restored
from tests.scheduler.models import scale_file
from tests.station.replay.recordings import STATION, model_bytes, record, write

MODELS = {"policy": model_bytes()}
WIRED = STATION.replace('["a", "b"]', '"contract"').replace('[{ tag = "p", max_rate = 400.0 }, "q"]', '"contract"')


@pytest.fixture(scope="module")
def recorded():
    return record(MODELS, count=400)


@pytest.fixture(scope="module")
def path(recorded, tmp_path_factory):
    return write(tmp_path_factory.mktemp("recording") / "a.mcap", recorded, MODELS)


def run(path, model, **more):
    """What comes of it, of the only task."""
    asking = ask(rt_engine.recording.open(path), Asked(**more))
    (found,) = asking.run(rt_engine.load(onnx.load_from_string(model)) if isinstance(model, bytes) else model)
    return found


def test_the_model_that_ran_gives_the_same_bits(path):
    found = run(path, MODELS["policy"])
    assert found.is_equal
    assert (found.cycles, found.compared, found.recorded) == (400, 400, 400)


def test_another_model_differs_by_what_it_computes_otherwise(path, recorded):
    """y = 2.5 x instead of 2 x, held against NumPy on the recorded inputs."""
    found = run(path, model_bytes(2.5), tolerance=1.0)
    inputs = recorded.layout.values(recorded.records, 0)
    apart = np.abs(0.5 * inputs)
    assert [one.largest for one in found.outputs] == pytest.approx(apart.max(axis=0), rel=1e-6)
    assert [one.beyond for one in found.outputs] == (apart > 1.0).sum(axis=0).tolist()
    assert not passes(found)


def test_what_the_guard_does_to_both_is_told(path):
    """`p` may move by 0.4 in a cycle: the new model's hardly does."""
    old, new = run(path, model_bytes(0.1)).outputs[0].limited
    assert old > new > 0


def test_a_model_of_another_shape_is_refused_in_the_words_of_the_gate(path):
    with pytest.raises(ReplayError, match=r"slot 'policy': the new model's inputs are \(x: float32\[1, 3\]\)"):
        run(path, model_bytes(2.0, 3))


def test_where_the_old_model_is_lost_the_task_refuses_what_does_not_fit(tmp_path, recorded):
    path = write(tmp_path / "a.mcap", recorded, MODELS, attach=False)
    with pytest.raises(
        ReplayError, match=r"line 21: tasks.axis.inputs: x: float32\[1, 3\] has 3 elements, 2 are filled"
    ):
        run(path, model_bytes(2.0, 3))


def test_without_the_old_model_the_comparison_is_made_and_its_hash_told(tmp_path, recorded):
    """What it put out is in the recording."""
    path = write(tmp_path / "a.mcap", recorded, MODELS, attach=False)
    found = run(path, MODELS["policy"])
    assert found.is_equal
    sha256 = rt_engine.load(MODELS["policy"]).sha256
    assert found.notes == (f"the model that ran is not there (SHA-256 {sha256}): what it put out is as recorded",)


def contract(unit, rate_hz=1000.0):
    elements = tuple(Element(name, unit) for name in ("a", "b"))
    outputs = tuple(Element(name, low=-1.0, high=1.0) for name in ("p", "q"))
    return Contract(inputs=(TensorContract("x", elements),), outputs=(TensorContract("y", outputs),), rate_hz=rate_hz)


def described(factor, **more):
    model = scale_file(factor, 2)
    attach(model, contract(**more))
    return model.SerializeToString()


def test_a_model_that_means_something_else_is_refused(tmp_path):
    """Another unit, another rate: its numbers would not be comparable."""
    models = {"policy": described(2.0, unit="m")}
    path = write(tmp_path / "a.mcap", record(models), models)
    assert run(path, described(2.0, unit="m")).compared == 60
    with pytest.raises(ReplayError, match="means something else: input 'x', element 0 'a' is in rad"):
        run(path, described(2.0, unit="rad"))
    with pytest.raises(ReplayError, match="it was trained for 100 Hz, the running one for 1000 Hz"):
        run(path, described(2.0, unit="m", rate_hz=100.0))


@pytest.mark.parametrize("attach", [True, False], ids=["the old model is there", "the old model is lost"])
def test_a_task_that_is_wired_by_contract_is_asked_too(tmp_path, attach):
    """Where the model that ran is nowhere, by the contract of the one that takes its place."""
    models = {"policy": described(2.0, unit="m")}
    path = write(tmp_path / "a.mcap", record(models, text=WIRED), models, text=WIRED, attach=attach)
    assert run(path, described(2.0, unit="m")).compared == 60


def test_a_task_wired_by_the_contract_of_a_model_that_is_lost_says_which_model(tmp_path):
    models = {"policy": described(2.0, unit="m")}
    path = write(tmp_path / "a.mcap", record(models, text=WIRED), models, text=WIRED, attach=False)
    recording = rt_engine.recording.open(path)
    sha256 = rt_engine.load(onnx.load_from_string(models["policy"])).sha256
    with pytest.raises(MissingModelError, match=rf"cannot run without its model.*SHA-256 {sha256}.*--models FOLDER"):
        restored(recording, "axis", Search(recording))


def test_values_outside_the_contract_are_found(tmp_path):
    models = {"policy": described(0.1, unit="m")}
    path = write(tmp_path / "a.mcap", record(models), models)
    found = run(path, described(2.0, unit="m"))
    assert "beyond the limits of its contract" in judged(found)[0].text


def test_a_rate_that_the_task_does_not_have_is_refused(path):
    """The old model says nothing; the task's cycle is 1 ms."""
    with pytest.raises(
        ReplayError,
        match=r"tasks.axis.cycle: the task's 1 ms make 1000 Hz; the model was trained for 100 Hz: write every = 10",
    ):
        run(path, described(2.0, unit="m", rate_hz=100.0))


def test_without_time_for_all_parts_are_run_that_are_spread(path):
    """Each from a checkpoint on; it says how many."""
    found = run(path, model_bytes(2.5), most_s=1e-6)
    assert 0 < found.cycles < 400
    assert found.recorded == 400


def test_which_model_is_meant(path, recorded, tmp_path):
    asking = ask(rt_engine.recording.open(path), Asked())
    assert (asking.slot, asking.tasks) == ("policy", ("axis",))
    for asked, words in (
        (Asked(slot="forest"), "no task of the recording runs the model 'forest': axis runs policy"),
        (Asked(task="press"), "no cycles of task 'press'; it has those of axis"),
    ):
        with pytest.raises(ReplayError, match=words):
            ask(rt_engine.recording.open(path), asked)
    empty = type(recorded)(recorded.layout, recorded.records[:0], recorded.checkpoints[:0])
    with pytest.raises(ReplayError, match="no cycle of any task"):
        ask(rt_engine.recording.open(write(tmp_path / "e.mcap", empty, MODELS)), Asked())


def test_the_old_model_is_that_of_the_slot_not_of_the_tasks_others(tmp_path, recorded):
    """A monitor's versions are counted by themselves, and may have the same numbers."""
    path = write(tmp_path / "a.mcap", recorded, MODELS | {"watch": model_bytes(1.0, 3)})
    assert run(path, MODELS["policy"]).is_equal
