"""`--shape`, `--value`: one way to bind what a model's file leaves open, the same in every command."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from typer.testing import CliRunner

from station.cli import app
from station.commands.shared.options import parse_values

COMMANDS = (
    "check {}",
    "compile {} -o made.rtp",
    "inspect {} --seconds 0.02 --json made.json",
    "bench {} --seconds 0.1 --vs= --json made.json",
    "quantize {} --calibrate data.npz -o made.onnx",
    "export st {} --inline -o made.st",
    "export c --model {} -o made",
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """open.onnx lacks two sizes, batch.onnx the first, fixed.onnx none; data for five steps."""
    monkeypatch.chdir(tmp_path)
    weights = onnx.numpy_helper.from_array(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Mul", ["a", "m"], ["y"])]
    for name, first, steps in (("open", "batch", "steps"), ("batch", "seq", 5), ("fixed", 1, 5)):
        x, m, y = (helper.make_tensor_value_info(n, 1, [first, steps, k]) for n, k in (("x", 4), ("m", 1), ("y", 3)))
        graph = helper.make_graph(nodes, "g", [x, m], [y], [weights])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), f"{name}.onnx")
    np.savez("data.npz", x=np.ones((2, 1, 5, 4), np.float32), m=np.ones((2, 1, 5, 1), np.float32))
    return tmp_path


def said(words, *options):
    """(exit code, all that was printed, on one line)."""
    result = CliRunner().invoke(app, [*words.split(), *options])
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_open_is_refused_with_the_options_that_bind_it(command):
    """The same sentence everywhere; no Python is advised, and nothing is run at length 1."""
    code, text = said(command.format("open.onnx"))
    assert code == 3
    assert "bind them with numbers: --shape x=batch,steps,4 --shape m=batch,steps,1" in text
    assert "rt_engine.load" not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_one_shape_binds_all_inputs_with_the_same_names(command):
    """What is bound by hand is no assumption."""
    code, text = said(command.format("open.onnx"), "--shape", "x=1,5,4")
    assert code == 0, text
    assert "taken as 1" not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_an_assumption_is_said_once(command):
    """By the name of what was taken as 1; a file without open sizes has none."""
    code, text = said(command.format("batch.onnx"))
    assert code == 0, text
    assert text.count("the file leaves the first size ('seq') of x, m open: taken as 1") == 1
    assert "taken as 1" not in said(command.format("fixed.onnx"))[1]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ("x", "is no shape"),
        ("x=1,y,4", "is no shape"),
        ("z=1,5,4", "has no input 'z'"),
        ("x=1,5", "has 3 dimensions"),
        ("x=1,5,7", "is 4, got 7"),
    ],
)
def test_a_wrong_shape_is_refused_alike(command, shape, why):
    """Its form by the command line, its meaning by the model."""
    code, text = said(command.format("open.onnx"), "--shape", shape)
    assert code in (2, 3) and why in text.replace("│ ", "")


def test_bench_and_inspect_run_what_was_bound():
    """All engines: the shapes are printed and in the JSON."""
    code, text = said(COMMANDS[3].format("open.onnx"), "--shape", "m=2,50,1")
    assert code == 0 and "ran on x: float32[2, 50, 4], m: float32[2, 50, 1]: another sample in each run" in text
    (found,) = json.loads(Path("made.json").read_text())["models"]
    assert found["inputs"] == ["x: float32[2, 50, 4]", "m: float32[2, 50, 1]"]
    assert found["work"]["macs"] == 2 * 50 * 4 * 3
    code, text = said(COMMANDS[2].format("open.onnx"), "--shape", "m=2,50,1")
    assert code == 0
    assert all(row["error"] < 1e-5 for row in json.loads(Path("made.json").read_text())["rows"])


@pytest.mark.parametrize("words", ["check station.toml", "export st station.toml -o made", "export c -o made"])
def test_a_shape_without_a_model_is_refused(words):
    """It would be without effect."""
    code, text = said(words, "--shape", "x=1,5,4")
    assert code == 2 and "--shape" in text


def test_a_shape_is_given_once():
    """The second would win, silently."""
    code, text = said("check open.onnx --shape x=1,5,4 --shape x=1,6,4")
    assert code == 2 and "given twice for input 'x'" in text


def test_a_station_says_it_with_its_own_key():
    """What is missing as `shapes`; what was assumed as a note of `check`."""
    head = '[station]\nname = "s"\n[servers.plc]\ntype = "modbus-tcp"\n[models.p]\n'
    Path("station.toml").write_text(f'{head}file = "open.onnx"\n')
    code, text = said("check station.toml")
    assert code == 3
    assert re.search(r"models\.p: .*: shapes = \{ x = \[batch, steps, 4\], m = \[batch, steps, 1\] \}", text)
    Path("station.toml").write_text(f'{head}file = "batch.onnx"\n')
    assert "note: the file leaves the first size ('seq')" in said("check station.toml")[1]


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("quantize")])
def test_an_input_is_fixed_by_the_same_option_in_every_command(command):
    """With its shape, which binds the other's."""
    code, text = said(command.format("open.onnx"), "--shape", "x=1,5,4", "--value", "m=2")
    assert (code, "has 3 dimensions" in text) == (3, True), text
    code, text = said(command.format("fixed.onnx"), "--value", "m=2")
    assert code == 0, text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--value", "m"), '"m" is no value; write INPUT=VALUE: sr=16000'),
        (("--value", "m=1", "--value", "m=2"), "it is given twice for 'm'"),
        (("--bound", "m=many"), '"many" is no length; write a whole number from 1 on'),
        (("--bound", "m=0"), '"0" is no length'),
    ],
)
def test_words_that_fix_nothing(options, words):
    """Before anything is read."""
    code, text = said("check fixed.onnx", *options)
    assert (code, words in re.sub("[│ ]+", " ", text)) == (2, True), text


def test_values_as_words_of_a_command_line():
    """Numbers, truth values, names, and several with commas."""
    assert parse_values(["a=1", "b=-2.5", "c=true", "d=red", "e=1,2.5", "f=x=3"]) == {
        **{"a": 1, "b": -2.5, "c": True, "d": "red", "e": [1, 2.5]},
        "f=x": 3,
    }
