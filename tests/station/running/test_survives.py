"""A station that is killed starts with the version that was committed; what was on trial is taken back, and is said."""

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

from rt_engine.change import ChangeState
from rt_engine.read.source import opened
from station.errors import ExitCode, NotRunningError
from station.running.asking import fetch_status
from station.running.places import socket_path
from station.store.store import Store
from tests import ROOT
from tests.station.stations import write_station
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def private_runtime_folder(socket_folder, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(socket_folder))


def rt_engine(*words, code=0):
    command = [sys.executable, "-m", "station", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def runs():
    try:
        return fetch_status(socket_path("bench")).tasks[0].cycles
    except NotRunningError:
        return 0


@contextmanager
def started(path):
    """A station in a process that is killed at last; where what it says goes."""
    log = path.parent / "log"
    with open(log, "w") as said:
        process = subprocess.Popen([sys.executable, "-m", "station", "run", path], stdout=said, stderr=said, cwd=ROOT)
    try:
        wait_for(lambda: process.poll() is not None or runs(), 90)
        assert process.poll() is None, log.read_text()
        yield log
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -9


def states(path):
    return [
        (row["version"], row["file"], row["state"], row["role"])
        for row in json.loads(rt_engine("models", path, "--json"))
    ]


def force():
    (tag,) = (tag for tag in fetch_status(socket_path("bench"), 10).tags if tag.name == "force")
    return tag.values[0]


def test_a_station_that_is_killed(tmp_path):
    path = write_station(tmp_path)
    assert "the first `rt-engine run` makes it" in rt_engine("models", path, code=ExitCode.FAILED)
    with started(path):
        wait_for(lambda: force() == 2.0)
        rt_engine("update", "mean", tmp_path / "twice.onnx", "--station", path)
        wait_for(lambda: force() == 4.0)
        assert states(path) == [(1, "mean.onnx", "COMMITTED", "previous"), (2, "twice.onnx", "COMMITTED", "committed")]
    store = Store(tmp_path / "store")
    store.open()
    other = store.add("mean", opened(tmp_path / "wide.onnx"), "anna").sha256
    store.record(store.next_change(), {"mean": other}, ChangeState.TRIAL, "anna", "")
    store.close()
    assert "the next start takes it back" in rt_engine("models", path)
    (tmp_path / "twice.onnx").unlink()
    (tmp_path / "mean.onnx").unlink()
    with started(path) as log:
        wait_for(lambda: force() == 4.0)
        wait_for(lambda: "no such file" in log.read_text() and "what the store has committed runs" in log.read_text())
        rolled_back = "is rolled back: the station ended while it was on trial; version 2 (twice.onnx"
        wait_for(lambda: rolled_back in log.read_text())  # a thread writes it
        assert fetch_status(socket_path("bench")).models["mean"].startswith("version 2 (twice.onnx")
        assert states(path)[2] == (3, "wide.onnx", "ROLLED_BACK", "")
        assert "rolled back, barred" in rt_engine("models", path)
