"""`rt-engine export grafana`: the dashboard as a file."""

import json

from typer.testing import CliRunner

from station.cli import app
from station.page.dashboard import dashboard


def run(*words):
    return CliRunner().invoke(app, ["export", "grafana", *map(str, words)], env={"COLUMNS": "1000"})


def test_the_file_is_what_grafana_imports(tmp_path):
    said = run("-o", tmp_path / "d.json")
    assert said.exit_code == 0 and "Import" in said.output
    assert json.loads((tmp_path / "d.json").read_text()) == dashboard()


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("no folder")
    said = run("-o", tmp_path / "file" / "d.json")
    assert said.exit_code == 2 and "cannot be made" in said.output


def test_its_folder_is_made(tmp_path):
    assert run("-o", tmp_path / "new" / "d.json").exit_code == 0
    assert (tmp_path / "new" / "d.json").exists()
