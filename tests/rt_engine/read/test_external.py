"""External data is found as ONNX's own reader finds it; the hash of the whole is that of the loaded model."""

import contextlib

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from rt_engine.errors import ModelFileError
from rt_engine.read.external import External, external_data, files_beside, sha256_of
from rt_engine.read.frontend import SHA256, read
from rt_engine.read.source import Source, opened


def outside(tensor, location, offset=None, length=None):
    """The tensor, its data said to be elsewhere."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    return tensor


def weights(name, location="w.bin", offset=None, length=None, shape=(2,)):
    return outside(numpy_helper.from_array(np.ones(shape, np.float32), name), location, offset, length)


def nested():
    """Initializers and constants, of the graph and of both branches of an If, with and without external data."""

    def branch(name, factor):
        constant = helper.make_node("Constant", [], [f"{name}_c"], value=weights(f"{name}_c", "c.bin", 8 * factor, 8))
        add = helper.make_node("Add", [f"{name}_c", f"{name}_w"], [f"{name}_y"])
        out = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, [2])
        return helper.make_graph([constant, add], name, [], [out], [weights(f"{name}_w", "w.bin", 8 * factor, 8)])

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    nodes = [
        helper.make_node("Constant", [], ["k"], value=weights("k", "c.bin", 0, 8)),
        helper.make_node("If", ["c"], ["z"], then_branch=branch("t", 1), else_branch=branch("e", 2)),
        helper.make_node("Sum", ["x", "z", "k", "w", "v"], ["y"]),
    ]
    inner = numpy_helper.from_array(np.zeros(2, np.float32), "v")
    initializers = [numpy_helper.from_array(np.array(True), "c"), weights("w"), inner]
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture
def file(tmp_path):
    model = nested()
    next(tensor for tensor in model.graph.initializer if tensor.name == "w").external_data.add(key="length", value="8")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "w.bin").write_bytes(np.arange(6, dtype=np.float32).tobytes())
    (tmp_path / "c.bin").write_bytes(np.arange(6, 12, dtype=np.float32).tobytes())
    return tmp_path / "m.onnx"


def test_the_hash_is_that_of_the_loaded_model(file):
    """In the same order: initializers first, then constants, branches where they stand."""
    source = opened(file)
    assert [(one.location, one.offset, one.length) for one in external_data(source)] == [
        ("w.bin", 0, 8),
        ("w.bin", 16, 8),
        ("w.bin", 8, 8),
        ("c.bin", 0, 8),
        ("c.bin", 16, 8),
        ("c.bin", 8, 8),
    ]
    assert files_beside(source) == {name: file.parent / name for name in ("w.bin", "c.bin")}
    assert sha256_of(source) == read(source).meta[SHA256] != source.sha256
    (file.parent / "c.bin").write_bytes(bytes(24))
    assert sha256_of(source) == read(source).meta[SHA256]


def test_a_model_in_one_file_has_its_own_hash(tmp_path):
    model = helper.make_model(helper.make_graph([], "g", [], [], [numpy_helper.from_array(np.ones(3), "w")]))
    source = Source(model.SerializeToString(), "m.onnx", tmp_path)
    assert external_data(source) == () and sha256_of(source) == source.sha256


@pytest.mark.parametrize("location", ["", "../w.bin", "/etc/passwd", "none.bin", "a\0b", "folder"])
def test_what_lies_elsewhere_is_refused(tmp_path, location):
    (tmp_path / "here" / "folder").mkdir(parents=True)
    (tmp_path / "w.bin").write_bytes(bytes(8))
    model = helper.make_model(helper.make_graph([], "g", [], [], [weights("w", location)]))
    with pytest.raises(ModelFileError, match="no file in its folder"):
        sha256_of(Source(model.SerializeToString(), "m.onnx", tmp_path / "here"))


def test_whatever_the_bytes_are_it_ends(file):
    """Cut and changed models: found, refused, or nothing."""
    data = file.read_bytes()
    for place in range(0, len(data), 3):
        for broken in (data[:place], data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]):
            found = external_data(Source(broken, "m.onnx", file.parent))
            assert all(isinstance(one, External) for one in found)
            with contextlib.suppress(ModelFileError):
                assert len(sha256_of(Source(broken, "m.onnx", file.parent))) == 64
