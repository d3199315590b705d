"""`rt-engine latency`, as a user calls it."""

import os
import pty
import signal
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from rt_native import isolated
from station.cli import app
from station.latency.result import read, write
from tests.station.latency.made import gev, result, subject

ONE = result(subject(gev(np.random.default_rng(1), 600, 0.0)))


def called(*words, code=0):
    """What the command says, both streams, without the frames of a terminal."""
    done = CliRunner().invoke(app, ["latency", *map(str, words)])
    assert done.exit_code == code, done.output
    return " ".join(done.output.replace("│", " ").split())


@pytest.fixture
def files(tmp_path):
    """Two results, the second worse."""
    worse = result(subject(1.4 * gev(np.random.default_rng(2), 600, 0.0)))
    write(ONE, tmp_path / "a.json")
    write(worse, tmp_path / "b.json")
    return tmp_path


def test_two_results_are_compared(files):
    """What got worse is said, and is no success."""
    done = called("--compare", files / "a.json", files / "b.json", "--html", files / "c.html", code=1)
    assert "worse: wake-up of axis" in done
    assert (files / "c.html").read_text().startswith("<!doctype html>")
    assert "no difference" in called("--compare", files / "a.json", files / "a.json")


def test_a_file_is_shown(files):
    """As at the end of its measurement; one of a killed run too."""
    write(replace(ONE, complete=False), files / "p.json")
    done = called("--show", files / "p.json", "--html", files / "p.html")
    assert "holds a cycle time of" in done
    assert "it had not ended" in done
    assert "the longest, " in done
    assert (files / "p.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--compare", "a.json", "other.json"], "another kind of file"),
        (["--compare", "a.json", "gone.json"], "cannot be read"),
        (["--compare", "a.json", "b.json", "--load", "cpu"], "measures nothing"),
        (["--show", "other.json"], "another kind of file"),
        (["--load", "disk"], 'no load "disk"'),
        (["--minutes", "1", "--hours", "1"], "not both"),
        (["--cycle", "10 us"], "at least 50 us"),
        (["--cycle", "fast"], "no duration"),
        (["--cpu", "4000"], "may use the cores"),
        (["station.toml", "--model", "m.onnx"], "not both"),
        (["m.onnx"], "is a model; write --model m.onnx"),
        (["--show", "a.json", "--load", "cpu"], "for --show: reads files"),
        (["--model", "m.onnx", "--model", "sub/m.onnx"], "same name"),
        (["--html", "other.json/x.html"], "cannot be made"),
    ],
)
def test_a_wrong_command_line_is_said(files, monkeypatch, words, said):
    monkeypatch.chdir(files)
    (files / "other.json").write_text("{}")
    assert said in called(*words, code=2)


def test_ctrl_c_reports_what_there_is(tmp_path):
    """When something was measured, as the line on the terminal says: the file is whole, and says that it ended early."""
    core = str(min(os.sched_getaffinity(0)))
    words = [
        "latency",
        "--minutes",
        "5",
        "--cpu",
        core,
        "--load",
        "timer",
        "--no-peer",
        "--json",
        str(tmp_path / "a.json"),
    ]
    command = isolated.command("station", *words)
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower, text=True, env=environment) as process:
        os.close(follower)
        shown = b""
        while b"longest " not in shown:
            shown += os.read(leader, 1 << 16)
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    os.close(leader)
    assert process.returncode == 0, said
    assert b"measures for 5 min" in shown
    found = read(tmp_path / "a.json")
    assert found.complete
    assert found.measured_s < 60
    assert "ended early, on request" in said
    assert found.subjects[0].cycles > 0
