"""Recordings of machines that add products otherwise: other bits are no fault, and it is said how the same ones are had."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

import rt_engine.recording
from rt_engine.errors import RecordingError
from rt_native.target import host
from station.cli import app
from station.replay.arithmetic import other_arithmetic
from station.replay.explained import explain_recording
from station.replay.repeat import How
from station.replay.spreading import ELSEWHERE
from station.replay.worker import Ask, work
from tests.station.replay.recordings import model_bytes, record, write

MODELS = {"policy": model_bytes()}
X86 = replace(host(), triple="x86_64-unknown-linux-gnu")
ARM = replace(host(), triple="aarch64-unknown-linux-gnu")
OTHER = {"fast": "exact"}.get(host().arithmetic, "fast")
"""Recorded with it, and bits may differ here."""


@pytest.fixture(scope="module")
def recorded():
    """60 cycles, one of which has another last bit."""
    made = record(MODELS)
    made.layout.raw(made.records).view("<i8")[33, 1] ^= 1
    return made


@pytest.mark.parametrize(
    ("then", "here", "same"),
    [
        ("fast", replace(X86, arithmetic="fused"), "RT_ENGINE_LEVEL=x86-64-v2 computes it here"),
        ("fast", replace(ARM, arithmetic="fused"), "an x86-64 machine computes it, with RT_ENGINE_LEVEL=x86-64-v2"),
        ("fast", replace(X86, arithmetic="exact"), "RT_ENGINE_ARITHMETIC=fast computes it"),
        ("fast", replace(X86, arithmetic="fast"), ""),
        ("fused", replace(X86, arithmetic="fast"), "RT_ENGINE_ARITHMETIC=exact computes it"),
        ("exact", replace(X86, arithmetic="fast"), "RT_ENGINE_ARITHMETIC=exact computes it"),
        ("exact", replace(ARM, arithmetic="fused"), ""),
        ("fused", replace(X86, arithmetic="exact"), ""),
        ("", replace(X86, arithmetic="fused"), ""),
    ],
)
def test_two_arithmetics_have_the_same_bits_and_one_has_its_own(then, here, same):
    """fused and exact are alike; fast is not; recordings that do not say it are fused."""
    words = other_arithmetic({"arithmetic": then} if then else {}, here)
    assert words.endswith(same) and bool(words) == bool(same)


def test_other_bits_of_another_arithmetic_are_no_fault(recorded, tmp_path):
    """The difference is shown and explained; the exit code is 0. With the same arithmetic it is 1."""
    for arithmetic, code in ((OTHER, 0), (host().arithmetic, 1)):
        path = write(tmp_path / f"{arithmetic}.mcap", recorded, MODELS, arithmetic=arithmetic)
        done = CliRunner().invoke(app, ["replay", str(path)])
        assert done.exit_code == code, done.output
        assert "cycle 33" in done.output
        assert (
            ("other arithmetic" in done.output) == (f"recorded with {OTHER} arithmetic" in done.output) == (code == 0)
        )


def test_a_worker_of_another_arithmetic_refuses(recorded, tmp_path):
    """Another one may do it; none reports a fault."""
    path = write(tmp_path / "a.mcap", recorded, MODELS, arithmetic=OTHER)
    reply = work(Ask().job((str(path),), "axis", "one", None, None))
    assert reply["refused"] == "arithmetic" and reply["refused"] in ELSEWHERE and "RT_ENGINE" in reply["text"]


def test_a_cycle_of_another_arithmetic_is_not_explained(recorded, tmp_path):
    """It is not as recorded; why is said."""
    path = write(tmp_path / "a.mcap", recorded, MODELS, arithmetic=OTHER)
    tick = rt_engine.recording.open(path).task("axis").records(33, 34, "row")["tick_ns"][0]
    with pytest.raises(RecordingError, match=f"not as recorded .*recorded with {OTHER} arithmetic"):
        explain_recording(path, str(tick), How())
