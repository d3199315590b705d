"""The gate's check of a recording: what passes, and what a bad recording comes to."""

import json

import numpy as np
import onnx
import pytest

import rt_engine
from rt_engine.apart import Apart
from rt_engine.binding import UNBOUND
from rt_engine.gate.examine import examine
from rt_engine.gate.job import GateJob, Recorded
from rt_engine.gate.report import NONE_YET, Outcome
from rt_engine.read.source import Source
from station.replay.gate_check import check_recording
from tests.station.replay.recordings import model_bytes, record, write

MODELS = {"policy": model_bytes()}
WORKER = "station.replay.gate_worker"


def loaded(factor):
    return rt_engine.load(onnx.load_from_string(model_bytes(factor)))


@pytest.fixture(scope="module")
def recorded():
    return record(MODELS, count=400)


@pytest.fixture(scope="module")
def path(recorded, tmp_path_factory):
    return write(tmp_path_factory.mktemp("recording") / "a.mcap", recorded, MODELS)


def check(path, factor=2.5, slot="policy", **more):
    return check_recording(loaded(factor), Recorded(str(path), slot, **more))


def test_the_model_that_ran_passes(path):
    found = check(path, 2.0)
    assert (found.outcome, found.why) == (Outcome.PASSED, "400 cycles of axis in a.mcap: the same bits as recorded")
    assert found.figures["compared_cycles"] == found.figures["recorded_cycles"] == 400


def test_within_the_tolerance_passes_and_says_how_near(path):
    found = check(path, tolerance=2.0)
    assert found.outcome is Outcome.PASSED
    assert "at most 75% of the tolerance apart" in found.why
    assert found.figures["worst_of_tolerance"] == pytest.approx(0.75)


def test_beyond_the_tolerance_fails_with_the_output_and_when(path):
    found = check(path, tolerances={"p": 1.0})
    assert found.outcome is Outcome.FAILED
    assert "task axis: 115 of 400 values lie beyond their tolerance: p by up to 1.5 (tolerance 1)" in found.why
    assert found.figures["values_beyond_tolerance"] == 115
    assert check(path, tolerances={"p": 1.0}, disagreements=115).outcome is Outcome.PASSED


def test_without_a_tolerance_a_difference_passes_and_is_told(path):
    found = check(path)
    assert found.outcome is Outcome.PASSED
    assert "p differs by up to 1.5" in found.why and "nothing is judged by that" in found.why


def test_a_folder_of_recordings_is_one(path, recorded, tmp_path):
    write(tmp_path / "a.mcap", recorded, MODELS)
    assert check(tmp_path, 2.0).outcome is Outcome.PASSED


def test_a_recording_that_was_cut_counts_as_far_as_it_goes(path, tmp_path):
    """And says where it ends."""
    (tmp_path / "cut.mcap").write_bytes(path.read_bytes()[:-100])
    found = check(tmp_path / "cut.mcap", 2.0)
    assert found.outcome is Outcome.PASSED, found.why
    assert "the recording is damaged: " in found.why


@pytest.mark.parametrize(
    ("bytes_", "words"), [(None, "cannot be read: No such file"), (b"", "no MCAP file"), (b"x" * 99, "no MCAP file")]
)
def test_what_is_no_recording_fails(tmp_path, bytes_, words):
    if bytes_ is not None:
        (tmp_path / "a.mcap").write_bytes(bytes_)
    found = check(tmp_path / "a.mcap")
    assert found.outcome is Outcome.FAILED
    assert words in found.why


def test_a_folder_without_recordings_is_skipped_and_told(tmp_path):
    found = check(tmp_path)
    assert found.outcome is Outcome.SKIPPED
    assert NONE_YET in found.figures


def test_a_recording_of_another_model_or_task_fails(path):
    assert "no task of the recording runs the model 'forest': axis runs policy" in check(path, slot="forest").why
    assert "unknown output" in check(path, tolerances={"force": 1.0}).why


def test_a_recording_without_cycles_proves_nothing(recorded, tmp_path):
    empty = type(recorded)(recorded.layout, recorded.records[:0], recorded.checkpoints[:0])
    found = check(write(tmp_path / "e.mcap", empty, MODELS))
    assert found.outcome is Outcome.FAILED
    assert "no cycle of any task" in found.why


def test_a_recording_without_its_station_file_fails(recorded, tmp_path):
    found = check(write(tmp_path / "e.mcap", recorded, MODELS, text=""))
    assert found.outcome is Outcome.FAILED
    assert "no station file in it" in found.why


@pytest.mark.parametrize(("factor", "outcome"), [(2.0, Outcome.PASSED), (2.5, Outcome.FAILED)])
def test_the_worker_makes_it_with_all_other_checks(path, factor, outcome):
    """In a process of its own, from the model's bytes; the report travels whole."""
    job = GateJob(slot="policy", draws=10, recording=Recorded(str(path), tolerance=0.1))
    report = Apart(worker=WORKER).examine(Source(model_bytes(factor), "new.onnx"), UNBOUND, job).report
    (found,) = [one for one in report.checks if one.name == "recording"]
    assert found.outcome is outcome
    assert report.passed == (outcome is Outcome.PASSED)
    assert "recording" in report.took_ms
    assert json.loads(json.dumps(report.to_json()))["passed"] == report.passed


def test_what_it_says_is_that_of_the_same_call_here(path):
    job = GateJob(slot="policy", draws=10, recording=Recorded(str(path), tolerance=0.1))
    here = examine(loaded(2.5), job, over=check_recording)
    assert here.refusal == f"recording: {check(path, tolerance=0.1).why}"


@pytest.mark.parametrize("seed", range(12))
def test_records_that_say_anything_come_to_a_check(recorded, tmp_path, seed):
    """Bits of records and checkpoints turned at random: passed, failed, but told."""
    rng = np.random.default_rng(seed)
    parts = recorded.records.copy(), recorded.checkpoints.copy()
    for part in parts:
        words = part.view(np.uint8)
        places = rng.integers(0, words.size, 40)
        words[places] = rng.integers(0, 256, 40)
    path = write(tmp_path / "a.mcap", type(recorded)(recorded.layout, *parts), MODELS)
    assert check(path, tolerance=0.5).why
