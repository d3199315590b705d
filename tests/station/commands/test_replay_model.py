"""`rt-engine replay REC --model NEW`: tables, JSON, a page, a verdict."""

import json

import pytest
from typer.testing import CliRunner

from station.cli import app
from tests.station.replay.recordings import model_bytes, record, write

MODELS = {"policy": model_bytes()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recording")
    write(folder / "a.mcap", record(MODELS), MODELS)
    (folder / "new.onnx").write_bytes(model_bytes(2.5))
    (folder / "same.onnx").write_bytes(MODELS["policy"])
    (folder / "wide.onnx").write_bytes(model_bytes(2.0, 3))
    return folder


def ask(folder, model, *words):
    done = CliRunner().invoke(app, ["replay", str(folder / "a.mcap"), "--model", str(folder / model), *map(str, words)])
    return done.exit_code, " ".join(done.output.split())


def test_the_model_that_ran_gives_the_same_bits(folder):
    code, said = ask(folder, "same.onnx")
    assert (code, "the same bits in all 60 cycles" in said) == (0, True)


def test_another_model_is_told_apart_and_judged_by_the_tolerance(folder):
    """With the caveat of a closed loop; exit code 1 where it does not pass."""
    code, said = ask(folder, "new.onnx", "--tolerance", 2)
    assert (code, "is within its tolerance in all 60 cycles" in said) == (0, True)
    code, said = ask(folder, "new.onnx", "--tolerance", 2, "--tolerance", "p=1")
    assert (code, "values lie beyond their tolerance: p by up to 1.5" in said) == (1, True)
    assert "The recorded inputs are those that the old model's outputs led to" in said


def test_json_is_for_programs(folder):
    done = CliRunner().invoke(app, ["replay", str(folder / "a.mcap"), "--model", str(folder / "new.onnx"), "--json"])
    data = json.loads(done.output)
    (task,) = data["tasks"]
    assert data["model"]["slot"] == "policy"
    assert (data["passes"], task["cycles"], task["verdict"][0]["level"]) == (True, 60, "warn")
    assert [one["largest"] for one in task["outputs"]] == pytest.approx([1.5, 0.5])


def test_the_page_is_written(folder, tmp_path):
    code, _ = ask(folder, "new.onnx", "--html", tmp_path / "what.html")
    page = (tmp_path / "what.html").read_text()
    assert code == 0
    assert all(word in page for word in ("a.mcap", "new.onnx", "<svg", "p differs by up to 1.5"))


@pytest.mark.parametrize(
    ("model", "words", "code", "said"),
    [
        ("wide.onnx", (), 3, "the new model's inputs are (x: float32[1, 3])"),
        ("none.onnx", (), 3, "none.onnx"),
        ("new.onnx", ("--tolerance", "p=high"), 2, "is no tolerance"),
        ("new.onnx", ("--tolerance", "force=1"), 3, 'unknown output "force"; allowed: p, q'),
        ("new.onnx", ("--slot", "forest"), 3, "no task of the recording runs the model 'forest': axis runs policy"),
        ("new.onnx", ("--task", "a", "--task", "b"), 2, "a what-if is of one task"),
        ("new.onnx", ("--html", "/dev/null/x.html"), 2, "its folder /dev/null cannot be made"),
    ],
)
def test_what_cannot_be_is_said(folder, model, words, code, said):
    got, output = ask(folder, model, *words)
    assert got == code
    assert said in output.replace("│ ", "").replace(" │", "")


def test_options_of_a_what_if_need_a_model(folder):
    done = CliRunner().invoke(app, ["replay", str(folder / "a.mcap"), "--html", "x.html"])
    assert done.exit_code == 2
    assert "give --model too" in " ".join(done.output.split())
