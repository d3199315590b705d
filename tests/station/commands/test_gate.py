"""`rt-engine gate`: what a station asks of a new version, by hand."""

import json

from rt_engine.gate.report import GateReport
from station.errors import ExitCode
from tests.station.commands.test_compile import DEMO, POLICY, command


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
