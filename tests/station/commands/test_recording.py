"""`rt-engine recording info`, `cut` and `export`."""

import json

import pytest
from typer.testing import CliRunner

from rt_engine import recording as rec
from station.cli import app
from tests.rt_engine.recording.mutants import whole
from tests.rt_engine.recording.recorded import LAYOUT
from tests.rt_engine.recording.test_recording import written


@pytest.fixture
def recorded(tmp_path):
    """Cycles 0 to 299 without 100 to 109, checkpoints before 0 and 200."""
    return written(tmp_path / "a.mcap", [(0, 100), (110, 300)], remembered=[0, 200], station="[tasks.balance]\n")


def command(*arguments):
    return CliRunner().invoke(app, ["recording", *(str(a) for a in arguments)], env={"COLUMNS": "200"})


def test_info_shows_tasks_and_what_is_missing(recorded):
    result = command("info", recorded)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("balance ")]
    assert line.split() == [
        "balance", "290", "2023-11-14T22:13:25.000000000Z", "2023-11-14T22:13:25.299000000Z", "1", "1", "10", "2", "5", "3", "328",
    ]  # fmt: skip
    assert "warning" not in result.output
    assert json.loads(command("info", recorded, "--json").output)["tasks"][0]["lost"] == 10
    assert "?" in command("info", recorded, "--quick").output


def test_info_shows_what_came_with_it(tmp_path):
    (tmp_path / "a.mcap").write_bytes(whole("none"))
    output = command("info", tmp_path).output
    for words in (
        "version 1 of model m is ab, attached",
        "version 8 is c, not attached",
        "models/ab.onnx, 45 bytes",
        "boot_id b",
    ):
        assert words in output


def test_a_damaged_file_is_shown_as_far_as_it_goes(recorded):
    data = recorded.read_bytes()
    recorded.write_bytes(data[: len(data) // 2])
    result = command("info", recorded)
    assert result.exit_code == 0 and "balance" in result.output
    assert "warning: " in result.output and "cut off" in result.output
    result = command("export", recorded, "-o", recorded.with_suffix(".csv"))
    assert result.exit_code == 0 and "100 cycles" in result.output and "cut off" in result.output


def test_cut_takes_what_is_around_a_moment(recorded, tmp_path):
    result = command(
        "cut", recorded, "-o", tmp_path / "b.mcap", "--from", "#250", "--before", "10ms", "--after", "20 ms"
    )
    assert result.exit_code == 0, result.output
    assert "balance: 70 cycles, from a checkpoint on" in result.output
    assert rec.open(tmp_path / "b.mcap").task().records()["number"].tolist() == list(range(200, 270))
    result = command(
        "cut", recorded, "-o", tmp_path / "c.mcap", "--from", "#250", "--to", "#255", "--exact", "--task", "balance"
    )
    assert "balance: 5 cycles, without a checkpoint" in result.output


def test_triggers_are_shown_with_the_number_that_means_them(tmp_path):
    """And with what fired, and of which task."""
    event = {"kind": "trigger", "text": "102 BAD_INPUT", "task": "balance", "trigger": "fault"}
    with rec.Writer(tmp_path / "a.mcap", [LAYOUT], offset_ns=0) as writer:
        for tick_ns in (1_000_000_000, 2_000_000_000):
            writer.add_event({"tick_ns": tick_ns, **event})
    result = command("info", tmp_path / "a.mcap")
    assert "1970-01-01T00:00:02.000000000Z @2 trigger fault of task balance: 102 BAD_INPUT" in result.output


def test_export_writes_the_chosen_columns(recorded, tmp_path):
    result = command(
        "export", recorded, "-o", tmp_path / "x.csv", "--columns", "number,drive.counter", "--from", "+0.297s"
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x.csv").read_text().splitlines() == [
        "utc,number,inputs.drive.counter", "2023-11-14T22:13:25.297000000Z,297,0", "2023-11-14T22:13:25.298000000Z,298,0",
        "2023-11-14T22:13:25.299000000Z,299,0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("info", "gone.mcap"), 2, "there is no gone.mcap"),
        (("export", "a.mcap", "-o", "x.xlsx"), 2, "which kind of table"),
        (("export", "a.mcap", "-o", "x.csv", "--columns", "speeed"), 3, "no column 'speeed'; did you mean 'speed'?"),
        (("export", "a.mcap", "-o", "x.csv", "--task", "other"), 3, "no task 'other' in the recording; it has balance"),
        (("export", "a.mcap", "-o", "x.csv", "--from", "noon"), 3, "'noon' says no moment"),
        (("cut", "a.mcap", "-o", "b.mcap", "--from", "@1"), 3, "no trigger '@1'"),
        (("cut", "a.mcap", "-o", "b.mcap", "--to", "#1", "--after", "1s"), 2, "not both"),
        (("cut", "a.mcap", "-o", "b.mcap", "--before", "1s"), 2, "how far from --from"),
        (("cut", "a.mcap", "-o", "old.mcap"), 2, "is there already"),
        (("cut", "a.mcap", "-o", "a.mcap"), 2, "it is read by this command"),
        (("info", "old.mcap"), 3, "it is no MCAP file"),
    ],
)
def test_a_mistake_is_explained(recorded, monkeypatch, arguments, code, words):
    monkeypatch.chdir(recorded.parent)
    (recorded.parent / "old.mcap").write_text("something else")
    result = command(*arguments)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.output.replace("│", " ").split())
