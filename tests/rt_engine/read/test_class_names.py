"""Labels that are strings and lists of dictionaries: what becomes of them, and that it is said."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.errors import UnsupportedModelError

NAMES = ("red", "green", "blue")
X = np.array([[1.0, 0.0], [-1.0, 0.5], [0.0, -3.0]], np.float32)
COEFFICIENTS = [1.0, 0.0, -1.0, 0.0, 0.0, -1.0]
SCORES = X @ np.array(COEFFICIENTS, np.float32).reshape(3, 2).T


def model(nodes, outputs, constants=()):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 2])
    graph = helper.make_graph(nodes, "g", [x], outputs, list(constants))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 2)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def classifier(**labels):
    return helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        coefficients=COEFFICIENTS,
        intercepts=[0.0, 0.0, 0.0],
        **labels,
    )


def strings(name):
    return helper.make_tensor_value_info(name, TensorProto.STRING, [3])


def dictionaries(name, key):
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    return helper.make_value_info(name, helper.make_sequence_type_proto(helper.make_map_type_proto(key, value)))


def test_string_labels_are_indices_and_the_names_are_kept():
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [3, 3])
    loaded = rt_engine.load(model([classifier(classlabels_strings=NAMES)], [strings("label"), scores]))
    label, got = loaded.run({"x": X})
    assert np.array_equal(label, SCORES.argmax(axis=1)) and np.array_equal(got, SCORES)
    assert loaded.classes == {"label": NAMES}
    assert [loaded.classes["label"][i] for i in label] == ["red", "green", "blue"]
    assert loaded.notes == ("output 'label' is an index, not a string: it counts, from 0, red, green, blue",)
    assert "note: output 'label' is an index" in str(loaded.report())


@pytest.mark.parametrize(
    ("labels", "key", "classes"),
    [
        ({"classlabels_strings": NAMES}, TensorProto.STRING, NAMES),
        ({"classlabels_int64s": [4, 5, 6]}, TensorProto.INT64, (4, 5, 6)),
    ],
)
def test_zipmap_is_the_tensor_of_scores(labels, key, classes):
    zipmap = helper.make_node("ZipMap", ["scores"], ["probabilities"], domain="ai.onnx.ml", **labels)
    nodes = [classifier(classlabels_ints=[4, 5, 6]), zipmap]
    loaded = rt_engine.load(model(nodes, [dictionaries("probabilities", key)]))
    assert np.array_equal(loaded.run({"x": X})[0], SCORES)
    assert loaded.classes == {"probabilities": classes}
    assert "is a tensor, not a list of dictionaries" in loaded.notes[0]


def test_a_name_looked_up_by_index_is_the_index():
    """ArgMax -> ArrayFeatureExtractor of the names -> Reshape -> Cast to string, as exporters write it."""
    nodes = [
        classifier(classlabels_ints=[0, 1, 2]),
        helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
        helper.make_node("ArrayFeatureExtractor", ["names", "best"], ["row"], domain="ai.onnx.ml"),
        helper.make_node("Reshape", ["row", "shape"], ["name"]),
        helper.make_node("Cast", ["name"], ["label_name"], to=TensorProto.STRING),
    ]
    constants = [
        helper.make_tensor("names", TensorProto.STRING, [3], [n.encode() for n in NAMES]),
        numpy_helper.from_array(np.array([-1]), "shape"),
    ]
    loaded = rt_engine.load(model(nodes, [strings("label_name")], constants))
    assert np.array_equal(loaded.run({"x": X})[0], SCORES.argmax(axis=1))
    assert loaded.classes == {"label_name": NAMES}


def test_a_dictionary_from_numbers_to_names_gives_the_place_of_the_name():
    encoder = helper.make_node(
        "LabelEncoder", ["label"], ["name"], domain="ai.onnx.ml", keys_int64s=[7, 5], values_strings=["a", "b"]
    )
    loaded = rt_engine.load(model([classifier(classlabels_ints=[5, 6, 7]), encoder], [strings("name")]))
    assert loaded.run({"x": X})[0].tolist() == [1, -1, 0]
    assert loaded.classes == {"name": ("a", "b")}


def test_the_given_model_is_left_as_it_is():
    zipmap = helper.make_node("ZipMap", ["scores"], ["z"], domain="ai.onnx.ml", classlabels_int64s=[1, 2, 3])
    proto = model([classifier(classlabels_ints=[1, 2, 3]), zipmap], [dictionaries("z", TensorProto.INT64)])
    before = proto.SerializeToString()
    rt_engine.load(proto)
    assert proto.SerializeToString() == before


def test_models_without_names_have_no_notes():
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [3, 3])
    loaded = rt_engine.load(model([classifier(classlabels_ints=[1, 2, 3])], [scores]))
    assert loaded.classes == {} and loaded.notes == ()


def test_strings_without_a_list_of_names_are_refused():
    cast = helper.make_node("Cast", ["x"], ["text"], to=TensorProto.STRING)
    out = onnx.helper.make_tensor_value_info("text", TensorProto.STRING, [3, 2])
    with pytest.raises(UnsupportedModelError, match="string"):
        rt_engine.load(model([cast], [out]))
