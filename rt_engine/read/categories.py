"""Strings that are categories become int64 indices into lists of names, which are kept beside the model (docs/adr/0032).

    "colour" (string) --Concat--> --Gather--> OneHotEncoder(cats_strings)     what the file says
     colour  (int64)  --Concat--> --Gather--> OneHotEncoder(cats_int64s)      what is compiled, and its list: blue, red

Values that are joined, chosen from or compared share one list: every name that an operator or a constant brings to them, in the order
of the file. A name that is in no list is `UNKNOWN`, which every operator treats as it treats a string that it does not know.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from rt_engine.errors import Reason
from rt_engine.program.naming import UNKNOWN
from rt_engine.read.columns import choose_columns
from rt_engine.read.walking import attributes, graphs_in, nodes_in

ML = "ai.onnx.ml"
UNUSED = b"_Unused"
"""What LabelEncoder gives by default where ONNX says nothing else: no name of a list."""
_KEEPS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Slice", "Split"), (0,)),
    **dict.fromkeys(
        ("Gather", "GatherElements", "GatherND", "Tile", "Expand", "ArrayFeatureExtractor", "Dropout"), (0,)
    ),
    **dict.fromkeys(("Compress", "ReverseSequence", "ConstantOfShape"), (0,)),
    "Where": (1, 2),
    "ScatterElements": (0, 2),
    "ScatterND": (0, 2),
}
"""Operator -> its inputs that its outputs are made of."""
_SHAPES = ("Shape", "Size")
_CLASSIFIERS = {
    "LinearClassifier": "classlabels_ints",
    "SVMClassifier": "classlabels_ints",
    "TreeEnsembleClassifier": "classlabels_int64s",
}
"""Operator -> its attribute for labels that are numbers."""
_HELP = (
    "turn text into categories or numbers before the model; strings here stand for names that the model itself lists"
)
_INTEGERS = (
    TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
    TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32,
)  # fmt: skip

Attributes = Mapping[str, AttributeProto]


@dataclass(slots=True)
class Categories:
    """What became of the strings."""

    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Input -> its names, in the order of their indices."""
    outputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    open_outputs: set[str] = field(default_factory=set)
    """Outputs that may be `UNKNOWN`."""
    reasons: list[Reason] = field(default_factory=list)
    """Where strings are no categories: the model is refused."""


_MAKERS = frozenset(
    ("Constant", "ConstantOfShape", "Cast", "OneHotEncoder", "LabelEncoder", "CategoryMapper", *_CLASSIFIERS)
)
_BODIES = frozenset(("If", "Loop", "Scan", "SequenceMap"))


def has_strings(proto: onnx.ModelProto) -> bool:
    """Is there a tensor of strings in a graph, or an operator that makes one?

    Every file is asked, so most nodes cost no more than a look at their name.
    """
    waiting = [proto.graph]
    while waiting:
        graph = waiting.pop()
        if any(value.type.tensor_type.elem_type == TensorProto.STRING for value in (*graph.input, *graph.output)):
            return True
        if any(map(_is_text, graph.initializer)):
            return True
        for node in graph.node:
            name = node.op_type
            if name in _MAKERS and _makes_strings(node):
                return True
            if name in _BODIES:
                waiting += [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
    return False


def with_indices(proto: onnx.ModelProto) -> Categories:
    """Replace strings by indices in the model, in place.

    1. Inputs, constants, and the labels of classifiers that are strings are indices into the list of their component.
    2. OneHotEncoder, LabelEncoder and CategoryMapper look indices up; LabelEncoder and CategoryMapper make them.
    3. Operators that move elements (Concat, Gather, Where, Split, ...) move indices; Equal with a constant compares them.
    4. Cast from a category to a number is a table of what its names say; from an integer to a category, the other way round.
    5. Choosing columns of joined columns chooses among them, so that columns keep lists of their own.
    6. An ArrayFeatureExtractor or Gather of constant names gives indices, as any other value.

    Anything else that reads or makes strings is in `reasons`; the model is of no use then.
    """
    choose_columns(proto.graph)
    strings = _Strings(proto)
    for graph in graphs_in(proto.graph):
        strings.declare(graph)
    for node in nodes_in(proto.graph.node):
        strings.connect(node)
    for node in nodes_in(proto.graph.node):
        strings.list_names(node)
    if not strings.found.reasons:
        strings.rewrite()
    return strings.found


def _is_text(tensor: TensorProto) -> bool:
    return tensor.data_type == TensorProto.STRING


def _makes_strings(node: NodeProto) -> bool:
    for a in node.attribute:
        if a.name in ("value_string", "value_strings", "cats_strings") or (
            a.name == "to" and a.i == TensorProto.STRING
        ):
            return True
        if a.name in ("classlabels_strings", "keys_strings", "values_strings", "classes_strings") and a.strings:
            return node.op_type != "ZipMap"
        if a.type == AttributeProto.TENSOR and _is_text(a.t):
            return True
    return False


def _set(node: NodeProto, **values: Any) -> None:
    """Attributes of a node; None: without it."""
    kept = [a for a in node.attribute if a.name not in values]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in values.items() if value is not None)


def _listed(given: Attributes, side: str) -> list[bytes] | None:
    """The strings among keys or values of a LabelEncoder; None where they are no strings."""
    if f"{side}_strings" in given:
        return list(given[f"{side}_strings"].strings)
    tensor = given.get(f"{side}_tensor")
    return list(tensor.t.string_data) if tensor is not None and _is_text(tensor.t) else None


def _constant(node: NodeProto) -> TensorProto | None:
    """The strings of a Constant or ConstantOfShape, as a tensor."""
    given = attributes(node)
    if "value" in given and _is_text(given["value"].t):
        return given["value"].t
    if "value_string" in given:
        return TensorProto(data_type=TensorProto.STRING, string_data=[given["value_string"].s])
    if "value_strings" in given:
        texts = list(given["value_strings"].strings)
        return TensorProto(data_type=TensorProto.STRING, dims=[len(texts)], string_data=texts)
    return None


class _Strings:
    """All values that are strings, in components that share a list: first they are found, then their names, then rewritten."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.proto, self.found = proto, Categories()
        self._above: dict[str, str] = {}
        self._open: set[str] = set()
        self._types: dict[str, int] = {}
        self._names: dict[str, dict[bytes, int]] = defaultdict(dict)
        self._tensors: list[tuple[str, TensorProto]] = []
        self._told: dict[str, tuple[str, ...]] = {}

    # --- components -------------------------------------------------------------------------------------------------------

    def _root(self, name: str) -> str:
        while (above := self._above[name]) != name:
            self._above[name] = self._above[above]
            name = above
        return name

    def _add(self, name: str, is_open: bool = False) -> None:
        self._above.setdefault(name, name)
        if is_open:
            self._open.add(name)

    def _join(self, names: list[str]) -> None:
        for name in names[1:]:
            self._above[self._root(name)] = self._root(names[0])

    def _list(self, name: str) -> dict[bytes, int]:
        return self._names[self._root(name)]

    def _place(self, name: str, text: bytes) -> int:
        names = self._list(name)
        return names.setdefault(text, len(names))

    def _is_string(self, name: str) -> bool:
        return name in self._above

    def _refuse(self, node: NodeProto, why: str, help: str = _HELP) -> None:
        self.found.reasons.append(Reason(node.name or node.op_type, node.op_type, why, help))

    # --- what is a string -------------------------------------------------------------------------------------------------

    def declare(self, graph: GraphProto) -> None:
        """Inputs and constants."""
        initializers = {tensor.name for tensor in graph.initializer}
        for tensor in graph.initializer:
            self._types[tensor.name] = tensor.data_type
            if _is_text(tensor):
                self._add(tensor.name)
                self._tensors.append((tensor.name, tensor))
        for value in (*graph.input, *graph.value_info):
            self._types.setdefault(value.name, value.type.tensor_type.elem_type)
        for value in graph.input:
            if value.type.tensor_type.elem_type == TensorProto.STRING and value.name not in initializers:
                self._add(value.name, is_open=graph is self.proto.graph)

    def connect(self, node: NodeProto) -> None:
        """What a node makes is a string, or not; what it joins."""
        given = attributes(node)
        read = [name for name in node.input if self._is_string(name)]
        if node.op_type in ("If", "Loop", "Scan"):
            self._connect_bodies(node, given)
        elif node.op_type == "Constant" or (node.op_type == "ConstantOfShape" and not read):
            if _constant(node) is not None:
                self._add(node.output[0])
            elif "value" in given:
                self._types[node.output[0]] = given["value"].t.data_type
        elif node.op_type in _CLASSIFIERS and node.domain == ML:
            if "classlabels_strings" in given and given["classlabels_strings"].strings and node.output:
                self._add(node.output[0])
        elif node.op_type in ("LabelEncoder", "CategoryMapper") and node.domain == ML:
            self._connect_encoder(node, given, bool(read))
        elif node.op_type == "Cast":
            self._connect_cast(node, given, read)
        elif read:
            self._connect_reader(node, read)
        elif (
            _makes_strings(node)
            and node.op_type not in ("OneHotEncoder", "ZipMap")
            and node.domain in ("", "ai.onnx", ML)
        ):
            self._refuse(node, f"its attributes are strings, and {node.op_type} of strings is not supported")

    def _connect_reader(self, node: NodeProto, read: list[str]) -> None:
        places = tuple(range(len(node.input))) if node.op_type == "Concat" else _KEEPS.get(node.op_type)
        if places is not None:
            self._keep(node, [node.input[i] for i in places if i < len(node.input)])
        elif node.op_type == "Equal":
            if all(name in self._open for name in node.input):
                why = "it compares two strings of which neither is a constant: names that are in no list could not be told apart"
                self._refuse(node, why, "compare with a constant, or compare before the model")
            elif len(read) == 2:
                self._join(read)
        elif node.op_type not in _SHAPES and not (node.domain == ML and node.op_type == "OneHotEncoder"):
            self._refuse(node, f"{node.op_type} works on the text of strings (input '{read[0]}'): it is not supported")

    def _keep(self, node: NodeProto, sources: list[str]) -> None:
        texts = [name for name in sources if self._is_string(name)]
        if len(texts) < len(sources) or not texts:
            self._refuse(node, "some of its inputs are strings, and others are numbers", "correct its inputs")
            return
        outputs = [name for name in node.output if name][: None if node.op_type == "Split" else 1]
        for name in outputs:
            self._add(name, is_open=any(source in self._open for source in texts))
        self._join([*texts, *outputs])

    def _connect_encoder(self, node: NodeProto, given: Attributes, reads: bool) -> None:
        if node.op_type == "CategoryMapper" or "classes_strings" in given:
            if not reads:
                self._add(node.output[0], is_open="default_string" not in given)
            return
        if reads and _listed(given, "keys") is None:
            self._refuse(node, "it reads strings, and its keys are none", "correct its keys")
        if _listed(given, "values") is not None:
            self._add(node.output[0], is_open="default_string" not in given and "default_tensor" not in given)

    def _connect_cast(self, node: NodeProto, given: Attributes, read: list[str]) -> None:
        to = given["to"].i if "to" in given else 0
        self._types[node.output[0]] = to
        if to == TensorProto.STRING:
            if read:
                self._keep(node, read)
            elif self._types.get(node.input[0]) in _INTEGERS:
                self._add(node.output[0], is_open=True)
            else:
                self._refuse(node, "it makes strings of numbers that are not known to be whole", "leave the Cast out")
        elif read and read[0] in self._open:
            self._refuse(node, "it reads numbers out of text that is only known at run time", "feed numbers")

    def _connect_bodies(self, node: NodeProto, given: Attributes) -> None:
        bodies = [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]
        first = {"If": 0, "Loop": 1, "Scan": 0}[node.op_type]
        pairs: list[list[str]] = []
        for body in bodies:
            results = [value.name for value in body.output][first:]
            pairs += [[a, b] for a, b in zip(node.output, results, strict=False)]
            if node.op_type != "If":
                offset = 2 if node.op_type == "Loop" else 0
                inside = [value.name for value in body.input]
                pairs += [[a, b] for a, b in zip(node.input[offset:], inside[offset:], strict=False)]
                pairs += [[a, b] for a, b in zip(node.output, inside[offset:], strict=False) if self._is_string(b)]
        for pair in pairs:
            texts = [name for name in pair if self._is_string(name)]
            if texts:
                for name in pair:
                    self._add(name, is_open=any(t in self._open for t in texts))
                self._join(pair)

    # --- the names of each component --------------------------------------------------------------------------------------

    def list_names(self, node: NodeProto) -> None:
        """Put what a node brings into the lists of its strings."""
        given = attributes(node)
        tensor = _constant(node) if node.op_type in ("Constant", "ConstantOfShape") else None
        if tensor is not None:
            self._list_all(node.output[0], list(tensor.string_data))
        elif node.op_type in _CLASSIFIERS and node.output and self._is_string(node.output[0]):
            self._list_all(node.output[0], list(given["classlabels_strings"].strings))
        elif node.op_type == "OneHotEncoder" and self._is_string(node.input[0]) and "cats_strings" in given:
            self._list_all(node.input[0], list(given["cats_strings"].strings))
        elif node.op_type in ("LabelEncoder", "CategoryMapper"):
            texts = next((list(given[n].strings) for n in ("classes_strings", "cats_strings") if n in given), None)
            for name, side in ((node.input[0], "keys"), (node.output[0], "values")):
                if self._is_string(name):
                    self._list_all(name, texts if texts is not None else _listed(given, side) or [])
            self._default(node, given)

    def _list_all(self, name: str, texts: list[bytes]) -> None:
        names = self._list(name)
        for text in texts:
            names.setdefault(text, len(names))

    def _default(self, node: NodeProto, given: Attributes) -> int:
        """The index of what a LabelEncoder or CategoryMapper gives for what it does not know."""
        name = node.output[0]
        if not self._is_string(name):
            return UNKNOWN
        text = given["default_string"].s if "default_string" in given else UNUSED
        if "default_tensor" in given and given["default_tensor"].t.string_data:
            text = given["default_tensor"].t.string_data[0]
        return self._list(name).get(text, UNKNOWN) if text == UNUSED else self._place(name, text)

    # --- rewriting --------------------------------------------------------------------------------------------------------

    def rewrite(self) -> None:
        """Put indices for strings, everywhere."""
        for name, tensor in self._tensors:
            self._list_all(name, list(tensor.string_data))
        casts = [node for node in nodes_in(self.proto.graph.node) if node.op_type == "Cast"]
        for node in casts:  # a list is whole when all casts into it have been seen: they bring no names
            self._cast(node)
        for node in nodes_in(self.proto.graph.node):
            self._rewrite(node)
        for name, tensor in self._tensors:
            self._numbers(name, tensor)
        for graph in graphs_in(self.proto.graph):
            del graph.value_info[:]
            for value in (*graph.input, *graph.output):
                if self._is_string(value.name):
                    value.type.tensor_type.elem_type = TensorProto.INT64
        self._ends()

    def _numbers(self, name: str, tensor: TensorProto) -> None:
        names = self._list(name)
        indices = np.array([names[text] for text in tensor.string_data], np.int64)
        if indices.size != np.prod(tensor.dims, dtype=np.int64):
            self.found.reasons.append(Reason(name, "constant", "its strings do not fill its shape", "export it again"))
            return
        tensor.CopyFrom(numpy_helper.from_array(indices.reshape(tuple(tensor.dims)), tensor.name))

    def _rewrite(self, node: NodeProto) -> None:
        given = attributes(node)
        if node.op_type in ("Constant", "ConstantOfShape"):
            tensor = _constant(node)
            if tensor is not None:
                self._numbers(node.output[0], tensor)
                _set(node, value=tensor, value_string=None, value_strings=None)
        elif node.op_type in _CLASSIFIERS and node.output and self._is_string(node.output[0]):
            places = [self._place(node.output[0], text) for text in given["classlabels_strings"].strings]
            _set(node, classlabels_strings=None, **{_CLASSIFIERS[node.op_type]: places})
        elif node.op_type == "OneHotEncoder" and self._is_string(node.input[0]):
            self._one_hot(node, given)
        elif node.op_type in ("LabelEncoder", "CategoryMapper"):
            self._encoder(node, given)

    def _one_hot(self, node: NodeProto, given: Attributes) -> None:
        texts = list(given["cats_strings"].strings) if "cats_strings" in given else []
        if not texts:
            self._refuse(node, "it reads strings, and has no categories that are strings", "export it again")
            return
        last = {text: i for i, text in enumerate(texts)}  # of equal categories, the last counts
        places = [self._place(node.input[0], t) if last[t] == i else UNKNOWN - 1 - i for i, t in enumerate(texts)]
        _set(node, cats_strings=None, cats_int64s=places)

    def _encoder(self, node: NodeProto, given: Attributes) -> None:
        source, target = node.input[0], node.output[0]
        if "classes_strings" in given or node.op_type == "CategoryMapper":
            self._mapper(node, given)
            return
        if not self._is_string(source) and not self._is_string(target):
            return
        default = self._default(node, given)
        for name, side in ((source, "keys"), (target, "values")):
            texts = _listed(given, side)
            if self._is_string(name) and texts is not None:
                places = [self._place(name, text) for text in texts]
                _set(node, **{f"{side}_strings": None, f"{side}_tensor": None, f"{side}_int64s": places})
        if self._is_string(target):
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
        reads = self._is_string(node.input[0])
        places = [self._place(node.input[0] if reads else node.output[0], text) for text in texts]
        default = given["default_int64"].i if "default_int64" in given else -1
        if not reads:
            default = self._default(node, given)
        keys, values = (places, numbers) if reads else (numbers, places)
        del node.attribute[:]
        node.op_type = "LabelEncoder"
        _set(node, keys_int64s=keys, values_int64s=values, default_int64=default)
        for entry in self.proto.opset_import:
            if entry.domain == ML:
                entry.version = max(entry.version, 2)  # of ML's operators that are here, only this one changed

    def _cast(self, node: NodeProto) -> None:
        given, source, target = attributes(node), node.input[0], node.output[0]
        if self._is_string(source) and self._is_string(target):
            node.op_type = "Identity"
            del node.attribute[:]
        elif self._is_string(target):
            whole = [(number, i) for text, i in self._list(target).items() if (number := _whole(text)) is not None]
            self._table(node, [n for n, _ in whole], {"values_int64s": [i for _, i in whole]}, UNKNOWN)
        elif self._is_string(source):
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
        names = self._list(node.input[0])
        if any(b"_" in text for text in names):
            self._refuse(node, "it reads numbers out of names that are none", "leave the Cast out")
            return
        try:
            if to == TensorProto.INT64:
                whole = [int(text) for text in names]
                self._table(node, list(names.values()), {"values_int64s": whole}, -1)
            elif to == TensorProto.FLOAT:
                floats = [float(text) for text in names]
                self._table(node, list(names.values()), {"values_floats": floats}, -1)
            else:
                self._refuse(node, "it reads numbers of this type out of names", "cast to float or int64")
        except ValueError:
            self._refuse(node, "it reads numbers out of names that are none", "leave the Cast out")

    def _needs_ml(self) -> None:
        versions = {entry.domain: entry for entry in self.proto.opset_import}
        if ML not in versions:
            self.proto.opset_import.append(helper.make_opsetid(ML, 3))
        else:
            versions[ML].version = max(versions[ML].version, 2)

    def _texts(self, name: str) -> tuple[str, ...]:
        """The list of a component, once for all its values."""
        root = self._root(name)
        if root not in self._told:
            self._told[root] = tuple(text.decode("utf-8", "replace") for text in self._names[root])
        return self._told[root]

    def _ends(self) -> None:
        """The lists of the model's inputs and outputs."""
        faults: dict[str, str] = {}
        initializers = {tensor.name for tensor in self.proto.graph.initializer}
        for value in self.proto.graph.input:
            if not self._is_string(value.name) or value.name in initializers:
                continue
            names, root = self._texts(value.name), self._root(value.name)
            if root not in faults:
                faults[root] = _unusable(names)
            if why := faults[root]:
                self.found.reasons.append(
                    Reason(value.name, "input", f"input '{value.name}' is of strings, and {why}", _HELP)
                )
            self.found.inputs[value.name] = names
        for value in self.proto.graph.output:
            if self._is_string(value.name):
                self.found.outputs[value.name] = self._texts(value.name)
                if value.name in self._open:
                    self.found.open_outputs.add(value.name)


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
