"""An engine that crashes, hangs or fails in its trial is refused in words; the process that compares goes on."""

import os
import time

import numpy as np
import pytest

from rt_engine.measure.engines import Engine, RefusedError
from rt_engine.measure.trial import runner

X = {"x": np.ones((1, 3), np.float32)}


class Crashing:
    """As a native library that jumps to nowhere."""

    def __init__(self, path, inputs):
        os.abort()


class Ending:
    """As a library that calls exit."""

    def __init__(self, path, inputs):
        os._exit(7)


class Hanging:
    """As a library that waits for itself."""

    def __init__(self, path, inputs):
        time.sleep(60)


class Failing:
    """With an exception of its own."""

    def __init__(self, path, inputs):
        raise KeyError("no operator Loop")


class Refusing:
    """In its own words."""

    def __init__(self, path, inputs):
        raise RefusedError("cannot read: it has a Loop")


class Good:
    """Gives its input back."""

    def __init__(self, path, inputs):
        self.inputs = inputs
        self.run = lambda: None

    def result(self):
        return {"y": self.inputs["x"]}


@pytest.mark.parametrize(
    ("make", "seconds", "words"),
    [
        (Crashing, 60, "crashed \\(SIGABRT\\)"),
        (Ending, 60, "ended its process with code 7"),
        (Hanging, 3, "did not end within 3 s"),
        (Failing, 60, "cannot read: .*no operator Loop"),
        (Refusing, 60, "^cannot read: it has a Loop$"),
    ],
)
def test_what_goes_wrong_in_a_trial_is_said(tmp_path, make, seconds, words):
    with pytest.raises(RefusedError, match=words):
        runner(Engine("e", (), make, fragile=True), tmp_path / "m.onnx", X, seconds)


def test_who_passes_its_trial_runs_here(tmp_path):
    """The inputs reach the trial and the runner."""
    made = runner(Engine("e", (), Good, fragile=True), tmp_path / "m.onnx", X)
    assert isinstance(made, Good) and np.array_equal(made.result()["y"], X["x"])
