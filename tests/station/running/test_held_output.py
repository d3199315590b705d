"""What a person reads never holds what controls: a terminal, pipe or file that takes nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.station.stations import AXIS, SIM, station_text, write_station
from tests.waiting import wait_for

ROOT = Path(__file__).parents[3]
DEVICE = """\
import os

record = os.open(os.path.join(os.path.dirname(__file__), "record"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def device(outputs):
    print("the device was called", flush=True)
    os.write(record, b"%g\\n" % outputs["force"])
    return {"a": 1.0, "b": 3.0}
"""
SERVER = '[servers.s]\ntype = "modbus-tcp"\nhost = "127.0.0.1"\nport = 0\nallow = ["127.0.0.1"]\n'
ENDS_S = 60.0


@pytest.fixture
def full_pipe():
    """The writing end of a pipe that nobody reads and that holds all it can."""
    reads, writes = os.pipe()
    fill(writes)
    yield writes
    os.close(reads)
    os.close(writes)


def fill(pipe):
    os.set_blocking(pipe, False)
    for size in (1 << 16, 1):  # to the last byte
        try:
            while True:
                os.write(pipe, b" " * size)
        except BlockingIOError:
            pass
    os.set_blocking(pipe, True)


def start(folder, stdout, stderr, *lines):
    """`rt-engine run` of a station whose device writes down what it was sent, in `record`."""
    file = write_station(folder, station_text("held", *lines, SIM, AXIS))
    (folder / "device.py").write_text(DEVICE)
    command = [sys.executable, "-m", "station", "run", str(file), "--socket", str(folder / "s")]
    return subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=ROOT)


def sent(folder):
    """What the device was sent, in order."""
    record = folder / "record"
    return [float(line) for line in record.read_text().split()] if record.exists() else []


def ends_well(process, folder):
    """SIGTERM: the process ends with exit code 0, the newest value that the device has is the safe one, the report is there."""
    try:
        wait_for(lambda: 2.0 in sent(folder))
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENDS_S) == 0
    finally:
        process.kill()
        process.wait()
    assert sent(folder)[-1] == -1.0
    return json.loads(next((folder / "reports").glob("*.json")).read_text())


@pytest.mark.parametrize("streams", ["stdout", "stderr", "both"])
def test_a_full_pipe_from_the_start_holds_nothing(tmp_path, full_pipe, streams):
    """The station starts, controls and ends in order, also when a device prints; the report says that nobody read."""
    stdout = full_pipe if streams in ("stdout", "both") else subprocess.DEVNULL
    stderr = full_pipe if streams in ("stderr", "both") else subprocess.DEVNULL
    ends_well(start(tmp_path, stdout, stderr), tmp_path)


def test_a_pipe_that_fills_later_holds_nothing(tmp_path):
    """The same when the reader stops reading while the station runs."""
    reads, writes = os.pipe()
    process = start(tmp_path, writes, writes)
    assert os.read(reads, 10)
    fill(writes)
    ends_well(process, tmp_path)
    os.close(reads)
    os.close(writes)


@pytest.mark.parametrize("has_log", [True, False])
def test_a_reader_that_is_gone_changes_no_exit_code(tmp_path, has_log):
    """`rt-engine run | head -1`: control goes on, which the log says where there is one, and ends as it should."""
    (tmp_path / "cell").mkdir()
    reads, writes = os.pipe()
    with (tmp_path / "log").open("w") as log:
        process = start(tmp_path / "cell", writes, log if has_log else writes)
    os.close(writes)
    assert os.read(reads, 10)
    os.close(reads)
    wait_for(lambda: not has_log or "output: cannot be written" in (tmp_path / "log").read_text())
    report = ends_well(process, tmp_path / "cell")
    assert not has_log or any(event["subject"] == "output" for event in report["events"])


def test_an_audit_file_that_blocks_holds_nothing(tmp_path):
    """A FIFO that nobody reads in the place of the audit log is said, and keeps nothing from its end."""
    os.mkfifo(tmp_path / "audit.jsonl")
    with (tmp_path / "log").open("w") as log:
        process = start(tmp_path, subprocess.DEVNULL, log, SERVER)
    wait_for(lambda: "a pipe is there" in (tmp_path / "log").read_text())
    report = ends_well(process, tmp_path)
    assert any(event["subject"] == "audit log" and "a pipe is there" in event["text"] for event in report["events"])
