"""What a recording's station file says of its slots."""

from types import SimpleNamespace

import pytest

from scheduler.errors import ReplayError
from station.replay.slots import binding_of, slot_of

TEXT = """
[models.policy]
file = "policy.onnx"
shapes = { x = [1, 4] }
state = { h_out = "h_in" }
[models.odd]
shapes = 3
[tasks.axis]
model = "policy"
[tasks.pid]
step = { type = "pid", gain = 1 }
"""


def recording(text):
    return SimpleNamespace(station_text=text)


def test_the_slot_of_a_task():
    assert slot_of(recording(TEXT), "axis") == "policy"
    assert slot_of(recording(TEXT), "pid") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no station file in it"),
        ("[[[", "cannot be read"),
        ("tasks = 3", "no task 'axis'"),
        ("[tasks]\nother = {}", "no task 'axis'"),
    ],
)
def test_what_is_no_station_file_is_said(text, words):
    with pytest.raises(ReplayError, match=words):
        slot_of(recording(text), "axis")


def test_how_a_model_is_loaded():
    """Shapes and states as the file has them; what is none counts as not said."""
    assert binding_of(recording(TEXT), "policy").shapes == {"x": (1, 4)}
    assert binding_of(recording(TEXT), "policy").state == {"h_out": "h_in"}
    assert binding_of(recording(TEXT), "odd").shapes == {}
    assert binding_of(recording(TEXT), "none").state == {}
