"""Where files go: never in the place of a disk that is gone."""

import os

import pytest

from station.recorder.pieces import Ground
from tests.station.recorder.benches import Bench


def test_what_stands_where_a_disk_was_mounted_is_not_filled(tmp_path, monkeypatch):
    """It is used again when a disk is there again."""
    mounted, is_mount = {tmp_path / "mnt"}, os.path.ismount
    monkeypatch.setattr(os.path, "ismount", lambda path: path in mounted or is_mount(path))
    ground = Ground(tmp_path / "mnt" / "recordings")
    ground.begin()
    ground.probe()
    (tmp_path / "mnt" / "recordings").rmdir()
    mounted.clear()
    for look in (ground.make, ground.probe):
        with pytest.raises(OSError, match=f"the disk is gone that was mounted at {tmp_path / 'mnt'}"):
            look()
    assert not (tmp_path / "mnt" / "recordings").exists()
    mounted.add(tmp_path / "mnt")
    ground.probe()
    assert (tmp_path / "mnt" / "recordings").exists()


def test_a_folder_that_may_not_be_written_is_told(tmp_path, monkeypatch):
    ground = Ground(tmp_path / "a" / "b")
    ground.begin()
    monkeypatch.setattr(os, "access", lambda path, how: False)
    with pytest.raises(OSError, match="it may not be written"):
        ground.probe()


def test_who_looks_while_a_file_begins_is_answered(tmp_path):
    """With the files of that moment."""
    pieces = Bench(tmp_path).recorder._pieces

    class Open:
        def __iter__(self):
            pieces._open[len(pieces._open)] = (None, "new")  # by the writer's thread, while another one looks
            return iter((None, "old"))

    pieces._open[0] = Open()
    assert pieces.open == ("old",)
    assert pieces.open == ("old", "new")
