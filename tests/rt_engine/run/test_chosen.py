import json
import os

import pytest

from rt_engine.run import chosen
from rt_engine.run.chosen import Pieces, chosen_for, forget, keep
from rt_engine.run.native import KERNELS

SHAPE = "gemm_f32 64 16 16 16 1 16 1 0 0 0"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache of its own."""
    monkeypatch.setattr(chosen, "cache_folder", lambda: tmp_path)
    tmp_path.chmod(0o755)
    return tmp_path / "tuned"


@pytest.fixture
def file(folder):
    """A file with one choice."""
    return keep(KERNELS, {SHAPE: Pieces(24, 128)})


def _words():
    found = chosen_for(KERNELS)
    assert not found.table
    return found.words


def test_where_nothing_was_measured_nothing_is_chosen(folder):
    assert "rt-engine tune" in _words()


def test_what_is_kept_is_found_and_added_to(file):
    assert chosen_for(KERNELS).table == {SHAPE: Pieces(24, 128)}
    keep(KERNELS, {"other": Pieces(6)})
    assert chosen_for(KERNELS).table == {SHAPE: Pieces(24, 128), "other": Pieces(6)}
    keep(KERNELS, {SHAPE: Pieces()})
    assert chosen_for(KERNELS).table == {"other": Pieces(6)}
    assert "1 shapes" in chosen_for(KERNELS).words


def test_forgotten_is_forgotten(file):
    assert forget() == 1
    assert "not tuned" in _words()


def test_a_file_whose_bytes_moved_is_left_alone(file):
    file.write_text(file.read_text().replace("24", "25"))
    assert "damaged" in _words()


@pytest.mark.parametrize("text", ["", "[1]", "{}", "[" * 100_000, '{"sha256": 1}', "\xff"])
def test_a_damaged_file_is_left_alone(file, text):
    file.write_text(text, encoding="latin-1")
    assert "damaged" in _words()


def _with(file, **changes):
    content = json.loads(file.read_text()) | changes
    content.pop("sha256")
    file.write_text(json.dumps(content | {"sha256": chosen._digest(content)}))


@pytest.mark.parametrize("pieces", [[1], [-1, 0], [1.5, 0], [True, 0], [1 << 50, 0], "ab", None])
def test_pieces_that_are_none_are_damage(file, pieces):
    _with(file, chosen={SHAPE: pieces})
    assert "damaged" in _words()


def test_what_was_measured_elsewhere_is_left_alone(file):
    _with(file, machine={"processor": "another"})
    assert "another machine" in _words()


def test_what_was_measured_with_other_kernels_is_left_alone(file):
    _with(file, kernels="gemm-0 conv-0")
    assert "other kernels" in _words()


def test_a_file_that_another_user_can_have_written_is_not_read(file):
    file.chmod(0o666)
    os.utime(file)
    assert "another user" in _words()
    file.chmod(0o644)
    os.utime(file, ns=(1, 1))
    assert chosen_for(KERNELS).table
    file.parent.chmod(0o777)
    os.utime(file, ns=(2, 2))
    assert "another user" in _words()
