"""The demo as a newcomer runs it: the whole story, one in which something does not happen, and one that is stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from station.demo import demo, recorded
from station.demo.facts import Answer
from station.demo.story import TIMEOUT_S
from station.file.reading import read_station
from tests import ROOT
from tests.processes import children, is_running
from tests.waiting import wait_for

POWER = {
    "kind": "update",
    "good": False,
    "text": "version 3 (v4) is rolled back: the station ended while it was on trial",
}
REFUSAL = {"kind": "update", "good": False, "text": "v3 refused: the gate refuses it"}
SHADOW = {"kind": "update", "good": False, "text": "biased is rejected: in shadow 150 values disagreed"}
TRIAL = {
    "kind": "update",
    "good": False,
    "text": "brittle is rolled back: on trial in task x: its outputs were not finite",
}
CHANGES = [POWER, REFUSAL, REFUSAL, REFUSAL, SHADOW, TRIAL]
LOST = {"kind": "link", "good": False, "text": "up -> down: no answer"}
DEGRADED = {"kind": "link", "good": False, "text": "up -> degraded: no answer"}
SEVERAL = {"kind": "link", "good": False, "text": "3 changes in 4.7 s, the newest: safe values written"}
BACK = {"kind": "link", "good": True, "text": "down -> up"}
FIRST = {"kind": "link", "good": True, "text": "stopped -> up"}


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """`rt-engine demo`, as a process."""
    command = [sys.executable, "-m", "station", "demo", "--report", str(folder / "report"), *options]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def play(folder: Path, *options: str) -> tuple[int, str]:
    """Run the demo to its end; exit code and output."""
    process = start(folder, *options)
    output, _ = process.communicate(timeout=400)
    return process.returncode, output


# --- parts ------------------------------------------------------------------------------------------------------------


def test_station_file(tmp_path: Path) -> None:
    """The demo's station file is good as it lies there, and its copy too, with the real port and the same models."""
    original = read_station(demo.HERE / "station.toml")
    copy = read_station(demo.station_file(tmp_path, 40_123, 40_124))
    assert not original.warnings
    assert not copy.warnings
    assert copy.config.links["machine"].port == 40_123  # type: ignore[union-attr]
    assert copy.config.servers["page"].place() == "web at http://127.0.0.1:40124/"  # type: ignore[attr-defined]
    assert copy.config.links["machine"].timeout_ns == round(TIMEOUT_S * 1e9)
    assert copy.config.tasks == original.config.tasks
    assert copy.config.recorder == original.config.recorder
    assert original.config.recorder is not None
    assert original.config.recorder.compression == "none", "the demo runs without extras"
    assert original.config.models["policy"].change.tolerance == demo.TOLERANCE_N
    assert original.config.station.name == recorded.STATION
    assert [copy.beside(m.file) for m in copy.config.models.values()] == [
        original.beside(m.file) for m in original.config.models.values()
    ]
    assert {task.model for name, task in copy.config.tasks.items() if name in ("x", "y")} == {"policy"}


def test_a_store_of_its_own(tmp_path: Path) -> None:
    """A second demo in the same folder knows nothing of what the first one's station kept."""
    stores = []
    for _ in range(2):
        stores.append(read_station(demo.station_file(tmp_path, 40_123, 40_124)).config.station.store)
        (tmp_path / str(stores[-1])).mkdir()
    assert [str(store) for store in stores] == ["store", "store-2"]


def test_report_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wanted folder is made; by default it is a new one in ./reports."""
    monkeypatch.chdir(tmp_path)
    assert demo.report_folder(tmp_path / "a" / "b") == (tmp_path / "a" / "b", "")
    folder, warning = demo.report_folder(None)
    assert (folder.parent, warning) == (tmp_path / "reports", "")
    assert folder.is_dir()


def test_report_folder_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written is no reason to stop: another one is taken, and the warning names both."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder, warning = demo.report_folder(tmp_path / "file")
    assert folder.is_dir()
    assert str(folder) in warning
    assert str(tmp_path / "file") in warning


@pytest.mark.parametrize(
    ("events", "missing"),
    [
        ([FIRST, *CHANGES, LOST, BACK], []),
        ([FIRST, *CHANGES[1:], LOST, BACK], ["the power cut"]),
        ([FIRST, POWER, REFUSAL, REFUSAL, SHADOW, TRIAL, LOST, BACK], ["the refusals"]),
        ([FIRST, *CHANGES[:5], LOST, BACK], ["the trial"]),
        ([FIRST, *CHANGES[:4], TRIAL, LOST, BACK], ["the shadow"]),
        ([FIRST, *CHANGES, LOST], ["its return"]),
        ([FIRST, *CHANGES, DEGRADED, SEVERAL], []),
        ([], ["the power cut", "the refusals", "the shadow", "the trial", "the lost link", "its return"]),
    ],
)
def test_untold(events: list[dict[str, Any]], missing: list[str]) -> None:
    """A report must tell of each change that was refused or taken back, the lost link, and the link's return after that."""
    assert demo.untold(events) == missing


def test_untold_without_a_loss() -> None:
    """A link that was never lost is missed."""
    assert "the lost link" in demo.untold([FIRST, *CHANGES])


def test_report_page(tmp_path: Path) -> None:
    """The page is where the station says, if it is there."""
    page = tmp_path / "demo 1.html"
    assert demo.report_page(Answer(0, f"report {page}\n")) is None
    page.write_text("")
    assert demo.report_page(Answer(0, f"All met their deadline\nreport {page}\n")) == page
    assert demo.report_page(Answer(0, "warning: nothing could be written")) is None


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_whole_story(tmp_path: Path) -> None:
    """Every claim comes true: exit code 0, ticks only, and all files of the report."""
    code, output = play(tmp_path)
    report = tmp_path / "report"
    assert code == 0, output
    record = json.loads((report / "demo.json").read_text())
    assert [claim["claim"] for claim in record["claims"] if not claim["ok"]] == []
    assert len(record["claims"]) == 35
    assert f"All {len(record['claims'])} claims came true." in output
    page = next(page for page in report.glob("demo-*.html") if f"report   {page}" in output)
    assert json.loads(page.with_suffix(".json").read_text())["station"]["tasks"][0]["cycles"] > 5_000
    assert (report / "trajectory.svg").read_text().startswith("<svg")


ACTS = """
import sys
from pathlib import Path
from station.demo import demo, recorded
from station.demo.processes import PlantProcess, StationProcess
from station.running.libraries import compiling

from station.demo import story

story.Acts.tries = 1
{change}

options = demo.Options(report=Path(sys.argv[1]), better=Path(sys.argv[2]), acts=tuple(sys.argv[3:]))
with compiling():
    demo.compile_networks(options)
sys.exit(demo.run(options))
"""


def play_acts(folder: Path, change: str, *acts: str, better: Path = demo.BETTER) -> tuple[set[str], str]:
    """Some acts, with something changed in the program; gives the claims that failed, of all that were made, and the output."""
    command = [sys.executable, "-c", ACTS.format(change=change), str(folder), str(better), *acts]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = {c["claim"] for c in json.loads((folder / "demo.json").read_text())["claims"] if not c["ok"]}
    assert "did NOT come true" in done.stdout
    return failed, done.stdout


@pytest.mark.slow
def test_an_update_that_is_none(tmp_path: Path) -> None:
    """With the first network once more as the better one, nothing gets better: that claim fails, and so does the demo."""
    failed, output = play_acts(tmp_path, "", "hold", "update", better=demo.DATA / "policy-v1.onnx")
    assert "the new policy follows the reference better" in failed
    assert "✗ the new policy follows the reference better" in output


NO_CUT_AND_NO_POWER_CUT = """
honest = PlantProcess.ask

async def ask(self, line):
    if not line.startswith("mute"):
        return await honest(self, line)
    return await honest(self, "mute 0") | {"duration_s": 1.0}

async def nothing(self):
    pass

PlantProcess.ask = ask
StationProcess.start_again = StationProcess.cut_power = nothing
story.SAVED_PATIENCE_S = 0.5
"""


@pytest.mark.slow
def test_a_cable_that_is_not_pulled_and_power_that_does_not_fail(tmp_path: Path) -> None:
    """When both are only said to happen, what should follow from it is missed, claim by claim."""
    failed, _ = play_acts(tmp_path, NO_CUT_AND_NO_POWER_CUT, "hold", "power", "cable")
    assert failed >= {
        "with the power back the committed network runs",
        "and the station says that the trial was rolled back",
        "and has saved what they did until then, without a hole",
        "the tasks knew at once that their inputs were bad",
        "the tasks put out the safe value, 0 N",
        "the plant braked each axis once",
    }


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM, or a terminal that is closed, in the middle: exit code 130, and neither plant nor station is left."""
    process = start(tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("1. "):
            break
    wait_for(lambda: len(children(process.pid)) == 2)
    started = children(process.pid)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    wait_for(lambda: not any(map(is_running, started)))


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """A port that cannot be had ends the demo at once, with the reason."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = play(tmp_path, "--port", str(port))
    assert code == 1
    assert str(port) in output
