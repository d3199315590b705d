"""A model's file is found by what it is: not one that was replaced, is too large, or needs other files."""

import hashlib

import numpy as np
import onnx

from station.recorder.models import ModelFiles
from station.store.versions import Versions
from tests.station.stations import gemm


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_by_its_hash_among_the_files_that_it_may_be(tmp_path):
    one, other = gemm(tmp_path / "one.onnx", 2), gemm(tmp_path / "other.onnx", 2, 2.0)
    known = sha256_of(other)
    files = ModelFiles(1 << 20, None, lambda: [tmp_path / "gone.onnx", one, other])
    assert files.path(known) == other
    assert files.read(known) == (f"{known}.onnx", other.read_bytes())
    assert files.read("0" * 64) is None
    other.write_bytes(one.read_bytes())
    assert files.read(known) is None, "it is another file now"


def test_a_file_that_comes_later_is_found_then(tmp_path):
    path = tmp_path / "one.onnx"
    files = ModelFiles(1 << 20, None, lambda: [path])
    known = sha256_of(gemm(tmp_path / "same.onnx", 2))
    assert files.path(known) is None
    gemm(path, 2)
    assert files.path(known) == path


def test_the_store_has_it_when_its_file_is_gone(tmp_path):
    path = gemm(tmp_path / "one.onnx", 2)
    known = sha256_of(path)
    store = Versions(tmp_path / "versions")
    (tmp_path / "versions" / known).mkdir(parents=True)
    path.rename(tmp_path / "versions" / known / "model.onnx")
    assert ModelFiles(1 << 20, store, list).read(known)[0] == f"{known}.onnx"


def test_one_that_is_too_large_or_has_external_data_is_not_given(tmp_path):
    path = gemm(tmp_path / "one.onnx", 2)
    assert ModelFiles(10, None, lambda: [path]).read(sha256_of(path)) is None
    model = onnx.load(path)
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones((2, 1), np.float32), "w"))
    onnx.save(model, tmp_path / "two.onnx", save_as_external_data=True, size_threshold=0, location="w.bin")
    two = tmp_path / "two.onnx"
    assert ModelFiles(1 << 20, None, lambda: [two]).read(sha256_of(two)) is None
