"""Files that ONNX's format or every runtime allows, and ONNX's checker does not: they run, to ONNX Runtime's results."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import InvalidModelError, ShapeBindingError, UnsupportedModelError

FLOAT = TensorProto.FLOAT
ONE = np.ones(1, np.float32)


def end(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, constants=None, opset=18, functions=(), domains=(), ir_version=9):
    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(*d) for d in domains)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=ir_version)


def check(proto, feeds, shapes=None):
    """Ours are ONNX Runtime's results, from the bytes and from the object, which stays what it was; gives the model."""
    data = proto.SerializeToString(deterministic=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    expected = onnxruntime.InferenceSession(data, options).run(None, feeds)
    for source in (data, proto):
        loaded = rt_engine.load(source, shapes=shapes)
        for ours, theirs in zip(loaded.run(feeds), expected, strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert proto.SerializeToString(deterministic=True) == data
    return loaded


def doubled(x, y):
    return model([helper.make_node("Add", ["x", "x"], ["y"])], [x], [y])


@pytest.mark.parametrize("shapes", [None, {"x": (1, 3)}])
def test_a_negative_size_is_an_open_one(shapes):
    """Old exporters of Paddle write -1: bound by `shapes`, or taken as a batch of 1."""
    loaded = check(doubled(end("x", [-1, 3]), end("y", [-1, 3])), {"x": np.ones((1, 3), np.float32)}, shapes)
    assert loaded.inputs[0].shape == (1, 3)


def test_a_negative_size_that_nobody_binds_is_asked_for():
    """It is the input that is named, and which of its sizes."""
    with pytest.raises(ShapeBindingError, match=r"dimension 1 \('\?'\) of input 'x'"):
        rt_engine.load(doubled(end("x", [1, -1]), end("y", None)))


@pytest.mark.parametrize("kind", ["no shape", "no type"])
def test_an_output_may_say_nothing_of_itself(kind):
    """Its type and shape are inferred."""
    proto = doubled(end("x", [1]), end("y", None))
    if kind == "no type":
        proto.graph.output[0].ClearField("type")
    assert check(proto, {"x": ONE}).outputs[0].shape == (1,)


def test_an_input_without_a_shape_takes_the_given_one():
    """And is named where none is given."""
    proto = doubled(end("x", None), end("y", None))
    check(proto, {"x": ONE}, {"x": (1,)})
    with pytest.raises(ShapeBindingError, match="input 'x' has no shape"):
        rt_engine.load(proto)


def test_an_input_without_a_type_is_named():
    """Nothing says what it is."""
    proto = doubled(end("x", [1]), end("y", [1]))
    proto.graph.input[0].ClearField("type")
    with pytest.raises(UnsupportedModelError, match=r"(?s)'x'.*does not say its type"):
        rt_engine.load(proto)


LATE = [helper.make_node("Add", ["t", "one"], ["y"]), helper.make_node("Mul", ["x", "x"], ["t"])]


def test_nodes_may_come_in_any_order():
    """Converters to half precision append casts at the end."""
    check(model(LATE, [end("x", [1])], [end("y", [1])], {"one": ONE}), {"x": ONE})


def test_nodes_of_bodies_and_functions_may_too():
    """A node is behind what its body reads from outside; a body's own nodes are sorted as well."""
    branches = {
        name: helper.make_graph([helper.make_node(*n) for n in nodes], name, [], [end("b", [1])])
        for name, nodes in (
            ("then_branch", (("Add", ["t", "late"], ["b"]), ("Neg", ["x"], ["t"]))),
            ("else_branch", (("Identity", ["late"], ["b"]),)),
        )
    }
    twice = helper.make_function(
        "local", "f", ["a"], ["b"],
        [helper.make_node("Neg", ["t"], ["b"]), helper.make_node("Add", ["a", "a"], ["t"])], [helper.make_opsetid("", 18)],
    )  # fmt: skip
    nodes = [
        helper.make_node("If", ["c"], ["z"], **branches),
        helper.make_node("f", ["z"], ["y"], domain="local"),
        helper.make_node("Exp", ["x"], ["late"]),
    ]
    proto = model(
        nodes, [end("x", [1]), end("c", [], TensorProto.BOOL)], [end("y", [1])], None, 18, [twice], [("local", 1)]
    )
    for condition in (True, False):
        loaded = rt_engine.load(proto)
        (y,) = loaded.run({"x": ONE, "c": np.array(condition)})
        np.testing.assert_allclose(y, -2 * (np.e - 1 if condition else np.e), rtol=1e-6)


def test_nodes_in_a_circle_have_no_order():
    """The checker says which."""
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Add", ["x", "a"], ["b"])]
    with pytest.raises(InvalidModelError, match=r"topological.*'b'"):
        rt_engine.load(model(nodes, [end("x", [1])], [end("b", [1])]))


def sparse(indices, dims=(3, 2), values=(5, 7)):
    held = numpy_helper.from_array(np.array(values, np.float32), "w")
    return helper.make_sparse_tensor(held, numpy_helper.from_array(np.array(indices, np.int64), "i"), list(dims))


def product(weights, constant):
    """x @ weights, sparse, as an initializer or by a Constant."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    if constant:
        nodes.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=weights))
    proto = model(nodes, [end("x", [1, 3])], [end("y", None)], None, 17, ir_version=8)
    if not constant:
        proto.graph.sparse_initializer.append(weights)
    return proto


@pytest.mark.parametrize("constant", [False, True], ids=["initializer", "Constant"])
@pytest.mark.parametrize("indices", [[0, 5], [[0, 0], [2, 1]]], ids=["flat", "by axis"])
def test_sparse_tensors_are_made_dense(constant, indices):
    """Both places where a file has them, both forms of indices."""
    x = np.array([[1, 2, 3]], np.float32)
    (y,) = rt_engine.load(product(sparse(indices), constant)).run({"x": x})
    np.testing.assert_array_equal(y, [[5, 21]])
    if indices == [0, 5]:
        check(product(sparse(indices), constant), {"x": x})


@pytest.mark.parametrize("indices", [[0, 6], [-1, 0], [0], [[0, 0], [3, 0]], [[0], [1]]])
@pytest.mark.parametrize("constant", [False, True], ids=["initializer", "Constant"])
def test_a_sparse_tensor_that_contradicts_itself_is_named(indices, constant):
    """Indices outside of the shape, too few, or of another rank."""
    with pytest.raises(InvalidModelError, match=r"sparse tensor 'w'.*contradicts itself"):
        rt_engine.load(product(sparse(indices), constant))


def test_a_sparse_tensor_asks_for_no_more_memory_than_there_is():
    """A few bytes can name any shape."""
    for dims in ((1 << 40, 2), (1 << 62, 1 << 62, 4)):
        with pytest.raises(UnsupportedModelError, match=r"'w'.*dense"):
            rt_engine.load(product(sparse([0, 5], dims), False))
    outside = sparse([0, 5])
    outside.values.data_location = TensorProto.EXTERNAL
    with pytest.raises(UnsupportedModelError, match=r"'w'.*external"):
        rt_engine.load(product(outside, False))


def calling(nodes, opset, model_opset, shape=(2, 3)):
    function = helper.make_function("local", "f", ["a"], ["b"], nodes, [helper.make_opsetid("", opset)])
    call = helper.make_node("f", ["x"], ["y"], domain="local")
    ends = [end("x", list(shape))], [end("y", None)]
    return model([call], *ends, None, model_opset, [function], [("local", 1)])


X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)


@pytest.mark.parametrize(("opset", "model_opset"), [(16, 18), (21, 22), (21, 18), (13, 21)])
def test_a_function_may_be_of_another_opset(opset, model_opset):
    """Where its nodes mean the same in the model's; skl2onnx writes such."""
    nodes = [helper.make_node("Add", ["a", "a"], ["t"]), helper.make_node("Flatten", ["t"], ["b"])]
    np.testing.assert_array_equal(rt_engine.load(calling(nodes, opset, model_opset)).run({"x": X})[0], X + X)


@pytest.mark.parametrize(("opset", "of"), [(16, 18), (18, 18)])
@pytest.mark.parametrize("name", ["", "draw"])
def test_a_message_names_the_function(opset, of, name):
    """Its nodes stand where it was called, converted or not."""
    nodes = [helper.make_node("RandomNormalLike", ["a"], ["b"], name=name)]
    with pytest.raises(UnsupportedModelError, match=f"node 'f/{name or 'RandomNormalLike'}'"):
        rt_engine.load(calling(nodes, opset, of))


def test_a_function_whose_nodes_mean_something_else_is_converted():
    """Softmax before opset 13 is over all axes from `axis` on; ReduceMean had its axes as an attribute."""
    shape, x = (2, 3, 4), np.random.default_rng(1).standard_normal((2, 3, 4)).astype(np.float32)
    nodes = [helper.make_node("Softmax", ["a"], ["b"], axis=1)]
    (y,) = rt_engine.load(calling(nodes, 12, 18, shape)).run({"x": x})
    expected = np.exp(x) / np.exp(x).sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    nodes = [helper.make_node("ReduceMean", ["a"], ["b"], axes=[1], keepdims=0)]
    (y,) = rt_engine.load(calling(nodes, 13, 18)).run({"x": X})
    np.testing.assert_allclose(y, X.mean(axis=1), rtol=1e-5)


def test_a_function_that_cannot_be_converted_is_refused():
    """ONNX has no way from opset 18 to 12."""
    nodes = [helper.make_node("Mish", ["a"], ["b"])]
    with pytest.raises((InvalidModelError, UnsupportedModelError), match="Mish"):
        rt_engine.load(calling(nodes, 18, 12))


def test_whatever_onnx_raises_while_it_converts_is_said_of_the_file():
    """Its checker, its inference and its converter have errors of three kinds: a shape that is not its constant's, a name that
    nobody makes, a circle of functions where there are strings."""
    softmax = helper.make_node("Softmax", ["a"], ["b"], axis=0)
    wide = calling([softmax], 12, 18, (4,))
    wide.graph.initializer.append(numpy_helper.from_array(np.zeros((4, 3, 2), np.float32), "x"))
    lost = calling([helper.make_node("Softmax", ["a"], ["c"], axis=0)], 12, 18, (4,))
    circle = calling([helper.make_node("f", ["a"], ["b"], domain="local")], 18, 18, (4,))
    circle.functions[0].opset_import.append(helper.make_opsetid("local", 1))
    circle.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    for proto in (wide, lost, circle):
        with pytest.raises(InvalidModelError, match="breaks ONNX's rules"):
            rt_engine.load(proto)


def test_constants_that_are_no_inputs_may_be_in_an_old_file():
    """Version 3 of the format wants them among the inputs; files without are common."""
    proto = model(LATE[::-1], [end("x", [1])], [end("y", [1])], {"one": ONE}, 9, ir_version=3)
    assert [i.name for i in check(proto, {"x": ONE}).inputs] == ["x"]


def test_a_graph_needs_no_name_and_a_known_domain_no_import():
    """ONNX Runtime imports the domains that it knows."""
    nodes = [helper.make_node("Scaler", ["y"], ["z"], domain="ai.onnx.ml", offset=[1.0], scale=[2.0])]
    proto = model(nodes, [end("y", [1, 3])], [end("z", [1, 3])])
    proto.graph.name = ""
    check(proto, {"y": X[:1]})


def test_a_node_without_a_name_is_named_by_its_output():
    """So that it can be found."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["here"]), helper.make_node("Neg", ["here"], ["y"])]
    with pytest.raises(InvalidModelError, match=r"MatMul \(node 'here'\)"):
        rt_engine.load(
            model(nodes, [end("x", [1, "n"])], [end("y", None)], {"w": np.ones((4, 2), np.float32)}),
            shapes={"x": (1, 3)},
        )


def test_what_stops_the_compiler_is_not_called_the_files_mistake(monkeypatch):
    """It says what came, and that nothing is known to be wrong with the file."""

    def fail(compilation):
        raise AssertionError("an invariant of ours")

    monkeypatch.setattr("rt_engine.compiler.run_passes", fail)
    with pytest.raises(
        UnsupportedModelError, match=r"AssertionError: an invariant of ours.*ONNX's checker finds no mistake"
    ):
        rt_engine.load(doubled(end("x", [1]), end("y", [1])))


def test_the_checker_still_speaks(tmp_path):
    """What breaks ONNX's rules is refused in its words."""
    proto = doubled(end("x", [1]), end("y", None))
    proto.graph.node[0].attribute.append(helper.make_attribute("nonsense", 1))
    path = tmp_path / "m.onnx"
    onnx.save(proto, path)
    with pytest.raises(InvalidModelError, match=r"breaks ONNX's rules.*nonsense"):
        rt_engine.load(path)
