"""How a machine adds products is said where it is not as everywhere."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from rt_native.target import host
from station.cli import app
from station.commands.shared.arithmetic import arithmetic_notes
from tests.scheduler.models import scale_file

HERE = host()


@pytest.mark.parametrize(("mine", "other"), [("fast", "exact"), ("exact", "fast")])
def test_a_line_says_what_is_computed_and_how_the_other_is_had(mine, other):
    """One line; none where multiply-add is fused."""
    (line,) = arithmetic_notes(replace(HERE, cpu="x86-64-v2", arithmetic=mine))
    assert line.startswith(f"x86-64-v2 has no FMA; arithmetic {mine}: ") and f"RT_ENGINE_ARITHMETIC={other}: " in line
    assert not list(arithmetic_notes(replace(HERE, arithmetic="fused")))


def test_check_says_it_at_its_end(monkeypatch, tmp_path):
    """Once, whatever the number of files."""
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(scale_file(2.0).SerializeToString())
    monkeypatch.setattr(
        "station.commands.shared.arithmetic.host", lambda: replace(HERE, cpu="x86-64-v2", arithmetic="fast")
    )
    done = CliRunner().invoke(app, ["check", str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")])
    assert done.exit_code == 0, done.output
    assert done.output.count("has no FMA; arithmetic fast") == 1
