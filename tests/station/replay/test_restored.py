"""Tasks made of what is in a recording alone: no device is asked, no file beside it is needed, no code is run unasked."""

from pathlib import Path

import pytest

import rt_engine.recording
from rt_engine.errors import RecordingError
from scheduler.errors import ReplayError
from scheduler.replay import replay_task
from station.replay import models
from station.replay.models import Search
from station.replay.pieces import lives, pieces_of
from station.replay.restored import Restored, restored
from tests.station.replay.recordings import STATION, model_bytes, record, write

MODELS = {"policy": model_bytes()}


def made_of(path: Path, *folders: Path, **more: object) -> Restored:
    recording = rt_engine.recording.open(path)
    return restored(recording, "axis", Search(recording, folders), **more)  # type: ignore[arg-type]


def is_equal(path: Path, made: Restored) -> bool:
    task = rt_engine.recording.open(path).task("axis")
    return replay_task(made.task, made.models, made.layout, pieces_of(task), others=made.others).is_equal


LINKS = {
    "a host that is not there": 'type = "modbus-tcp"\nhost = "192.0.2.1"',
    "certificates that are not here": 'type = "modbus-tls"\nhost = "192.0.2.1"\ncert_file = "a.pem"\nkey_file = "a.key"',
    "a function that would be run": 'type = "in-process"\ndevice = "evil.py:device"',
}


@pytest.mark.parametrize("table", LINKS.values(), ids=LINKS)
def test_a_link_is_no_matter(tmp_path: Path, table: str) -> None:
    text = STATION.replace('type = "modbus-tcp"\nhost = "192.0.2.1"', table)
    assert table in text
    (tmp_path / "evil.py").write_text("raise SystemExit('it was run')")
    path = write(tmp_path / "a.mcap", record(MODELS, text=text), MODELS, text=text)
    assert is_equal(path, made_of(path))


def test_what_else_the_file_names_is_not_looked_for(tmp_path: Path) -> None:
    more = """
[servers.ads]
type = "ads"
users = "people.toml"
[recorder]
folder = "/nowhere/at/all"
when = ["a > 3"]
[models.other]
file = "not-here.onnx"
[tasks.second]
model = "other"
cycle = "1 ms"
inputs = ["a"]
step = "not_here.py:step"
"""
    path = write(tmp_path / "a.mcap", record(MODELS), MODELS, text=STATION + more)
    assert is_equal(path, made_of(path))


STEP = "from rt_native.lang import export, load_f64, store_f64\n\n\n@export\ndef half(i, n, o, m, s):\n" + (
    "    store_f64(o, 0.5 * load_f64(o))\n    return 0\n"
)


def with_step(tmp_path: Path, name: str = "steps.py", attach: bool = True) -> Path:
    """A recording of a task with a step of the user's own, which writes to an output, but is recorded without it."""
    recorded = record(MODELS)
    text = STATION + f'step = "{name}:half"\n'
    files = {name: STEP.encode()} if attach else {}
    return write(tmp_path / "a.mcap", recorded, MODELS, text=text, files=files)


def test_a_step_that_came_with_a_recording_is_run_only_if_it_is_trusted(tmp_path: Path) -> None:
    path = with_step(tmp_path)
    with pytest.raises(ReplayError, match=r"is code.*--run-steps"):
        made_of(path)
    made = made_of(path, trusted=True)
    assert made.task.step is not None
    with pytest.raises(ReplayError, match="remembers something else than was recorded: step_tick"):
        is_equal(path, made)  # it was recorded without one


def test_a_step_of_ones_own_takes_its_place(tmp_path: Path) -> None:
    path = with_step(tmp_path, attach=False)
    with pytest.raises(ReplayError, match="is not in the recording; --steps FOLDER"):
        made_of(path, trusted=True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "steps.py").write_text(STEP)
    assert made_of(path, steps=tmp_path / "own").task.step is not None
    with pytest.raises(ReplayError, match="cannot be read"):
        made_of(path, steps=tmp_path)


@pytest.mark.parametrize("name", ["../steps.py", "/tmp/steps.py"])
def test_a_step_lands_nowhere_else(tmp_path: Path, name: str) -> None:
    """A name in a recording is no reason to write outside of a folder that is thrown away."""
    path = with_step(tmp_path, name)
    with pytest.raises(ReplayError, match="does not lie beside the station file"):
        made_of(path, trusted=True)


def test_without_a_station_file_it_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mcap", record(MODELS), MODELS, text="")
    with pytest.raises(ReplayError, match="no station file in it"):
        made_of(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[station\n", "cannot be read"),
        (STATION.replace('cycle = "1 ms"', 'cycle = "soon"'), "cannot be read"),
        (STATION.replace("[tasks.axis]", "[tasks.other]"), "has no task axis"),
        (STATION.replace('inputs = ["a", "b"]', 'inputs = ["a"]'), r"element|a \(1\)"),
    ],
)
def test_a_station_file_that_is_another_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "a.mcap", record(MODELS), MODELS, text=text)
    with pytest.raises(ReplayError, match=words):
        is_equal(path, made_of(path))


def test_models_are_found_by_what_they_are(tmp_path: Path) -> None:
    """Whatever their names; one that is damaged in the recording is looked for elsewhere."""
    path = write(tmp_path / "a.mcap", record(MODELS), MODELS, attach=False)
    with pytest.raises(ReplayError, match="SHA-256"):
        made_of(path)
    for place in ("plain", "store/versions/x"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "plain" / "a.txt").write_text("no model")
    (tmp_path / "plain" / "broken.onnx").write_text("no model")
    (tmp_path / "plain" / "renamed.onnx").write_bytes(MODELS["policy"])
    assert is_equal(path, made_of(path, tmp_path / "plain"))
    assert is_equal(path, made_of(path, tmp_path / "store", tmp_path / "plain" / "renamed.onnx"))


def test_the_same_number_of_two_models_is_two_lives(tmp_path: Path) -> None:
    """Each file is repeated with its own."""
    other = {"policy": model_bytes(3.0)}
    write(tmp_path / "a.mcap", record(MODELS), MODELS)
    write(tmp_path / "b.mcap", record(other, later_ns=10**9), other)
    found = lives(rt_engine.recording.open(tmp_path))
    assert len(found) == 2
    for life in found:
        made = restored(life, "axis", Search(life))
        done = replay_task(made.task, made.models, made.layout, pieces_of(life.task("axis")))
        assert done.is_equal and done.cycles == 60


def test_the_other_models_of_a_task_come_by_their_names(tmp_path: Path) -> None:
    text = STATION.replace("[links.plc]", '[models.spare]\nfile = "x.onnx"\n\n[links.plc]') + (
        'fallback = { use = "slot:spare", blend = "3 ms" }\nguard = { on_nan = "hold", max_age = "1 s" }\n'
    )
    models = MODELS | {"spare": model_bytes(0.25)}
    path = write(tmp_path / "a.mcap", record(models, text=text), models, text=text)
    made = made_of(path)
    assert sorted(made.others) == ["fallback"] and sorted(made.models) == [1]
    assert is_equal(path, made)
    path = write(tmp_path / "b.mcap", record(models, text=text), MODELS, text=text)
    with pytest.raises(ReplayError, match="model spare"):
        made_of(path)


def test_a_recording_of_endless_versions_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would have a context of its own; what would help is said."""
    path = write(tmp_path / "a.mcap", record(MODELS), MODELS)
    assert is_equal(path, made_of(path))
    monkeypatch.setattr(models, "MOST_VERSIONS", 0)
    with pytest.raises(RecordingError, match=r"'axis' .* names 1 versions .* rt-engine recording cut"):
        made_of(path)
