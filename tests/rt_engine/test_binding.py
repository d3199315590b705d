"""What a user says of a model that its file leaves open: values that are fixed, bounds; everywhere a model is loaded."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper as h

import rt_engine
from rt_engine.binding import Binding, binding
from rt_engine.errors import ShapeBindingError, StateError
from rt_engine.program.rtp_writer import to_bytes


def resampled() -> onnx.ModelProto:
    """y = x * (rate > 10 ? 2 : 3) + b."""

    def body(name: str, factor: float) -> onnx.GraphProto:
        made = h.make_node("Constant", [], [f"k{name}"], value_float=factor)
        product = h.make_node("Mul", ["x", f"k{name}"], [f"y{name}"])
        return h.make_graph([made, product], name, [], [h.make_tensor_value_info(f"y{name}", T.FLOAT, None)])

    nodes = [
        h.make_node("Constant", [], ["ten"], value_int=10),
        h.make_node("Greater", ["rate", "ten"], ["fast"]),
        h.make_node("If", ["fast"], ["p"], then_branch=body("a", 2.0), else_branch=body("b", 3.0)),
        h.make_node("Add", ["p", "b"], ["y"]),
    ]
    inputs = [
        h.make_tensor_value_info("x", T.FLOAT, ["n", 2]),
        h.make_tensor_value_info("rate", T.INT64, []),
        h.make_tensor_value_info("b", T.FLOAT, ["n", 1]),
    ]
    outputs = [h.make_tensor_value_info("y", T.FLOAT, ["n", 2])]
    return h.make_model(h.make_graph(nodes, "g", inputs, outputs), opset_imports=[h.make_opsetid("", 17)], ir_version=8)


X = np.float32([[1, 2], [3, 4], [5, 6]])


def test_a_value_becomes_a_constant_and_what_follows_from_it_is_computed_at_load():
    """The input is gone, the branch that is not taken too; the model says so, and its compiled program."""
    model = rt_engine.load(resampled(), values={"rate": 16000, "b": np.float32([[1], [2], [3]])})
    assert [str(spec) for spec in model.inputs] == ["x: float32[3, 2]"]
    assert "If" not in {node.operator for node in model.program.nodes}
    np.testing.assert_array_equal(model.run({"x": X})[0], X * 2 + np.float32([[1], [2], [3]]))
    assert "input 'rate' is fixed: 16000" in model.notes
    assert "input 'rate' is fixed: 16000" in rt_engine.load(bytes(to_bytes(model.program))).notes


def test_one_number_fills_the_shape_that_the_file_declares():
    """As with a scalar of a sample rate that a file declares as a vector of one."""
    proto = resampled()
    proto.graph.input[1].type.tensor_type.shape.dim.add().dim_value = 1
    model = rt_engine.load(proto, {"x": (3, 2)}, values={"rate": 5, "b": [[0.0]] * 3})
    np.testing.assert_array_equal(model.run({"x": X})[0], X * 3)


def test_one_number_fills_an_open_batch_of_one():
    """As exporters declare columns, [None, 1]: a command's option can say no list of lists."""
    model = rt_engine.load(resampled(), values={"rate": 5, "b": 1.5})
    np.testing.assert_array_equal(model.run({"x": X[:1]})[0], X[:1] * 3 + np.float32(1.5))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nobody": 1}, "has no input 'nobody'; its inputs are 'x', 'rate', 'b'"),
        ({"rate": 1.5}, "input 'rate' takes int64"),
        ({"rate": [1, 2]}, "has 0 dimensions"),
        ({"rate": "fast"}, "input 'rate' of the model is INT64: it cannot be 'fast'"),
        ({"rate": None}, "the value of input 'rate' is None"),
        ({"b": [[1.0], [2.0, 3.0]]}, "the value of input 'b' is no array"),
        ([1], "values are a dictionary of input name -> what it always is"),
    ],
)
def test_values_that_cannot_be(values, words):
    """The message says which, and what would be right."""
    with pytest.raises(ShapeBindingError, match=words.replace("[", r"\[")):
        rt_engine.load(resampled(), {"x": (3, 2)}, values=values)


def test_a_value_of_another_shape_than_the_one_that_is_given_too():
    """Both cannot be."""
    with pytest.raises(ShapeBindingError, match="input 'b' of the model has a shape and a value of another shape"):
        rt_engine.load(resampled(), {"b": (3, 1)}, values={"b": [[1.0]]})


def test_a_compiled_program_has_its_values_and_takes_no_others():
    """It may be asked for what it has; what it has not got is refused with what helps."""
    data = bytes(to_bytes(rt_engine.load(resampled(), values={"rate": 16000}).program))
    assert [spec.name for spec in rt_engine.load(data, values={"rate": 16000}).inputs] == ["x", "b"]
    with pytest.raises(ShapeBindingError, match=r"with 'rate' = 16000; compile the model again with --value rate=8000"):
        rt_engine.load(data, values={"rate": 8000})
    with pytest.raises(ShapeBindingError, match=r"without a value for 'b'; .* --value b="):
        rt_engine.load(data, values={"b": [[1.0]]})


def test_it_travels_as_json_and_what_says_nothing_is_left_out():
    """To a worker, into a store, from a station file."""
    full = binding({"x": [1, 4]}, {"h": "c"}, {"sr": np.int64(8), "w": np.float32([0.1, np.inf])}, {"n": 5})
    assert Binding.from_json(json.loads(json.dumps(full.to_json()))) == full
    assert full.values["w"][0] == float(np.float32(0.1))
    assert binding().to_json() == binding().options == {}
    for bad in ({"shapes": {"x": 3}}, {"bounds": {"n": 0}}, {"bounds": {"n": True}}, {"values": 3}):
        with pytest.raises(ShapeBindingError, match="are a dictionary of"):
            Binding.from_json(bad)
    with pytest.raises(StateError, match="state is a dictionary"):
        Binding.from_json({"state": {"a": 1}})
