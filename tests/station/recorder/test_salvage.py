"""What a killed process has left becomes a recording, once; what lives, or is not a ring, is left alone or told."""

import fcntl
import hashlib
import os

import numpy as np
import pytest

from rt_engine.recording.contents import ABOUT, STATION, Version
from rt_engine.recording.layout import Field, SourceFields, TaskLayout
from scheduler.ring import Ring
from station.recorder import home
from station.recorder.home import Home, SavedFacts, facts_path, read_facts, ring_path, write_facts
from station.recorder.salvage import salvage
from station.recorder.shelf import Shelf
from tests.station.recorder.files import File
from tests.station.recorder.records import LAYOUT, MS, records
from tests.station.stations import gemm

OTHER = TaskLayout("other", 4 * MS, (SourceFields("plant", (Field("x"),)),), (Field("y"),), (("state", 16),))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(home, "BASE", str(tmp_path / "shm"))
    return Home("bench", "abc")


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "recordings", "bench")


def left_behind(here, layouts=(LAYOUT,), cycles=100):
    """Rings as a killed process leaves them: released by nobody, and not locked."""
    stem = here.new()
    for number, layout in enumerate(layouts):
        ring = Ring.create(ring_path(stem, number), layout, 1000)
        ring.append(records(cycles, 0, layout))
        ring.append_checkpoints(np.zeros(1, layout.checkpoint_dtype))
        ring.release(min(10, cycles))
        ring.close()
    return stem


def test_all_that_was_not_written_is_saved_with_what_was_said_of_it(here, shelf, tmp_path):
    model = gemm(tmp_path / "mean.onnx", 2)
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    stem = left_behind(here, (LAYOUT, OTHER))
    facts = SavedFacts(
        "station text",
        {"station": "bench", "boot_id": "x"},
        (Version("axis", 1, sha256, "mean"),),
        {sha256: str(model), "0" * 64: str(model)},
        {"step.py": "def step(): ..."},
    )
    write_facts(facts_path(stem), facts)
    assert read_facts(facts_path(stem)) == facts
    (saved,) = salvage(here, shelf, "none", lambda: 0)
    file = File(saved.path)
    assert file.is_whole and saved.path.name == "bench-000001-19700101T000000Z-salvaged.mcap"
    assert file.ticks() == list(range(10, 100))
    assert len(file.records("other")) == 90 and len(file.checkpoints("other")) == 1
    assert file.metadata[STATION]["text"] == "station text"
    assert file.metadata[ABOUT]["why"] == "salvaged" and file.metadata[ABOUT]["boot_id"] == "x"
    assert set(file.attached) == {f"models/{sha256}.onnx", "step.py"}
    assert file.attached["step.py"] == b"def step(): ..."
    first, _ = file.of_kind("salvage")
    assert (first["task"], first["cycles"], first["first_ns"], first["last_ns"]) == ("axis", 90, 10 * MS, 99 * MS)
    assert "had ended without writing it: 90 cycles of task axis; 90 cycles of task other; saved in" in saved.words
    assert list(here.folder.iterdir()) == []
    assert salvage(here, shelf, "none", lambda: 0) == []


def test_what_a_living_process_has_is_left_alone(here, shelf):
    stem = here.new()
    ring = Ring.create(ring_path(stem, 0), LAYOUT, 1000)
    ring.append(records(10))
    write_facts(facts_path(stem), SavedFacts())
    assert salvage(here, shelf, "none", lambda: 0) == []
    assert len(list(here.folder.iterdir())) == 2
    ring.close()
    assert len(salvage(here, shelf, "none", lambda: 0)) == 1


def test_an_empty_ring_leaves_no_file(here, shelf):
    left_behind(here, cycles=0)
    assert salvage(here, shelf, "none", lambda: 0) == []
    assert list(here.folder.iterdir()) == [] and not shelf.folder.exists()


def test_a_ring_that_is_damaged_is_told_once_and_gone(here, shelf):
    stem = left_behind(here)
    path = ring_path(stem, 0)
    data = bytearray(path.read_bytes())
    data[100] ^= 0xFF
    path.write_bytes(data)
    (saved,) = salvage(here, shelf, "none", lambda: 0)
    assert saved.path is None and "cannot be read" in saved.words
    assert list(here.folder.iterdir()) == []


def test_a_disk_that_is_full_leaves_all_for_the_next_time(here, shelf, monkeypatch):
    left_behind(here)
    monkeypatch.setattr("rt_engine.recording.mcap.writer.os.writev", _full)
    with pytest.raises(OSError, match="No space left"):
        salvage(here, shelf, "none", lambda: 0)
    assert shelf.kept() == []
    monkeypatch.undo()
    monkeypatch.setattr(home, "BASE", str(here.folder.parents[1]))
    assert len(salvage(here, shelf, "none", lambda: 0)) == 1


def _full(file, parts):
    raise OSError(28, "No space left on device")


def test_facts_that_are_nonsense_are_none(here):
    stem = left_behind(here)
    for text in ("", "{", "[]", '{"station": 1}', '{"versions": [{"a": 1}]}'):
        facts_path(stem).write_text(text)
        assert read_facts(facts_path(stem)) == SavedFacts()


def test_a_folder_of_another_user_is_not_trusted(here, shelf):
    stem = left_behind(here)
    os.chmod(here.folder, 0o777)
    assert home.Home("bench", "abc").left() == []
    os.chmod(here.folder, 0o700)
    handle = os.open(ring_path(stem, 0), os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    assert home.Home("bench", "abc").left() == []
    os.close(handle)
    assert len(home.Home("bench", "abc").left()) == 1
