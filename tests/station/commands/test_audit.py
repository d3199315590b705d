"""`rt-engine audit`: what it says of a log that is whole, of one that somebody changed, of one that was cut off."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from plc_bindings.security.audit import AuditLog
from station.cli import app


def run(*words):
    return CliRunner().invoke(app, ["audit", *map(str, words)], env={"COLUMNS": "200"})


@pytest.fixture
def station(tmp_path):
    """Four changes in two files of a station; it need not be one that could run."""
    file = tmp_path / "station.toml"
    file.write_text('[station]\naudit = "log.jsonl"\nnonsense = 1\n')
    log = AuditLog(tmp_path / "log.jsonl", most_bytes=700)
    for i, who in enumerate(("10.0.0.5", "=cmd()", "10.0.0.5", "control socket")):
        log.record_change(who, "model policy", f"live as version {i}", slot="policy", state="COMMITTED")
        log._flush()
    log.stop()
    return file


def test_a_log_that_is_whole_shows_its_head(station):
    found = run("verify", station)
    assert found.exit_code == 0, found.output
    assert "4 changes are as they were written" in found.output
    head = found.output.split("head ")[1].split()[0]
    assert run("verify", station, "--head", head).exit_code == 0
    newest = station.with_name("log.changes.jsonl")
    for file in ("log.jsonl", "log.changes.jsonl", "log.changes.jsonl.1"):
        assert run("verify", station.with_name(file)).output == found.output
    newest.unlink()
    assert run("verify", station).exit_code == 0
    cut = run("verify", station, "--head", head)
    assert cut.exit_code == 1 and "cut off" in cut.output


def test_the_first_line_that_was_changed_is_named_and_the_exit_code_is_1(station):
    file = station.with_name("log.changes.jsonl.1")
    file.write_text(file.read_text().replace("=cmd()", "nobody"))
    found = run("verify", station)
    assert found.exit_code == 1
    assert "log.changes.jsonl.1, line 2 (record 2 of 20" in found.output and "changed" in found.output
    plain = json.loads(run("verify", station, "--json").output)
    assert (plain["whole"], plain["broken"]["line"], plain["broken"]["number"], plain["records"]) == (False, 2, 2, 1)


def test_all_changes_are_exported_as_rows_and_no_cell_is_a_formula(station, tmp_path):
    out = tmp_path / "changes.csv"
    assert run("export", station, "--csv", out).exit_code == 0
    text = out.read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["number"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["who"] for row in rows] == ["10.0.0.5", "'=cmd()", "10.0.0.5", "control socket"]
    assert rows[3]["state"] == "COMMITTED" and len(rows[3]["hash"]) == 64
    assert run("export", station).output.splitlines() == text.splitlines()


def test_what_cannot_be_read_is_exported_as_it_is_and_told(station):
    with station.with_name("log.changes.jsonl").open("ab") as file:
        file.write(b"\xff[1]")
    found = run("export", station)
    assert found.exit_code == 0 and "not readable: \\xff[1]" in found.output
    with station.with_name("log.changes.jsonl").open("ab") as file:
        file.write(b"{}\n")
    found = run("export", station)
    assert found.exit_code == 1 and "changed: it is no record" in found.output


@pytest.mark.parametrize("name", ["no.toml", "no.jsonl", "."])
def test_what_is_no_log_is_refused_with_its_name(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run("verify", tmp_path / name)
    assert found.exit_code in (2, 3) and "Traceback" not in found.output


def test_a_station_that_changed_nothing_yet_has_a_whole_log(tmp_path):
    (tmp_path / "station.toml").write_text("")
    found = run("verify", tmp_path / "station.toml")
    assert found.exit_code == 0 and "0 changes" in found.output
