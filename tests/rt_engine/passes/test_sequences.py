"""Sequences of a known length and optional values: their tensors, as ONNX Runtime gives them."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import EngineError, ShapeBindingError, UnsupportedModelError

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
X = np.arange(12, dtype=np.float32).reshape(3, 4)


def on(op_type, inputs, outputs, **attributes):
    return helper.make_node(op_type, inputs, outputs, **attributes)


def tensor(name, shape=(3, 4), kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def sequence(name, shape=None):
    return helper.make_tensor_sequence_value_info(name, FLOAT, shape)


def model(nodes, outputs, inputs=None, opset=18, **constants):
    made = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs or [tensor("x")], outputs, made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def same(proto, feeds=None):
    """Both give the same tensors; gives our model."""
    feeds = {"x": X} if feeds is None else feeds
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    theirs = onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, feeds)
    flat = {}
    for name, given in feeds.items():
        flat |= {f"{name}_{i}": one for i, one in enumerate(given)} if isinstance(given, list) else {name: given}
    loaded = rt_engine.load(proto, {name: array.shape for name, array in flat.items()})
    expected = [one for found in theirs for one in (found if isinstance(found, list) else [found])]
    for ours, wanted in zip(loaded.run(flat), expected, strict=True):
        assert np.array_equal(ours, wanted) and ours.dtype == wanted.dtype
    return loaded


def test_an_output_that_is_a_sequence_is_a_tensor_for_each():
    nodes = [on("Add", ["x", "x"], ["a"]), on("SequenceConstruct", ["a", "x", "a"], ["y"]), on("Neg", ["a"], ["z"])]
    loaded = same(model(nodes, [sequence("y"), tensor("z")]))
    assert [spec.name for spec in loaded.outputs] == ["y_0", "y_1", "y_2", "z"]
    assert loaded.notes == ("output 'y' is not a sequence, but its tensors: y_0, y_1, y_2",)


def test_a_name_that_is_taken_is_not_taken_again():
    nodes = [on("SequenceConstruct", ["x"], ["y"]), on("Neg", ["x"], ["y_0"])]
    assert [spec.name for spec in same(model(nodes, [sequence("y"), tensor("y_0")])).outputs] == ["y_0_", "y_0"]


def test_inserted_erased_and_chosen():
    nodes = [
        on("SequenceEmpty", [], ["s0"]),
        on("SequenceInsert", ["s0", "x"], ["s1"]),
        on("Neg", ["x"], ["n"]),
        on("SequenceInsert", ["s1", "n", "front"], ["s2"]),
        on("SequenceInsert", ["s2", "n", "last"], ["s3"]),
        on("SequenceErase", ["s3", "front"], ["s4"]),
        on("SequenceInsert", ["s4", "x", "front"], ["s5"]),
        on("SequenceAt", ["s5", "last"], ["y"]),
        on("SequenceLength", ["s5"], ["count"]),
        on("ConcatFromSequence", ["s3"], ["c"], axis=-1),
        on("ConcatFromSequence", ["s3"], ["stack"], axis=1, new_axis=1),
    ]
    outputs = [
        tensor("y"),
        tensor("count", [], INT64),
        tensor("c", [3, 12]),
        tensor("stack", [3, 3, 4]),
        sequence("s4"),
    ]
    for opset in (11, 18):
        same(model(nodes, outputs, opset=opset, front=np.array(0), last=np.array(-1)))


@pytest.mark.parametrize(
    ("split", "keepdims"),
    [(None, 0), (None, 1), (np.array(3), 1), (np.array([1, 3]), 0), (np.array([1, 3]), 1), (np.array([4]), 1)],
)
@pytest.mark.parametrize("opset", [11, 18])
def test_a_tensor_is_split(split, keepdims, opset):
    constants = {} if split is None else {"split": split}
    node = on("SplitToSequence", ["x", *constants], ["y"], axis=1, keepdims=keepdims)
    same(model([node], [sequence("y")], opset=opset, **constants))


def test_an_input_that_is_a_sequence_is_an_input_for_each():
    nodes = [on("ConcatFromSequence", ["s"], ["y"], axis=0), on("SequenceLength", ["s"], ["n"])]
    proto = model(nodes, [tensor("y", [None, 4]), tensor("n", [], INT64)], [sequence("s", [None, 4])])
    loaded = same(proto, {"s": [X, X[:1], X[1:]]})
    assert [str(spec) for spec in loaded.inputs] == ["s_0: float32[3, 4]", "s_1: float32[1, 4]", "s_2: float32[2, 4]"]
    by_number = rt_engine.load(proto, bounds={"s": 2})
    assert [spec.shape for spec in by_number.inputs] == [(1, 4), (1, 4)]
    with pytest.raises(ShapeBindingError, match="s_0, s_1"):
        rt_engine.load(proto)


def test_a_loop_that_collects_a_sequence_is_unrolled():
    body = helper.make_graph(
        [
            on("Identity", ["c"], ["again"]),
            on("Cast", ["i"], ["f"], to=FLOAT),
            on("Add", ["x", "f"], ["v"]),
            on("SequenceInsert", ["s", "v"], ["t"]),
        ],
        "body",
        [tensor("i", [], INT64), tensor("c", [], BOOL), sequence("s")],
        [tensor("again", [], BOOL), sequence("t")],
    )
    nodes = [on("SequenceEmpty", [], ["none"]), on("Loop", ["trips", "true", "none"], ["y"], body=body)]
    same(model(nodes, [sequence("y")], trips=np.array(3), true=np.array(True)))


def test_a_loop_without_a_count_that_collects_a_sequence_ends():
    """As PyTorch exports EmbeddingBag: each iteration is peeled off, and of the loop that then runs not once its start stays."""
    body = helper.make_graph(
        [
            on("Add", ["k", "one"], ["k1"]),
            on("Less", ["k1", "two"], ["more"]),
            on("Cast", ["k"], ["f"], to=FLOAT),
            on("Add", ["x", "f"], ["v"]),
            on("SequenceInsert", ["s", "v"], ["t"]),
        ],
        "body",
        [tensor("i", [], INT64), tensor("c", [], BOOL), tensor("k", [], INT64), sequence("s")],
        [tensor("more", [], BOOL), tensor("k1", [], INT64), sequence("t")],
    )
    nodes = [on("SequenceEmpty", [], ["none"]), on("Loop", ["", "true", "zero", "none"], ["n", "y"], body=body)]
    same(model(nodes, [sequence("y")], true=np.array(True), zero=np.int64(0), one=np.int64(1), two=np.int64(2)))


@pytest.mark.parametrize("positive", [True, False])
def test_branches_that_give_sequences(positive):
    def branch(name, op_type):
        nodes = [on("SequenceAt", ["s", "one"], [f"{name}a"]), on(op_type, [f"{name}a"], [f"{name}b"])]
        nodes.append(on("SequenceConstruct", [f"{name}a", f"{name}b"], [name]))
        return helper.make_graph(nodes, name, [], [sequence(name)])

    nodes = [
        on("SequenceConstruct", ["x", "x"], ["s"]),
        on("If", ["which"], ["y"], then_branch=branch("p", "Neg"), else_branch=branch("q", "Abs")),
    ]
    inputs = [tensor("x"), tensor("which", [], BOOL)]
    same(model(nodes, [sequence("y")], inputs, one=np.array(1)), {"x": X, "which": np.array(positive)})


def test_a_map_over_a_sequence():
    inner = helper.make_graph(
        [on("Add", ["e", "e"], ["d"])], "inner", [tensor("e", ["a", "b"])], [tensor("d", ["a", "b"])]
    )
    nodes = [on("SequenceConstruct", ["x", "x"], ["s"]), on("SequenceMap", ["s"], ["y"], body=inner)]
    same(model(nodes, [sequence("y")]))


def test_optional_values_are_what_is_in_them():
    """ONNX Runtime says the same of those operators on tensors and sequences."""
    nodes = [
        on("Optional", ["x"], ["o"]),
        on("OptionalHasElement", ["o"], ["there"]),
        on("OptionalGetElement", ["o"], ["y"]),
        on("OptionalHasElement", [], ["nothing"]),
    ]
    outputs = [tensor("there", [], BOOL), tensor("y"), tensor("nothing", [], BOOL)]
    there, y, nothing = rt_engine.load(model(nodes, outputs)).run({"x": X})
    assert there and not nothing and np.array_equal(y, X)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (
            [on("SequenceConstruct", ["x"], ["s"]), on("SequenceAt", ["s", "two"], ["y"])],
            "position 2 of a sequence of 1",
        ),
        ([on("SequenceConstruct", ["x"], ["s"]), on("SequenceAt", ["s", "free"], ["y"])], "computed at run time"),
        ([on("SequenceConstruct", ["x"], ["s"]), on("Neg", ["s"], ["y"])], "'s' is a sequence .* takes a tensor"),
        (
            [
                on("SequenceConstruct", ["x"], ["s"]),
                on("SequenceConstruct", ["s"], ["t"]),
                on("SequenceAt", ["t", "two"], ["y"]),
            ],
            "a sequence of sequences",
        ),
        ([on("SequenceEmpty", [], ["s"]), on("ConcatFromSequence", ["s"], ["y"], axis=0)], "no tensor"),
        ([on("SplitToSequence", ["x", "two"], ["s"], axis=9), on("SequenceAt", ["s", "two"], ["y"])], "axis is 9"),
        ([on("SplitToSequence", ["x", "nought"], ["s"]), on("SequenceAt", ["s", "two"], ["y"])], "parts of size 0"),
        ([on("Optional", [], ["o"]), on("OptionalGetElement", ["o"], ["y"])], "nothing in it"),
    ],
)
def test_what_is_not_known_or_not_there_is_refused(nodes, words):
    proto = model(
        nodes, [tensor("y", ["a", "b"])], [tensor("x"), tensor("free", [], INT64)], two=np.array(2), nought=np.array(0)
    )
    for node in proto.graph.node:
        if node.op_type == "Optional":
            node.attribute.append(helper.make_attribute("type", helper.make_tensor_type_proto(FLOAT, [3, 4])))
    with pytest.raises(UnsupportedModelError, match=words):
        rt_engine.load(proto)


def test_a_sequence_of_very_many_tensors_is_refused():
    proto = model([on("SplitToSequence", ["x"], ["y"])], [sequence("y")], [tensor("x", [100_000, 1])])
    with pytest.raises(EngineError, match="100,000 tensors"):
        rt_engine.load(proto)
