"""Which nodes and tensors have strings, and where an operator keeps them."""

from collections.abc import Mapping

import onnx
from onnx import AttributeProto, NodeProto, TensorProto

from rt_engine.read.walking import attributes

ML = "ai.onnx.ml"
CLASSIFIERS = {
    "LinearClassifier": "classlabels_ints",
    "SVMClassifier": "classlabels_ints",
    "TreeEnsembleClassifier": "classlabels_int64s",
}
"""Operator -> its attribute for labels that are numbers."""
_MAKERS = frozenset(
    ("Constant", "ConstantOfShape", "Cast", "OneHotEncoder", "LabelEncoder", "CategoryMapper", *CLASSIFIERS)
)
_BODIES = frozenset(("If", "Loop", "Scan", "SequenceMap"))

Attributes = Mapping[str, AttributeProto]


def has_strings(proto: onnx.ModelProto) -> bool:
    """Is there a tensor of strings in a graph, or an operator that makes one?

    Every file is asked, so most nodes cost no more than a look at their name.
    """
    waiting = [proto.graph]
    while waiting:
        graph = waiting.pop()
        if any(value.type.tensor_type.elem_type == TensorProto.STRING for value in (*graph.input, *graph.output)):
            return True
        if any(map(is_text, graph.initializer)):
            return True
        for node in graph.node:
            name = node.op_type
            if name in _MAKERS and makes_strings(node):
                return True
            if name in _BODIES:
                waiting += [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
    return False


def is_text(tensor: TensorProto) -> bool:
    """Is it a tensor of strings?"""
    return tensor.data_type == TensorProto.STRING


def makes_strings(node: NodeProto) -> bool:
    """Has it an attribute that makes its outputs strings?"""
    for a in node.attribute:
        if a.name in ("value_string", "value_strings", "cats_strings") or (
            a.name == "to" and a.i == TensorProto.STRING
        ):
            return True
        if a.name in ("classlabels_strings", "keys_strings", "values_strings", "classes_strings") and a.strings:
            return node.op_type != "ZipMap"
        if a.type == AttributeProto.TENSOR and is_text(a.t):
            return True
    return False


def listed(given: Attributes, side: str) -> list[bytes] | None:
    """The strings among keys or values of a LabelEncoder; None where they are no strings."""
    if f"{side}_strings" in given:
        return list(given[f"{side}_strings"].strings)
    tensor = given.get(f"{side}_tensor")
    return list(tensor.t.string_data) if tensor is not None and is_text(tensor.t) else None


def constant(node: NodeProto) -> TensorProto | None:
    """The strings of a Constant or ConstantOfShape, as a tensor."""
    given = attributes(node)
    if "value" in given and is_text(given["value"].t):
        return given["value"].t
    if "value_string" in given:
        return TensorProto(data_type=TensorProto.STRING, string_data=[given["value_string"].s])
    if "value_strings" in given:
        texts = list(given["value_strings"].strings)
        return TensorProto(data_type=TensorProto.STRING, dims=[len(texts)], string_data=texts)
    return None
