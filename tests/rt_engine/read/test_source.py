"""A model's file is read once: what is hashed is what runs, whatever becomes of the file meanwhile."""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import ModelFileError
from rt_engine.measure.examples import saved
from rt_engine.program.rtp_file import write
from rt_engine.read.source import opened

X = np.arange(4, dtype=np.float32).reshape(1, 4)


def times(factor: float) -> onnx.ModelProto:
    """y = factor * x."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32) * factor, "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def beside(path, factor):
    """The same, its weights in w.bin beside it."""
    onnx.save_model(times(factor), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


@pytest.fixture(params=["onnx", "rtp"])
def file(request, tmp_path):
    path = tmp_path / f"m.{request.param}"
    onnx.save(times(2), path) if request.param == "onnx" else write(rt_engine.load(times(2)).program, path)
    return path


def test_the_hash_is_that_of_the_file(file):
    """As `sha256sum` says it, from a path and from bytes; a model that came from no file has none."""
    data = file.read_bytes()
    assert rt_engine.load(file).sha256 == rt_engine.load(data).sha256 == hashlib.sha256(data).hexdigest()
    assert rt_engine.load(times(2)).sha256 == ""


def test_what_was_read_stays_when_the_file_does_not(file):
    """Replaced by another model, then removed: the one that was opened is loaded, named as its file, and hashed."""
    was = opened(file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    for lose in (lambda: file.write_bytes(times(3).SerializeToString()), file.unlink):
        lose()
        model = rt_engine.load(was)
        assert (model.name, model.sha256) == ("m", sha256)
        assert np.array_equal(model.run({"x": X})[0], 2 * X)


def test_the_hash_covers_external_data(tmp_path):
    """The file's bytes, then those of each tensor beside it: the same file with other weights has another hash."""
    path = beside(tmp_path / "m.onnx", 2)
    first = rt_engine.load(path)
    weights = np.eye(4, dtype=np.float32)
    assert first.sha256 == hashlib.sha256(path.read_bytes() + (2 * weights).tobytes()).hexdigest()
    (tmp_path / "w.bin").write_bytes((3 * weights).tobytes())
    second = rt_engine.load(path)
    assert second.sha256 == hashlib.sha256(path.read_bytes() + (3 * weights).tobytes()).hexdigest()
    assert np.array_equal(second.run({"x": X})[0], 3 * X)


def test_bytes_alone_have_no_external_data(tmp_path):
    """The message names the tensor, the file, and what helps."""
    path = beside(tmp_path / "m.onnx", 2)
    with pytest.raises(ModelFileError, match=r"tensor 'w' of the model is in external data 'w\.bin'.*as one file"):
        rt_engine.load(path.read_bytes())


@pytest.mark.parametrize("make", [beside, lambda path, factor: onnx.save(times(factor), path)])
def test_engines_that_open_files_are_given_what_was_read(tmp_path, make):
    """A copy with its weights; the file may be gone by then."""
    (tmp_path / "theirs").mkdir()
    make(tmp_path / "m.onnx", 2)
    was = opened(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").unlink()
    assert np.array_equal(rt_engine.load(saved(was, tmp_path / "theirs")).run({"x": X})[0], 2 * X)


def test_a_model_is_given_to_engines_from_the_folder_that_it_lies_in(tmp_path, monkeypatch):
    """Its weights beside it, with the name that PyTorch gives them, are no obstacle to the copy's."""
    onnx.save_model(times(2), tmp_path / "m.onnx", save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    (tmp_path / "theirs").mkdir()
    monkeypatch.chdir(tmp_path)
    copy = saved(opened("m.onnx"), tmp_path / "theirs")
    assert np.array_equal(rt_engine.load(copy).run({"x": X})[0], 2 * X)


def test_quantising_reads_weights_beside_the_file_once(tmp_path, monkeypatch):
    """The file vanishes as soon as it was read, and the weights with the first tensor that was."""
    path, load = beside(tmp_path / "m.onnx", 2), onnx.external_data_helper.load_external_data_for_tensor

    def once(tensor, folder):
        load(tensor, folder)
        (tmp_path / "w.bin").unlink()

    monkeypatch.setattr("onnx.external_data_helper.load_external_data_for_tensor", once)
    was = opened(path)
    path.unlink()
    result = rt_engine.quantize(was, {"x": X})
    assert np.allclose(rt_engine.load(result.model).run({"x": X})[0], 2 * X, atol=0.1)
