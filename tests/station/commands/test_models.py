"""`rt-engine bench` and `rt-engine inspect` on a tiny model."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from typer.testing import CliRunner

import rt_engine
from benchmarks.models import mlp
from rt_engine.program.rtp_file import write
from rt_engine.read import source
from station.cli import app
from tests import need


@pytest.fixture
def model(tmp_path):
    """A perceptron's file."""
    path = tmp_path / "policy.onnx"
    path.write_bytes(mlp([3, 8, 2], "Tanh").SerializeToString())
    return path


def command(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_bench_measures_and_writes(model, tmp_path):
    """A table with the ratio, JSON and a plot."""
    need.package("onnxruntime")
    files = tmp_path / "b.json", tmp_path / "b.svg"
    result = command("bench", model, "--vs", "onnxruntime", "--seconds", "0.1", "--json", files[0], "--plot", files[1])
    assert result.exit_code == 0, result.output
    assert "onnxruntime" in result.output
    found = json.loads(files[0].read_text())
    assert found["models"][0]["timings"]["rt_engine"]["p50"] > 0
    assert found["machine"]["gflops"] > 0
    assert files[1].read_text().startswith("<svg")


def of_numbers(path, text, **constants):
    proto = parser.parse_model(f"""<ir_version: 9, opset_import: ["": 18]> g {text}""")
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items())
    onnx.save(proto, path)
    return path


def test_bench_repeats_one_sample_where_data_decide_how_long_an_output_is(tmp_path):
    """Peers are bound to the length that the first has."""
    need.package("onnxruntime")
    text = "(float[64] x) => (float[k] y) { g = Greater(x, zero) y = Compress <axis = 0> (x, g) }"
    kept = of_numbers(tmp_path / "kept.onnx", text, zero=np.float32(0))
    result = command("bench", kept, "--vs", "onnxruntime", "--seconds", "0.1")
    assert result.exit_code == 0, result.output
    assert "the same one in each run" in " ".join(result.output.split())


def test_bench_says_that_inputs_at_random_do_not_fit(tmp_path):
    """They are 0 and 1 where they are integers, and not all of their sums are places."""
    text = "(float[2] x, int64[8] i) => (float[1] y) { s = ReduceSum(i) y = Gather(x, s) }"
    result = command("bench", of_numbers(tmp_path / "place.onnx", text), "--vs", "onnxruntime", "--seconds", "0.1")
    assert result.exit_code == 3
    assert "at random: give some that the model takes, --input" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vs", "tensorflow"), "there is no peer 'tensorflow'"),
        (("--plot", "x.gif"), "a plot is .svg, .html or .png"),
        (("--input", "nowhere.npz"), "nowhere.npz"),
    ],
)
def test_a_mistake_is_explained(model, options, message):
    """One line with what helps, exit code 3, no traceback."""
    result = command("bench", model, *options)
    assert result.exit_code == 3
    assert message in result.output.replace("\n", " ")


def test_inspect_shows_every_operator(model, tmp_path):
    """A table, a page, JSON with an error for each operator."""
    files = tmp_path / "i.json", tmp_path / "i.html"
    result = command("inspect", model, "--seconds", "0.02", "--json", files[0], "--html", files[1])
    assert result.exit_code == 0, result.output
    assert "lower bound" in result.output.replace("\n", " ")
    rows = json.loads(files[0].read_text())["rows"]
    assert [r["operator"] for r in rows] == ["Linear", "Tanh", "Linear"]
    assert all(r["error"] < 1e-5 for r in rows)
    assert "<svg" in files[1].read_text()


def test_inspect_of_no_model_is_explained(tmp_path):
    """A file that is not ONNX."""
    (tmp_path / "m.onnx").write_bytes(b"no")
    assert command("inspect", tmp_path / "m.onnx").exit_code == 3


@pytest.mark.parametrize(("verb", "option"), [("inspect", "--html"), ("inspect", "--json"), ("bench", "--plot")])
def test_a_file_that_cannot_be_written_is_told_before_measuring(model, tmp_path, verb, option):
    """No work is lost, and no traceback comes."""
    for path, why in ((model / "a.svg", "cannot be made"), (tmp_path, "it is a folder")):
        result = command(verb, model, option, path)
        text = " ".join(result.output.replace("│", " ").split())  # the box breaks lines where the path ends
        assert result.exit_code == 2 and why in text


def test_example_data_of_another_shape_or_type_is_refused(model, tmp_path):
    """What the model takes, and what came."""
    name, shape = "x", (1, 3)
    for array in (np.ones((2, 3), np.float32), np.full(shape, "a")):
        np.savez(tmp_path / "data.npz", **{name: array})
        result = command("inspect", model, "--input", tmp_path / "data.npz")
        assert result.exit_code == 3 and "takes float32[1, 3]" in result.output


def test_inspect_prints_names_that_look_like_markup(model):
    """A node may be called anything."""
    proto = onnx.load(model)
    proto.graph.node[0].name = "[/bold]"
    onnx.save(proto, model)
    result = command("inspect", model, "--seconds", "0.01", "--no-errors")
    assert result.exit_code == 0, result.output


def test_what_cannot_be_timed_is_one_sentence_without_control_codes(tmp_path):
    """Strings as inputs; a name that would clear the screen."""
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.STRING, (1, 4)) for n in ("x\x1b[2J", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x\x1b[2J"], ["y"])], "g", ends[:1], ends[1:])
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "text.onnx")
    result = command("bench", tmp_path / "text.onnx", "--seconds", "0.1")
    assert result.exit_code == 3 and "turn text into categories or numbers" in " ".join(result.output.split())
    assert "\x1b[2J" not in result.output and "\\x1b[2J" in result.output


@pytest.mark.parametrize(
    "words",
    [
        "bench m.onnx --seconds 0.1 --vs",
        "bench m.onnx --seconds 0.1 --int8 --vs",
        "bench m.rtp --seconds 0.1 --vs",
        "inspect m.onnx --seconds 0.02",
        "inspect m.rtp --seconds 0.02",
        "check m.onnx",
        "check m.rtp",
        "compile m.onnx --output made.rtp",
        "compile m.rtp --output made.rtp",
        "quantize m.onnx --calibrate data.npz",
        "export st m.onnx --inline --output made.st",
    ],
)
def test_a_command_reads_its_model_once(model, tmp_path, monkeypatch, words):
    """The file vanishes as soon as it was read: the command gives what it always gives."""
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=np.ones((2, 1, 3), np.float32))
    write(rt_engine.load(model).program, "m.rtp")
    model.rename("m.onnx")
    file, read = next(Path(word) for word in words.split() if word.startswith("m.")), source._read
    monkeypatch.setattr(source, "_read", lambda path: (read(path), path == file and path.unlink())[0])
    result = command(*words.split(), *([""] if words.endswith("--vs") else []))
    assert result.exit_code == 0, result.output
    assert not file.exists()
