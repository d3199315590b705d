"""A model's ends as structures."""

from onnx import TensorProto, helper

import rt_engine
from plc_bindings.data.signature import signature

NAMES = ("x-1", "x_1", "X.1", "x_1_1")


def test_names_that_a_plc_takes_for_the_same_get_numbers():
    """Else a client that looks a field up would be told the place of another."""
    nodes = [helper.make_node("Relu", [name], [f"y{i}"]) for i, name in enumerate(NAMES)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in NAMES]
    outs = [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, [2]) for i in range(len(NAMES))]
    graph = helper.make_graph(nodes, "g", ends, outs)
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    inputs = signature("m", model).inputs
    assert inputs.offsets == {"x_1": 0, "x_1_1": 8, "X_1_2": 16, "x_1_1_1": 24}
    assert [field.comment.split(":")[0] for field in inputs.fields] == list(NAMES)
