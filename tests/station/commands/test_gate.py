"""`rt-engine gate`: what a station asks of a new version, by hand."""

import json

import pytest

from rt_engine.gate.report import GateReport
from station.errors import ExitCode
from tests.station.commands.test_compile import DEMO, POLICY, command
from tests.station.replay.recordings import model_bytes, record, write


def test_a_good_model_passes_and_every_check_is_told():
    said = command("gate", POLICY, "--against", DEMO / "policy-v2.onnx", "--cycle", "60 min", "--draws", 50)
    for check in (
        "interface passed",
        "contract passed",
        "same meaning passed",
        "test vectors passed",
        "drawn inputs passed",
        "execution time passed",
        "memory passed",
    ):
        assert check in said
    assert "passes: 7 checks passed, 0 failed" in said


def test_one_that_does_not_fit_is_refused_with_the_report_as_json(capsys):
    said = command(
        *(
            "gate",
            DEMO / "anomaly.onnx",
            "--against",
            POLICY,
            "--cycle",
            "1 us",
            "--needs",
            "1 us",
            "--draws",
            50,
            "--json",
        ),
        code=ExitCode.BAD_FILE,
    )
    report = GateReport.from_json(json.loads(said))
    assert [check.name for check in report.failed] == ["interface", "execution time"]
    assert "task given has 0.0 us for it" in report.refusal


def test_a_mistake_on_the_command_line_is_explained():
    assert "a part of a cycle" in command("gate", POLICY, "--needs", "1 ms", code=ExitCode.USAGE)
    assert "duration" in command("gate", POLICY, "--cycle", "soon", code=ExitCode.USAGE)
    assert "cannot be read" in command("gate", "nowhere.onnx", code=ExitCode.BAD_FILE)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Of a task whose model gives 2 x; and a model that gives 2.5 x."""
    folder = tmp_path_factory.mktemp("recording")
    models = {"policy": model_bytes()}
    (folder / "new.onnx").write_bytes(model_bytes(2.5))
    (folder / "old.onnx").write_bytes(models["policy"])
    return write(folder / "a.mcap", record(models), models)


def test_a_model_is_run_over_a_recording(recording):
    """Also against a model whose file has another name than the slot in the recording."""
    new, old = recording.parent / "new.onnx", recording.parent / "old.onnx"
    words = ("gate", new, "--against", old, "--recording", recording, "--draws", 10)
    assert "recording passed 60 cycles of axis in a.mcap" in command(*words, "--tolerance", 2)
    said = command(*words, "--tolerance", "p=1", "--slot", "policy", code=ExitCode.BAD_FILE)
    assert "values lie beyond their tolerance: p by up to 1.5 (tolerance 1)" in said
    assert "no task of the recording runs the model 'forest'" in command(
        *words, "--slot", "forest", code=ExitCode.BAD_FILE
    )


@pytest.mark.parametrize(
    "words", [("--tolerance", 1), ("--slot", "policy"), ("--recording", "x", "--tolerance", "high")]
)
def test_options_of_a_recording_are_refused_without_one(words):
    assert "--recording" in command("gate", POLICY, *words, code=ExitCode.USAGE) or "tolerance" in str(words)
