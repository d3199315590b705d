"""A real station records: its cycles are in its files, as its tasks counted them; and what a killed one left is saved."""

import json
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from typer.testing import CliRunner

import rt_engine.recording as recording
from rt_engine.errors import RecordingError
from rt_engine.recording.contents import Version
from rt_engine.recording.layout import Flag
from station.cli import app
from station.errors import RefusedError
from station.file.reading import read_station
from station.recorder import home
from station.running.control import ControlServer
from station.running.station import Station
from tests.station.stations import AXIS, SIM, gemm, running, station_text, write_station
from tests.waiting import wait_for

QUICK = '[recorder]\ncompression = "none"\nbefore = "500 ms"\nafter = "200 ms"\ncheckpoint = "100 ms"\n'


@pytest.fixture(autouse=True)
def own_rings(tmp_path, monkeypatch):
    """Rings of this test alone."""
    monkeypatch.setattr(home, "BASE", str(tmp_path / "shm"))


def made(folder, recorder=QUICK, *more):
    return Station(read_station(write_station(folder, station_text("bench", SIM, AXIS, recorder, *more))))


def triggers_of(folder, kind):
    """What triggers of a kind say, in all files; of one that has just been made nothing is there yet."""
    events = []
    for path in (folder / "recordings").glob("*.mcap"):
        with suppress(RecordingError):
            events += recording.open(path).events
    return [event["text"] for event in events if event["kind"] == "trigger" and event["trigger"] == kind]


def test_a_station_without_one_has_nothing_of_it(tmp_path):
    station = Station(read_station(write_station(tmp_path)))
    assert station._scheduler.rings == {}
    assert station.recording.drain is None
    assert not (tmp_path / "shm").exists()
    assert station.snapshot().recorder is None
    with pytest.raises(RefusedError, match=r"its file has no \[recorder\]"):
        station.record("")


def test_continuous_has_every_cycle(tmp_path):
    station = made(tmp_path, QUICK + 'mode = "continuous"')
    with running(station):
        wait_for(lambda: station.snapshot().tasks[0].cycles > 700)
        view = station.snapshot().recorder
        assert view.mode == "continuous"
        station.update("mean", tmp_path / "twice.onnx")
        wait_for(lambda: station.recording.recorder.view().is_recording)
        assert not triggers_of(tmp_path, "rollback")
        station.changes.roll_back("mean", "a test")
        wait_for(lambda: station.snapshot().tasks[0].model_version == 1)
    assert triggers_of(tmp_path, "rollback") == ["to version 1"]
    cycles = station._scheduler.counters("axis")["cycles"]
    (path,) = (tmp_path / "recordings").glob("*.mcap")
    found = recording.open(path)
    assert found.station_text == station.file.lines.text
    rows = found.task("axis").numpy()
    assert np.array_equal(rows["number"], np.arange(rows["number"][0], rows["number"][0] + cycles))
    models = station._parts.slots["mean"]
    versions = {(one.number, one.sha256) for one in found.versions["axis"].values()}
    assert (1, models.model.sha256) in versions and len(versions) == 2
    assert {f"models/{sha}.onnx" for _, sha in versions} == set(found.attachments)
    assert {1, 2} == set(np.unique(rows["version"]).tolist())
    assert not list((tmp_path / "shm").rglob("*.*")), "nothing is left in memory"
    assert Version("axis", 1, models.model.sha256, "mean") in station.recording.versions()


def test_a_command_keeps_what_lies_around_it(tmp_path):
    """By the control socket; listed, shown in the status and the events."""
    station, socket, run = made(tmp_path, QUICK + "on = []"), tmp_path / "s", CliRunner()
    ticks_ns = []
    station.recording.drain.listen(lambda layout, records: ticks_ns.extend(records["tick_ns"].tolist()))
    with running(station), ControlServer(station, socket):
        wait_for(lambda: station.snapshot().tasks[0].cycles > 1000)
        done = run.invoke(app, ["record", "--why", "it hums", "--socket", str(socket)])
        assert (done.exit_code, "the last 0.5 s and the next 0.2 s are kept" in done.output) == (0, True)
        wait_for(lambda: list((tmp_path / "recordings").glob("*-command.mcap")))
        wait_for(lambda: not (now := station.recording.recorder.view()).is_recording and now.files)
        shown = run.invoke(app, ["status", "--socket", str(socket)]).output
        assert "recorder records around triggers: 1 file" in shown
    (path,) = (tmp_path / "recordings").glob("*.mcap")
    found = recording.open(path)
    (fired,) = (event for event in found.events if event["kind"] == "trigger")
    assert fired["text"] == "it hums"
    around = [tick for tick in ticks_ns if -600_000_000 <= tick - fired["tick_ns"] <= 200_000_000]
    kept = found.task("axis").numpy()["tick_ns"].tolist()
    stood_still = np.diff(ticks_ns).max() > 200_000_000  # a cycle that comes so late is not waited for
    assert kept == around or (stood_still and kept == around[: len(kept)]), "with a checkpoint's time before"
    listed = run.invoke(app, ["recordings", str(tmp_path / "station.toml"), "--json"])
    (one,) = json.loads(listed.output)
    assert (one["file"], one["why"], one["size"]) == (str(path), "command", path.stat().st_size)
    assert "1 file, " in run.invoke(app, ["recordings", str(tmp_path / "station.toml")]).output
    assert any("by control socket: it hums" in event.text for event in station.diary.events)


def test_a_fault_of_a_real_task_is_kept(tmp_path):
    station = made(tmp_path, QUICK + 'on = ["fault"]\nwhen = ["force > 5"]')
    link = station._parts.links["sim"]
    works = link._device
    with running(station):
        wait_for(lambda: station.snapshot().tasks[0].cycles > 300)
        link._device = lambda outputs: works(outputs) | {"b": float("nan")}
        wait_for(lambda: "103 NAN_INPUT" in triggers_of(tmp_path, "fault"))
        link._device = lambda outputs: works(outputs) | {"b": 19.0}
        wait_for(lambda: triggers_of(tmp_path, "when"))
    assert "103 NAN_INPUT" in triggers_of(tmp_path, "fault"), "a busy machine has others, too"
    assert set(triggers_of(tmp_path, "when")) == {"force > 5"}


def test_a_ring_that_cannot_be_had_is_told_and_control_goes_on(tmp_path, monkeypatch):
    (tmp_path / "shm").write_text("no folder")
    station = made(tmp_path)
    with running(station):
        wait_for(lambda: station.snapshot().tasks[0].cycles > 50)
        view = station.snapshot().recorder
    assert "shm" in view.trouble
    assert any("nothing is recorded, control goes on" in event.text for event in station.diary.events)
    with pytest.raises(RefusedError, match="shm"):
        station.record("")


KILLED = """\
import os, signal, sys, time
from pathlib import Path
from station.file.reading import read_station
from station.recorder import home
from station.running.station import Station

folder, cycles, bytes_written = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
home.BASE = str(folder / "shm")
station = Station(read_station(folder / "station.toml"))
with station:
    while True:
        counted = station._scheduler.counters("axis")
        written = sum(path.stat().st_size for path in (folder / "recordings").glob("*.mcap"))
        if counted["cycles"] >= cycles and written >= bytes_written:
            print(int(counted["cycles"]), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.0003)
"""


@pytest.mark.parametrize("mode", ["continuous", "trigger"])
def test_a_station_that_is_killed_loses_no_cycle(tmp_path, mode):
    """Its files and what the next start saves are one recording without a hole, up to the last cycle that was counted."""
    text = QUICK.replace('"500 ms"', '"30 s"') + f'mode = "{mode}"\non = []\n'
    write_station(tmp_path, station_text("bench", SIM, AXIS, text))
    words = [str(tmp_path), "1700", "50000" if mode == "continuous" else "0"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -9, done.stderr
    counted = int(done.stdout)
    before = sorted((tmp_path / "recordings").glob("*.mcap"))
    with running(station := Station(read_station(tmp_path / "station.toml"))):
        wait_for(lambda: list((tmp_path / "recordings").glob("*-salvaged.mcap")))
        wait_for(lambda: any("saved in" in event.text for event in station.diary.events))
    before += (tmp_path / "recordings").glob("*-salvaged.mcap")
    found = recording.open(before)
    numbers = found.task("axis").numpy()["number"]
    assert numbers[-1] >= counted - 1, "none is lost that was counted"
    assert np.array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers))), "there is no hole"
    assert len(numbers) >= counted
    assert len(before) == (2 if mode == "continuous" else 1)
    assert found.station_text == station.file.lines.text
    assert len(found.versions["axis"]) == 1 and found.attachments
    assert not list((tmp_path / "shm").rglob("*.*"))


def test_a_disagreement_in_shadow_is_kept_with_both_models(tmp_path):
    """So that a gate, or a person, can run both over the cycles in which they disagreed."""
    change = '[models.mean.change]\nshadow = "200 cycles"\ntolerance = 0.1\n'
    text = QUICK + 'on = ["disagreement"]'
    elsewhere = gemm(tmp_path / "elsewhere.onnx", 2, 3.0)
    station = Station(read_station(write_station(tmp_path / "here", station_text("bench", change, SIM, AXIS, text))))
    with running(station):
        wait_for(lambda: station.snapshot().tasks[0].cycles > 300)
        station.update("mean", elsewhere)
        wait_for(lambda: not (now := station.recording.recorder.view()).is_recording and now.files)
    path = min((tmp_path / "here" / "recordings").glob("*-disagreement.mcap"))  # another, where the machine stood still
    found = recording.open(path)
    assert sorted(found.versions["axis"]) == [1, 2]
    assert {f"models/{one.sha256}.onnx" for one in found.versions["axis"].values()} == set(found.attachments)
    flags = found.task("axis").numpy()["flags"]
    assert (flags & int(Flag.SECOND_SHADOW)).any()


SECOND = """\
[tasks.second]
cycle = "2 ms"
inputs = ["a"]
outputs = ["lamp"]
step = { type = "linear" }
"""


def test_a_page_alone_has_every_cycle_and_keeps_none(tmp_path, monkeypatch):
    """Of all tasks; and where a recorder wants some of them, those of the others go to no file."""
    monkeypatch.setattr("station.recorder.recorder.PAGE_NS", 10_000_000_000)  # the machine may stand still for so long
    axis = AXIS.replace("[tags]\n", '[tags]\nlamp = { direction = "out" }\n')
    page = '[servers.page]\ntype = "web"\nport = 0\n'
    for recorder, kept in (("", None), (QUICK + 'mode = "continuous"\ntasks = ["second"]\n', ["second"])):
        folder, heard = tmp_path / str(len(recorder)), {}
        station = Station(read_station(write_station(folder, station_text("bench", SIM, axis, SECOND, page, recorder))))
        assert set(station._scheduler.rings) == {"axis", "second"}
        station.recording.drain.listen(
            lambda layout, records, heard=heard: heard.setdefault(layout.task, []).extend(records["number"].tolist())
        )
        with running(station):
            wait_for(lambda heard=heard: len(heard.get("axis", ())) > 200 and len(heard.get("second", ())) > 100)
        for numbers in heard.values():
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert not list((tmp_path / "shm").rglob("*.*"))
        found = list(folder.rglob("*.mcap"))
        if kept is None:
            assert found == [] and station.snapshot().recorder is None
        else:
            assert list(recording.open(found[0]).tasks) == kept
            assert recording.open(found[0]).task("second").numpy()["number"].tolist() == heard["second"]


def test_what_a_page_alone_has_left_fills_no_memory(tmp_path):
    """A station that is killed again and again; what a recorder has left waits for a recorder."""
    station = made(tmp_path, '[servers.page]\ntype = "web"\nport = 0\n')
    (ring,) = station._scheduler.rings.values()
    old, kept = ring.path.with_name("1-ab.0.ring"), ring.path.with_name("2-cd.0.ring")
    for path in (old, kept, kept.with_name("2-cd.facts")):
        path.write_bytes(b"what was there")
    again = made(tmp_path, '[servers.page]\ntype = "web"\nport = 0\n')
    assert not old.exists() and kept.exists() and kept.with_name("2-cd.facts").exists()
    assert ring.path.exists()  # of a process that lives
    assert again._scheduler.rings
