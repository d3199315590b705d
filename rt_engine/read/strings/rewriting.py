"""Indices in place of strings, in inputs, constants and operators, once all lists are known."""

from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from rt_engine.errors import Reason
from rt_engine.program.naming import UNKNOWN
from rt_engine.read.strings.kinds import CLASSIFIERS, ML, Attributes, constant, listed
from rt_engine.read.strings.lists import HELP, Lists
from rt_engine.read.walking import attributes, graphs_in, nodes_in


class Rewriting:
    """The model of `lists`, changed in place."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists

    def rewrite(self) -> None:
        """Put indices for strings, everywhere."""
        for name, tensor in self.lists.tensors:
            self.lists.list_all(name, list(tensor.string_data))
        casts = [node for node in nodes_in(self.lists.proto.graph.node) if node.op_type == "Cast"]
        for node in casts:  # a list is whole when all casts into it have been seen: they bring no names
            self._cast(node)
        for node in nodes_in(self.lists.proto.graph.node):
            self._rewrite(node)
        for name, tensor in self.lists.tensors:
            self._numbers(name, tensor)
        for graph in graphs_in(self.lists.proto.graph):
            del graph.value_info[:]
            for value in (*graph.input, *graph.output):
                if self.lists.is_string(value.name):
                    value.type.tensor_type.elem_type = TensorProto.INT64
        self._ends()

    def _numbers(self, name: str, tensor: TensorProto) -> None:
        names = self.lists.names_of(name)
        indices = np.array([names[text] for text in tensor.string_data], np.int64)
        if indices.size != np.prod(tensor.dims, dtype=np.int64):
            self.lists.found.reasons.append(
                Reason(name, "constant", "its strings do not fill its shape", "export it again")
            )
            return
        tensor.CopyFrom(numpy_helper.from_array(indices.reshape(tuple(tensor.dims)), tensor.name))

    def _rewrite(self, node: NodeProto) -> None:
        given = attributes(node)
        if node.op_type in ("Constant", "ConstantOfShape"):
            tensor = constant(node)
            if tensor is not None:
                self._numbers(node.output[0], tensor)
                _set(node, value=tensor, value_string=None, value_strings=None)
        elif node.op_type in CLASSIFIERS and node.output and self.lists.is_string(node.output[0]):
            places = [self.lists.place(node.output[0], text) for text in given["classlabels_strings"].strings]
            _set(node, classlabels_strings=None, **{CLASSIFIERS[node.op_type]: places})
        elif node.op_type == "OneHotEncoder" and self.lists.is_string(node.input[0]):
            self._one_hot(node, given)
        elif node.op_type in ("LabelEncoder", "CategoryMapper"):
            self._encoder(node, given)

    def _one_hot(self, node: NodeProto, given: Attributes) -> None:
        texts = list(given["cats_strings"].strings) if "cats_strings" in given else []
        if not texts:
            self.lists.refuse(node, "it reads strings, and has no categories that are strings", "export it again")
            return
        last = {text: i for i, text in enumerate(texts)}  # of equal categories, the last counts
        places = [self.lists.place(node.input[0], t) if last[t] == i else UNKNOWN - 1 - i for i, t in enumerate(texts)]
        _set(node, cats_strings=None, cats_int64s=places)

    def _encoder(self, node: NodeProto, given: Attributes) -> None:
        source, target = node.input[0], node.output[0]
        if "classes_strings" in given or node.op_type == "CategoryMapper":
            self._mapper(node, given)
            return
        if not self.lists.is_string(source) and not self.lists.is_string(target):
            return
        default = self.lists.default(node, given)
        for name, side in ((source, "keys"), (target, "values")):
            texts = listed(given, side)
            if self.lists.is_string(name) and texts is not None:
                places = [self.lists.place(name, text) for text in texts]
                _set(node, **{f"{side}_strings": None, f"{side}_tensor": None, f"{side}_int64s": places})
        if self.lists.is_string(target):
            _set(node, default_string=None, default_tensor=None, default_int64=default)

    def _mapper(self, node: NodeProto, given: Attributes) -> None:
        """CategoryMapper, and LabelEncoder of version 1, as a LabelEncoder of version 2."""
        old = node.op_type == "LabelEncoder"
        texts = (
            list(given["classes_strings" if old else "cats_strings"].strings)
            if not old or "classes_strings" in given
            else []
        )
        numbers = list(range(len(texts))) if old else list(given["cats_int64s"].ints) if "cats_int64s" in given else []
        reads = self.lists.is_string(node.input[0])
        places = [self.lists.place(node.input[0] if reads else node.output[0], text) for text in texts]
        default = given["default_int64"].i if "default_int64" in given else -1
        if not reads:
            default = self.lists.default(node, given)
        keys, values = (places, numbers) if reads else (numbers, places)
        del node.attribute[:]
        node.op_type = "LabelEncoder"
        _set(node, keys_int64s=keys, values_int64s=values, default_int64=default)
        for entry in self.lists.proto.opset_import:
            if entry.domain == ML:
                entry.version = max(entry.version, 2)  # of ML's operators that are here, only this one changed

    def _cast(self, node: NodeProto) -> None:
        given, source, target = attributes(node), node.input[0], node.output[0]
        if self.lists.is_string(source) and self.lists.is_string(target):
            node.op_type = "Identity"
            del node.attribute[:]
        elif self.lists.is_string(target):
            whole = [
                (number, i) for text, i in self.lists.names_of(target).items() if (number := _whole(text)) is not None
            ]
            self._table(node, [n for n, _ in whole], {"values_int64s": [i for _, i in whole]}, UNKNOWN)
        elif self.lists.is_string(source):
            self._parse(node, given["to"].i)

    def _table(self, node: NodeProto, keys: list[Any], values: dict[str, Any], default: int) -> None:
        """The node as a LabelEncoder; a list without any name has one that never comes."""
        node.op_type, node.domain = "LabelEncoder", ML
        del node.attribute[:]
        if not keys:
            keys, values = [0], {"values_int64s": [default]}
        _set(node, keys_int64s=keys, default_int64=default, **values)
        self._needs_ml()

    def _parse(self, node: NodeProto, to: int) -> None:
        """What the names say as numbers."""
        names = self.lists.names_of(node.input[0])
        if any(b"_" in text for text in names):
            self.lists.refuse(node, "it reads numbers out of names that are none", "leave the Cast out")
            return
        try:
            if to == TensorProto.INT64:
                whole = [int(text) for text in names]
                self._table(node, list(names.values()), {"values_int64s": whole}, -1)
            elif to == TensorProto.FLOAT:
                floats = [float(text) for text in names]
                self._table(node, list(names.values()), {"values_floats": floats}, -1)
            else:
                self.lists.refuse(node, "it reads numbers of this type out of names", "cast to float or int64")
        except ValueError:
            self.lists.refuse(node, "it reads numbers out of names that are none", "leave the Cast out")

    def _needs_ml(self) -> None:
        versions = {entry.domain: entry for entry in self.lists.proto.opset_import}
        if ML not in versions:
            self.lists.proto.opset_import.append(helper.make_opsetid(ML, 3))
        else:
            versions[ML].version = max(versions[ML].version, 2)

    def _ends(self) -> None:
        """The lists of the model's inputs and outputs."""
        faults: dict[str, str] = {}
        initializers = {tensor.name for tensor in self.lists.proto.graph.initializer}
        for value in self.lists.proto.graph.input:
            if not self.lists.is_string(value.name) or value.name in initializers:
                continue
            names, root = self.lists.texts(value.name), self.lists.root(value.name)
            if root not in faults:
                faults[root] = _unusable(names)
            if why := faults[root]:
                self.lists.found.reasons.append(
                    Reason(value.name, "input", f"input '{value.name}' is of strings, and {why}", HELP)
                )
            self.lists.found.inputs[value.name] = names
        for value in self.lists.proto.graph.output:
            if self.lists.is_string(value.name):
                self.lists.found.outputs[value.name] = self.lists.texts(value.name)
                if value.name in self.lists.open:
                    self.lists.found.open_outputs.add(value.name)


def _set(node: NodeProto, **values: Any) -> None:
    """Attributes of a node; None: without it."""
    kept = [a for a in node.attribute if a.name not in values]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in values.items() if value is not None)


def _unusable(names: tuple[str, ...]) -> str:
    """Why nobody could choose among these names."""
    if not names:
        return "nothing in the model lists the names that it may have"
    if len(set(names)) < len(names) or any("\N{REPLACEMENT CHARACTER}" in name for name in names):
        return "some of its names are not UTF-8"
    if any("\0" in name for name in names):
        return "one of its names has a null character"
    return ""


def _whole(text: bytes) -> int | None:
    """The integer whose decimal form this is."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if str(number).encode() == text and -(1 << 63) <= number < 1 << 63 else None
