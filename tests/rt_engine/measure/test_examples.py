"""A classifier that ends in a ZipMap: ONNX Runtime's binding takes tensors only."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rt_engine.measure.engines import RefusedError
from rt_engine.measure.examples import tensor_copy
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
