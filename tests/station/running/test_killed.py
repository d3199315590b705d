"""A station that is killed has left its report behind; one that runs says how it is."""

import json
import subprocess
import sys
import threading

from typer.testing import CliRunner

from rt_native.turns import SHORT_S, Turns
from station.cli import app
from station.file.reading import read_station
from station.running.control import ControlServer
from station.running.station import Station
from station.show.report import ReportKeeper
from tests.station.stations import running, write_station
from tests.waiting import PATIENCE_S, wait_for

KILLED = """\
import os, signal, sys, time
from pathlib import Path
from station.file.reading import read_station
from station.running.station import Station
from station.show.report import ReportKeeper

folder = Path(sys.argv[1])
station = Station(read_station(folder / "station.toml"))
with station:
    while not station.snapshot().tasks[0].cycles:
        time.sleep(0.001)
    ReportKeeper(station.report_so_far, folder / "reports", 0.5, 0.1).__enter__()
    while not list((folder / "reports").glob("*.json")):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_station_that_is_killed_has_its_report(tmp_path):
    """Both files, whole, and they say that it ran on when they were written."""
    write_station(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == -9
    (data,) = (json.loads(path.read_text()) for path in (tmp_path / "reports").glob("*.json"))
    (page,) = (path.read_text() for path in (tmp_path / "reports").glob("*.html"))
    assert data["final"] is False
    assert data["station"]["tasks"][0]["cycles"] > 0
    assert "and ran on when this was written" in page


def force(station):
    """What the model's tag is now."""
    (tag,) = station.tags(["force"])
    return tag.values


def test_a_report_is_evidence(tmp_path):
    """Host, versions, station file, models by hash, what each tag was, the latest cycles: all of what really ran."""
    station = Station(read_station(write_station(tmp_path)))
    with running(station):
        wait_for(lambda: station.snapshot().tasks[0].cycles > 50)
        wait_for(lambda: force(station) == (2.0,))
        station.update("mean", tmp_path / "twice.onnx")
        wait_for(lambda: force(station) == (4.0,))
    report = station.report()
    assert report.is_final
    said = dict(report.identity)
    assert {"host", "time zone", "rt-engine", "Python", "system", "processor", "station file"} <= set(said)
    assert "twice.onnx, SHA-256" in said["model mean"]
    assert station._parts.slots["mean"].model.sha256 in said["model mean"]
    assert report.station_file == (tmp_path / "station.toml").read_text()
    values = {tag.name: (tag.least, tag.greatest) for tag in report.tags}
    assert values["a"] == (1.0, 1.0)
    assert values["b"] == (3.0, 3.0)
    assert values["force"][1] == 4.0
    assert 0 < len(report.worst) <= 8
    assert [cycle.complete_ns for cycle in report.worst] == sorted((c.complete_ns for c in report.worst), reverse=True)


def test_a_folder_that_hangs_holds_the_keeper_alone(tmp_path, monkeypatch):
    writes, held = threading.Event(), threading.Event()
    monkeypatch.setattr("station.show.report._write_into", lambda *_: (writes.set(), held.wait()))
    monkeypatch.setattr("station.show.report.KEEPER_PATIENCE_S", 0.05)
    with ReportKeeper(lambda: None, tmp_path, 0.0) as keeper:
        assert writes.wait(PATIENCE_S)
    assert keeper._thread.is_alive()
    held.set()
    keeper._thread.join()


def test_links_wait_little_for_a_report_that_is_made(tmp_path, monkeypatch):
    """While it is made, Python threads take turns ten times as often; afterwards as before."""
    kept, seen, usual_s = {}, [], 10 * SHORT_S
    turns = Turns(lambda: kept.get("now", usual_s), lambda seconds: kept.update(now=seconds))
    monkeypatch.setattr("station.show.report.TURNS", turns)
    done = threading.Event()

    def make():
        seen.append(kept["now"])
        done.set()
        raise OSError("no report")

    with ReportKeeper(make, tmp_path, 0.0) as keeper:
        assert done.wait(60)
    keeper._thread.join()
    assert set(seen) == {SHORT_S}
    assert kept["now"] == usual_s


def test_health_is_a_line_and_an_exit_code(tmp_path):
    """0: outputs live and links up; 1: it runs, but not well; 4: nobody answers."""
    station = Station(read_station(write_station(tmp_path)))
    link, socket = station._parts.links["sim"], tmp_path / "s"
    works = link._device

    def health():
        result = CliRunner().invoke(app, ["status", "--health", "--socket", str(socket)])
        return result.exit_code, result.output.strip()

    with running(station), ControlServer(station, socket):
        wait_for(lambda: health() == (0, "bench is healthy"))
        link._device = lambda outputs: works(outputs) | {"b": float("nan")}
        wait_for(lambda: health() == (1, "bench is not well: axis: outputs hold, an input is NaN or infinite"))
    assert health()[0] == 4
