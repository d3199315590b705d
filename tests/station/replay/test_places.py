"""Recordings are found in folders and at addresses, and read in parts."""

import pytest

from rt_engine.errors import RecordingError
from station.errors import FleetError
from station.replay import places
from station.replay.places import found, source


def test_a_folder_has_all_recordings_below_it(tmp_path):
    """Each once, in order; other files are none."""
    for name in ("b/2.mcap", "a/1.mcap", "a/notes.txt", "3.mcap"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(tmp_path / name) for name in ("3.mcap", "a/1.mcap", "b/2.mcap")]
    assert list(found([tmp_path, names[1]])) == names


def test_a_place_without_recordings_is_said(tmp_path):
    with pytest.raises(RecordingError, match="no recordings"):
        found([tmp_path])


def test_an_address_is_a_folder_too():
    """Of any file system that fsspec knows."""
    fsspec = pytest.importorskip("fsspec", reason="the extra fleet is not installed")
    system = fsspec.filesystem("memory")
    for name in ("/yard/a/1.mcap", "/yard/2.mcap", "/yard/x.csv"):
        system.pipe(name, b"0123456789")
    names = found(["memory://yard"])
    assert names == ("memory:///yard/2.mcap", "memory:///yard/a/1.mcap")
    read = source(names[0])
    assert (read.size, read.read(3, 4), read.read(8, 50), read.read(99, 1)) == (10, b"3456", b"89", b"")


def test_what_is_not_there_is_an_os_error():
    pytest.importorskip("fsspec", reason="the extra fleet is not installed")
    with pytest.raises(FileNotFoundError):
        source("memory://nowhere/1.mcap")


def test_a_kind_of_address_that_is_not_known_is_said():
    pytest.importorskip("fsspec", reason="the extra fleet is not installed")
    with pytest.raises(FleetError, match="abc://x"):
        found(["abc://x"])


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(places, "import_module", missing)
    with pytest.raises(FleetError, match=r"rt-engine\[fleet\]"):
        found(["s3://plant"])
