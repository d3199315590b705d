"""`rt-engine tune`: measures, shows, keeps; a later load is as it was measured."""

import json

import pytest
from typer.testing import CliRunner

from rt_engine.program.rtp_writer import to_bytes
from rt_engine.run import chosen
from rt_engine.run.native import KERNELS
from station.cli import app
from tests.rt_engine.tune.test_tuning import product


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where choices are kept."""
    monkeypatch.setattr(chosen, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "tuned"


@pytest.fixture
def model(tmp_path):
    """A compiled product of 64 rows."""
    (tmp_path / "m.rtp").write_bytes(to_bytes(product().program))
    return tmp_path / "m.rtp"


def _command(*words, code=0):
    done = CliRunner().invoke(app, ["tune", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


def test_a_table_and_all_figures(folder, model, tmp_path):
    told = _command(model, "--seconds", "0.1", "--json", tmp_path / "all.json")
    assert "1 records with a choice" in told
    found = json.loads((tmp_path / "all.json").read_text())[str(model)]
    assert found["records"] == 1
    assert found["fixed_ns"] > 0
    assert folder.is_dir()


def test_a_model_without_a_choice_is_told_so_and_is_tuned(folder, tmp_path):
    (tmp_path / "m.rtp").write_bytes(to_bytes(product(rows=1).program))
    told = _command(tmp_path / "m.rtp", "--seconds", "0.1")
    assert "nothing to choose" in told and "0.0 us" not in told
    assert chosen.chosen_for(KERNELS).words.startswith("tuned: nothing")


def test_what_was_measured_is_forgotten(folder):
    folder.mkdir(parents=True)
    (folder / "x.json").touch()
    assert "1 files" in _command("--forget")
    assert not list(folder.iterdir())


def test_a_model_that_cannot_be_read_stops_no_other(folder, model, tmp_path):
    (tmp_path / "bad.rtp").write_bytes(b"RT")
    assert "1 records with a choice" in _command(tmp_path / "bad.rtp", model, "--seconds", "0.1", code=1)


def test_it_asks_for_a_model():
    assert "--forget" in _command(code=2)
