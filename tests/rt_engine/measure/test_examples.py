"""What all engines run: a ZipMap passes its tensor on, as ONNX Runtime's binding takes tensors only; samples at random."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rt_engine.measure.engines import RefusedError
from rt_engine.measure.examples import samples_like, tensor_copy
from rt_engine.measure.peers.onnxruntime import OnnxRuntime
from tests import need


def test_zipmap_is_measured_as_a_tensor(tmp_path: Path) -> None:
    """As it stands it is refused by name; in the copy it passes its tensor on."""
    need.package("onnxruntime")
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    kind = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    )
    graph = helper.make_graph([node], "g", [x], [helper.make_value_info("y", kind)])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    with pytest.raises(RefusedError, match="'y'"):
        OnnxRuntime(path, {"x": np.zeros((1, 2), np.float32)})
    copy = tensor_copy(path, tmp_path)
    x = np.array([[0.25, 0.75]], np.float32)
    assert np.array_equal(OnnxRuntime(copy, {"x": x}).result()["y"], x)
    assert tensor_copy(copy, tmp_path) == copy


def test_samples_are_like_the_inputs_and_each_another() -> None:
    """1,000 of small ones; of large ones as many as the memory holds, and two at least."""
    found = samples_like({"x": np.ones((1, 3), np.float32), "n": np.zeros(2, np.int64)})
    assert len(found) == 1000
    assert all((one["x"].shape, one["x"].dtype, one["n"].dtype) == ((1, 3), np.float32, np.int64) for one in found)
    assert len({one["x"].tobytes() for one in found}) == 1000
    assert len(samples_like({"x": np.empty((3, 1 << 20), np.float32)})) == 2
