"""The command `export st --inline`: a model becomes one file; what cannot be is said with its reasons."""

import re
import shutil

import pytest
from typer.testing import CliRunner

from station.cli import app
from station.demo.demo import BETTER
from station.errors import ExitCode
from tests import ROOT

POLICY = BETTER.with_name("policy-v1.onnx")
GRU = ROOT / "tests" / "exporters" / "golden" / "torch_gru_script.onnx"


def export(*options):
    return CliRunner().invoke(app, ["export", "st", *map(str, options)])


def test_the_block_is_named_like_the_model(tmp_path, monkeypatch):
    """Without options: a portable block in this folder, and what a call of it costs."""
    shutil.copy(POLICY, tmp_path / "policy.onnx")
    monkeypatch.chdir(tmp_path)
    result = export("policy.onnx", "--inline")
    assert result.exit_code == 0, result.output
    assert "FB_policy.st: FB_policy, 5,007 numbers; one call: 4,608 multiply-adds" in result.output
    assert "FUNCTION_BLOCK FB_policy\n" in (tmp_path / "FB_policy.st").read_text()


def test_name_flavour_and_file_are_the_users(tmp_path):
    """A file of a TwinCAT project, with arrays in place."""
    file = tmp_path / "axis.TcPOU"
    result = export(POLICY, "--inline", "--flavour", "twincat", "--name", "FB_Axis", "-o", file)
    assert result.exit_code == 0, result.output
    text = file.read_text()
    assert '<POU Name="FB_Axis"' in text and "observation : ARRAY [0..6] OF REAL;" in text


def test_a_folder_is_made(tmp_path):
    """What has no suffix is a folder; the file in it is named like the block."""
    result = export(POLICY, "--inline", "-o", tmp_path / "plc", "--name", "FB_Axis")
    assert result.exit_code == 0 and "plc/FB_Axis.st: FB_Axis," in result.output
    assert (tmp_path / "plc" / "FB_Axis.st").read_text().count("FUNCTION_BLOCK FB_Axis\n") == 1


def test_a_model_without_such_a_form_is_refused(tmp_path):
    """Node, operator and reason; no file."""
    result = export(GRU, "--inline", "-o", tmp_path / "x.st")
    assert result.exit_code == ExitCode.BAD_FILE and "GRU" in result.output and "gru_f32" in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_file_is_made(tmp_path):
    """With those above it."""
    file = tmp_path / "plc" / "blocks" / "x.st"
    assert export(POLICY, "--inline", "-o", file).exit_code == 0
    assert "FUNCTION_BLOCK FB_policy" in file.read_text()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("station.toml", "--name", "FB_X", "-o", "x"), "it belongs to --inline"),
        (("station.toml",), "name a folder"),
        ((POLICY, "-o", "x"), "is a model --inline makes a block of it"),
        ((POLICY, "--inline", "-o", POLICY / "x.st"), "cannot be made"),
        ((POLICY, "--inline", "-o", POLICY), "it is read by this command"),
        ((POLICY, "--inline", "--server", "plc"), "not with --inline"),
        ((POLICY, "--inline", "--prefix", "lab"), "not with --inline"),
        (("--library", "station.toml", "-o", "x"), "not with --library"),
        (("--library",), "name a folder"),
        (("--inline",), "name a model"),
    ],
)
def test_options_that_do_not_fit(options, why, tmp_path, monkeypatch):
    """Nothing is ignored quietly."""
    monkeypatch.chdir(tmp_path)
    result = export(*options)
    assert result.exit_code == ExitCode.USAGE and why in " ".join(re.findall(r"[\w.-]+", result.output))
