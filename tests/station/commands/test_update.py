"""What `rt-engine update` understands."""

from pathlib import Path

import pytest
import typer

from station.commands.update import _one, _set


def test_one_slot_and_its_file():
    assert _one(["policy", "better.onnx"]) == {"policy": Path("better.onnx")}


@pytest.mark.parametrize("words", [[], ["policy"], ["policy", "a.onnx", "b.onnx"]])
def test_anything_else_is_told_how_it_is_said(words):
    with pytest.raises(typer.BadParameter, match=r"--set a\.onnx=arm"):
        _one(words)


def test_a_set_is_model_and_slot_in_either_order():
    """Where it is plain which is the file."""
    assert _set(["a.onnx=arm", "hand=b=c.rtp"]) == {"arm": Path("a.onnx"), "hand=b": Path("c.rtp")}


@pytest.mark.parametrize("pair", ["a.onnx", "arm=hand", "a.onnx=b.onnx", "=a.onnx"])
def test_a_set_that_is_not_plain_is_refused(pair):
    with pytest.raises(typer.BadParameter, match=r"must be MODEL=SLOT, like a\.onnx=arm"):
        _set([pair])


def test_a_slot_twice_is_refused():
    with pytest.raises(typer.BadParameter, match="arm is given twice"):
        _set(["a.onnx=arm", "b.onnx=arm"])
