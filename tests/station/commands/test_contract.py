"""`rt-engine contract`: shown, written from TOML and data, as a template, as JSON."""

import json

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

import rt_engine
from rt_engine.contract import attach, read
from rt_engine.program.rtp_file import write
from station.cli import app
from tests.rt_engine.contract.contracts import MODEL, full


def command(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["contract", *(str(w) for w in words)])
    assert done.exit_code == code, done.output
    return done.output


def flat(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(MODEL.SerializeToString())
    return path


def test_without_one_it_says_what_to_write(model):
    """And the commands that it says work as they stand."""
    said = command(model)
    assert "has no contract" in said and f"rt-engine contract {model} --template > contract.toml" in said
    assert json.loads(command(model, "--json")) is None
    words = model.with_name("contract.toml")
    words.write_text(command(model, "--template"))
    command(model, "--set", words)
    assert [e.name for e in read(model).elements("x")] == ["x[0]", "x[1]", "x[2]", "x[3]"]


def test_it_is_shown(model):
    """Of a model, of a compiled program; as JSON, with everything."""
    attach(model, full())
    program = model.with_suffix(".rtp")
    write(rt_engine.load(model).program, program)
    for path in (model, program):
        said = flat(command(path))
        assert "torque Nm" in said and "rate: 50 Hz" in said and "test vectors: 1" in said
    plain = json.loads(command(model, "--json"))
    assert plain["origin"] == "rt_engine.contract" and plain["gaps"] == [] and len(plain["vectors"]) == 1


def test_a_template_of_one_that_is_there_is_what_it_says(model):
    attach(model, full())
    assert "rate_hz = 50.0" in command(model, "--template") and '"torque"' in command(model, "--template")


def test_what_a_file_says_is_written(model, tmp_path):
    """Into another model, over what the first one says already."""
    attach(model, full())
    words, other = tmp_path / "c.toml", tmp_path / "other.onnx"
    words.write_text("rate_hz = 200")
    said = command(model, "--set", words, "-o", other)
    assert "the contract is attached" in said and "rate: 200 Hz" in said
    assert read(model) == full()
    assert (read(other).rate_hz, read(other).vectors) == (200, full().vectors)
    assert onnx.load(other).graph == onnx.load(model).graph


def test_statistics_of_training_data_are_written(model, tmp_path):
    np.savez(tmp_path / "train.npz", x=np.random.default_rng(0).normal(0, 1, (100, 4)), y=np.ones((7, 2)))
    said = command(model, "--data", tmp_path / "train.npz")
    assert "100 samples of x" in said and "7 samples of y" in said
    np.savez(tmp_path / "more.npz", x=np.zeros((5, 4)))
    command(model, "--data", tmp_path / "more.npz")
    assert [(s.tensor, s.count) for s in read(model).statistics] == [("x", 5), ("y", 7)]


def test_gaps_that_others_left_are_named_when_they_are_closed(model, tmp_path):
    """What is taken over from their keys is no guess any more, but somebody's word."""
    proto = onnx.load(model)
    for key, value in {
        "joint_names": "hip,knee",
        "default_joint_pos": "0.1,0.2",
        "observation_names": "joint_pos,command",
    }.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.save(proto, model)
    assert "not said: the rate is not written" in command(model)
    (tmp_path / "c.toml").write_text("rate_hz = 50")
    said = flat(command(model, "--set", tmp_path / "c.toml"))
    assert "mjlab did not say, and from now on this counts as said: the rate" in said
    found = read(model)
    assert (found.rate_hz, found.origin, found.gaps, len(found.elements("x"))) == (50, "rt_engine.contract", (), 4)


def test_one_that_is_broken_is_told_and_can_be_replaced(model, tmp_path):
    proto = onnx.load(model)
    proto.metadata_props.add(key="rt_engine.contract", value="{")
    onnx.save(proto, model)
    assert "cannot be read" in command(model, code=3)
    (tmp_path / "c.toml").write_text("rate_hz = 5")
    assert "it is replaced" in command(model, "--set", tmp_path / "c.toml")
    assert read(model).rate_hz == 5


def test_what_cannot_be_done_is_refused(model, tmp_path):
    """And leaves the model as it was."""
    before = model.read_bytes()
    words = tmp_path / "c.toml"
    words.write_text("[[inputs]]\nname = 'x'\nelements = [{ name = 'a' }]")
    assert "input 'x' has 1 elements" in flat(command(model, "--set", words, code=3))
    words.write_text("units = 1")
    assert "the key 'units'" in flat(command(model, "--set", words, code=3))
    assert "cannot be read" in flat(command(model, "--set", tmp_path / "gone.toml", code=3))
    words.write_bytes(b"\xff")
    assert "cannot be read" in flat(command(model, "--set", words, code=3))
    assert "cannot be read" in flat(command(model, "--data", words, code=3))
    np.save(tmp_path / "one.npy", np.ones(3))
    assert "no .npz file" in flat(command(model, "--data", tmp_path / "one.npy", code=3))
    assert "give --set" in flat(command(model, "-o", tmp_path / "o.onnx", code=2))
    assert "which model" in flat(command(code=2))
    assert "cannot be made" in flat(command(model, "--set", words, "-o", words / "o.onnx", code=2))
    assert model.read_bytes() == before


def test_the_schema_is_printed():
    assert json.loads(command("--schema"))["title"].startswith("Contract")
