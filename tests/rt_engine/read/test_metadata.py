"""What the author of a model wrote into it stays with it."""

import onnx
from onnx import TensorProto, helper

import rt_engine


def test_metadata_props_are_kept() -> None:
    """`Model.metadata` has the entries of ONNX's metadata_props."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in "xy"]
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:]))
    onnx.helper.set_model_props(model, {"author": "A. Engineer", "unit": "°C"})
    assert rt_engine.load(model).metadata == {"author": "A. Engineer", "unit": "°C"}
