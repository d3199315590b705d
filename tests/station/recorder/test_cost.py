"""What `check` says of a recorder is what its files and rings take."""

import json

import pytest
from typer.testing import CliRunner

from station.cli import app
from station.file.reading import read_station
from station.recorder import home
from station.recorder.cost import Cost, cost_of
from station.running.station import Station
from station.wiring.parts import build
from tests.station.stations import AXIS, SIM, running, station_text, write_station
from tests.waiting import wait_for


def written(folder, keys):
    return write_station(folder, station_text("bench", SIM, AXIS, f'[recorder]\ncompression = "none"\n{keys}\n'))


def test_check_tells_rate_quota_and_memory(tmp_path):
    path = written(tmp_path, 'quota = "100 MB"')
    done = CliRunner().invoke(app, ["check", str(path)])
    assert done.exit_code == 0
    line = next(line for line in done.output.replace("\n  ", "\n").split("\n") if line.strip().startswith("recorder"))
    assert "kB per second of 1 task; a trigger keeps " in line
    (found,) = json.loads(CliRunner().invoke(app, ["check", "--json", str(path)]).output)
    assert found["recorder"]["mode"] == "trigger"
    assert (
        "recorder"
        not in json.loads(CliRunner().invoke(app, ["check", "--json", str(write_station(tmp_path))]).output)[0]
    )


def test_files_and_rings_take_what_it_says(tmp_path, monkeypatch):
    """Within a tenth: a file has a few kilobytes besides its cycles, a ring a page or two."""
    monkeypatch.setattr(home, "BASE", str(tmp_path / "shm"))
    file = read_station(written(tmp_path, 'mode = "continuous"\nmodels = "0 B"\nfile = "10 min"'))
    cost = cost_of(file.config.recorder, build(file).tasks)
    station = Station(file)
    with running(station):
        (ring,) = station._scheduler.rings.values()
        assert ring.nbytes == pytest.approx(cost.memory, rel=0.1)
        wait_for(lambda: station.snapshot().tasks[0].cycles > 3_000)
    cycles = station._scheduler.counters("axis")["cycles"]
    size = sum(path.stat().st_size for path in (tmp_path / "recordings").iterdir())
    assert size == pytest.approx(cost.bytes_per_s * cycles / 1000, rel=0.1)


def test_more_memory_than_there_is_is_told():
    cost = Cost("continuous", 1, 1e3, 10**9, 1e6, 0, 10**9, "none", 64 * 10**6)
    _, note = cost.lines()
    assert "/dev/shm has room for 64 MB now: nothing would be recorded" in note


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (
            Cost("continuous", 2, 1e6, 10**9, 1000, 0, 10**7, "zstd"),
            "1 MB per second of 2 tasks, before compression; the quota of 1 GB holds 17 min",
        ),
        (Cost("continuous", 1, 1e3, 10**9, 1e6, 0, 10**7, "none"), "1 GB holds 11.6 days; 10 MB of locked memory"),
        (Cost("trigger", 1, 1e6, 10**6, 1, 15e6, 10**7, "none"), "a trigger keeps 15 MB, the quota of 1 MB holds 0"),
    ],
)
def test_in_words(cost, words):
    first, *notes = cost.lines()
    assert words in first
    assert bool(notes) == (cost.episode_bytes > cost.quota)
