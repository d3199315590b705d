"""Classes that have names, and lists of dictionaries: what exporters write for people becomes what a program can carry.

A program carries numbers in tensors. A label that is a string becomes its index in the list of class names, and a list of
dictionaries from class to score (ZipMap) becomes the tensor of the scores. The lists are kept: nothing is lost but the form.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from rt_engine.program.naming import Naming

ML = "ai.onnx.ml"
_INDICES = {"TreeEnsembleClassifier": "classlabels_int64s"}
_SAME_VALUES = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast")


def with_numbers(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, Naming]:
    """The model with indices for class names and tensors for lists of dictionaries; a copy, if anything changes.

    1. A classifier with string labels has their indices as labels.
    2. ArrayFeatureExtractor of a constant list of strings (how exporters turn an index into a name) gives the index.
    3. LabelEncoder from numbers to strings gives the index of the string; -1 for what it does not know.
    4. Cast of such an index to string is an Identity.
    5. ZipMap is an Identity.
    """
    if not _concerns(proto):
        return proto, Naming()
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    naming, graph = Naming(), changed.graph
    strings = {t.name: t for t in graph.initializer if t.data_type == TensorProto.STRING}
    names: dict[str, tuple[Any, ...]] = {}
    columns: dict[str, tuple[Any, ...]] = {}
    for node in graph.node:
        _rewrite(node, strings, names, columns)
    if columns and not any(o.domain in ("", "ai.onnx") for o in changed.opset_import):
        changed.opset_import.append(helper.make_opsetid("", 18))
    for output in graph.output:
        if output.name in columns:
            output.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, [None, None]))
            naming.classes[output.name] = columns[output.name]
            listed = ", ".join(str(c) for c in columns[output.name])
            naming.notes.append(
                f"output '{output.name}' is a tensor, not a list of dictionaries: a column for each of {listed}"
            )
        elif output.name in names and output.type.tensor_type.elem_type == TensorProto.STRING:
            output.type.tensor_type.elem_type = TensorProto.INT64
            naming.classes[output.name] = names[output.name]
            listed = ", ".join(names[output.name])
            naming.notes.append(f"output '{output.name}' is an index, not a string: it counts, from 0, {listed}")
    del graph.value_info[:]
    return changed, naming


def _concerns(proto: onnx.ModelProto) -> bool:
    return any(
        node.domain == ML
        and (node.op_type in ("ZipMap", "ArrayFeatureExtractor") or any(a.strings for a in node.attribute))
        for node in proto.graph.node
    )


def _attributes(node: NodeProto) -> dict[str, AttributeProto]:
    return {a.name: a for a in node.attribute}


def _replace(node: NodeProto, old: str, new: str, value: Any) -> None:
    kept = [a for a in node.attribute if a.name not in (old, new)]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(new, value)])


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)


def _classifier(node: NodeProto, strings: Mapping[str, TensorProto]) -> tuple[str, ...]:
    given = _attributes(node).get("classlabels_strings")
    if given is None or not given.strings:
        return ()
    new = _INDICES.get(node.op_type, "classlabels_ints")
    _replace(node, "classlabels_strings", new, list(range(len(given.strings))))
    return _texts(given.strings)


def _extractor(node: NodeProto, strings: Mapping[str, TensorProto]) -> tuple[str, ...]:
    tensor = strings.get(node.input[0]) if node.input else None
    if tensor is None:
        return ()
    found = _texts(tensor.string_data)
    if tensor.data_type != TensorProto.STRING or len(found) != np.prod(tensor.dims):
        return ()
    indices = np.arange(len(found), dtype=np.int64).reshape(tuple(tensor.dims))
    tensor.CopyFrom(numpy_helper.from_array(indices, tensor.name))
    return found


def _encoder(node: NodeProto, strings: Mapping[str, TensorProto]) -> tuple[str, ...]:
    attributes = _attributes(node)
    values = attributes.get("values_strings")
    if values is None or not values.strings or "keys_strings" in attributes:
        return ()
    found = _texts(values.strings)
    _replace(node, "values_strings", "values_int64s", list(range(len(found))))
    _replace(node, "default_string", "default_int64", -1)
    return found


_RULES: dict[str, Callable[[NodeProto, Mapping[str, TensorProto]], tuple[str, ...]]] = {
    "LinearClassifier": _classifier,
    "SVMClassifier": _classifier,
    "TreeEnsembleClassifier": _classifier,
    "ArrayFeatureExtractor": _extractor,
    "LabelEncoder": _encoder,
}


def _rewrite(
    node: NodeProto,
    strings: Mapping[str, TensorProto],
    names: dict[str, tuple[Any, ...]],
    columns: dict[str, tuple[Any, ...]],
) -> None:
    """One node; what its output stands for goes into `names` or `columns`."""
    first = node.input[0] if node.input else ""
    if node.domain == ML and node.op_type == "ZipMap":
        attributes = _attributes(node)
        labels = attributes.get("classlabels_strings", AttributeProto()).strings
        numbers = attributes.get("classlabels_int64s", AttributeProto()).ints
        columns[node.output[0]] = _texts(labels) or tuple(numbers)
        node.op_type, node.domain = "Identity", ""
        del node.attribute[:]
    elif node.domain == ML and node.op_type in _RULES:
        found = _RULES[node.op_type](node, strings)
        if found:
            names[node.output[0]] = found
        elif node.op_type == "ArrayFeatureExtractor" and first in names:
            names[node.output[0]] = names[first]
    elif node.domain in ("", "ai.onnx") and node.op_type in _SAME_VALUES and first in names:
        names[node.output[0]] = names[first]
        to = _attributes(node).get("to")
        if to is not None and to.i == TensorProto.STRING:
            node.op_type = "Identity"
            del node.attribute[:]
