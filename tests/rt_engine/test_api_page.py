"""The page of the Python interface is what the docstrings say, and its example and that of a notebook run."""

import os
import subprocess
import sys

import numpy as np
import pytest

import rt_engine
from benchmarks.models import mlp
from tests import ROOT
from tests.rt_engine.api_page import page, section
from tests.test_docs import blocks


def test_the_page_is_true():
    """Renew it: python -m tests.rt_engine.api_page > docs/api.md."""
    assert (ROOT / "docs" / "api.md").read_text() == page()


def test_all_that_is_public_is_on_the_page():
    text = page()
    assert all(f"\n## rt_engine.{name}\n" in text for name in set(rt_engine.__all__) - {"__version__"})


class Bare:
    """One that says nothing of its method."""

    def mute(self, sound: int) -> int:
        return 0 * sound


def test_a_thing_without_words_is_seen():
    """A public method that nobody described."""
    with pytest.raises(AssertionError, match="mute has no docstring"):
        section("Bare", Bare)


def test_the_example_of_the_page_runs(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_bytes(mlp([2, 8, 1], "Tanh").SerializeToString())
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(page(), "python")
    xs = np.ones((5, 2), np.float32)
    names = {"x": xs[:1], "xs": xs}
    exec(compile(code, "api.md", "exec"), names)
    assert names["ys"].shape == (5, 1)
    assert (names["ys"] == names["y"]).all()


def test_the_notebook_runs():
    """As a program, from the folder of nobody."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "evaluate_in_python.py")],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    for said in (
        "100,000 of 100,000 rows",
        "for many samples there is `model.map`",
        "version 2 differs by",
        "the running one",
    ):
        assert said in done.stdout
