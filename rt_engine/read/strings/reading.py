"""Which values are strings, which share a list, and which names an operator brings: the file, read once from its inputs on."""

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from rt_engine.read.strings.kinds import CLASSIFIERS, ML, Attributes, constant, is_text, listed, makes_strings
from rt_engine.read.strings.lists import Lists
from rt_engine.read.walking import attributes

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
_INTEGERS = (
    TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
    TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32,
)  # fmt: skip


class Reading:
    """What a graph says of its strings, put into `lists`."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists

    def declare(self, graph: GraphProto) -> None:
        """Inputs and constants."""
        initializers = {tensor.name for tensor in graph.initializer}
        for tensor in graph.initializer:
            self.lists.types[tensor.name] = tensor.data_type
            if is_text(tensor):
                self.lists.add(tensor.name)
                self.lists.tensors.append((tensor.name, tensor))
        for value in (*graph.input, *graph.value_info):
            self.lists.types.setdefault(value.name, value.type.tensor_type.elem_type)
        for value in graph.input:
            if value.type.tensor_type.elem_type == TensorProto.STRING and value.name not in initializers:
                self.lists.add(value.name, is_open=graph is self.lists.proto.graph)

    def connect(self, node: NodeProto) -> None:
        """What a node makes is a string, or not; what it joins."""
        given = attributes(node)
        read = [name for name in node.input if self.lists.is_string(name)]
        if node.op_type in ("If", "Loop", "Scan"):
            self._connect_bodies(node, given)
        elif node.op_type == "Constant" or (node.op_type == "ConstantOfShape" and not read):
            if constant(node) is not None:
                self.lists.add(node.output[0])
            elif "value" in given:
                self.lists.types[node.output[0]] = given["value"].t.data_type
        elif node.op_type in CLASSIFIERS and node.domain == ML:
            if "classlabels_strings" in given and given["classlabels_strings"].strings and node.output:
                self.lists.add(node.output[0])
        elif node.op_type in ("LabelEncoder", "CategoryMapper") and node.domain == ML:
            self._connect_encoder(node, given, bool(read))
        elif node.op_type == "Cast":
            self._connect_cast(node, given, read)
        elif read:
            self._connect_reader(node, read)
        elif (
            makes_strings(node)
            and node.op_type not in ("OneHotEncoder", "ZipMap")
            and node.domain in ("", "ai.onnx", ML)
        ):
            self.lists.refuse(node, f"its attributes are strings, and {node.op_type} of strings is not supported")

    def _connect_reader(self, node: NodeProto, read: list[str]) -> None:
        places = tuple(range(len(node.input))) if node.op_type == "Concat" else _KEEPS.get(node.op_type)
        if places is not None:
            self._keep(node, [node.input[i] for i in places if i < len(node.input)])
        elif node.op_type == "Equal":
            if all(name in self.lists.open for name in node.input):
                why = "it compares two strings of which neither is a constant: names that are in no list could not be told apart"
                self.lists.refuse(node, why, "compare with a constant, or compare before the model")
            elif len(read) == 2:
                self.lists.join(read)
        elif node.op_type not in _SHAPES and not (node.domain == ML and node.op_type == "OneHotEncoder"):
            self.lists.refuse(
                node, f"{node.op_type} works on the text of strings (input '{read[0]}'): it is not supported"
            )

    def _keep(self, node: NodeProto, sources: list[str]) -> None:
        texts = [name for name in sources if self.lists.is_string(name)]
        if len(texts) < len(sources) or not texts:
            self.lists.refuse(node, "some of its inputs are strings, and others are numbers", "correct its inputs")
            return
        outputs = [name for name in node.output if name][: None if node.op_type == "Split" else 1]
        for name in outputs:
            self.lists.add(name, is_open=any(source in self.lists.open for source in texts))
        self.lists.join([*texts, *outputs])

    def _connect_encoder(self, node: NodeProto, given: Attributes, reads: bool) -> None:
        if node.op_type == "CategoryMapper" or "classes_strings" in given:
            if not reads:
                self.lists.add(node.output[0], is_open="default_string" not in given)
            return
        if reads and listed(given, "keys") is None:
            self.lists.refuse(node, "it reads strings, and its keys are none", "correct its keys")
        if listed(given, "values") is not None:
            self.lists.add(node.output[0], is_open="default_string" not in given and "default_tensor" not in given)

    def _connect_cast(self, node: NodeProto, given: Attributes, read: list[str]) -> None:
        to = given["to"].i if "to" in given else 0
        self.lists.types[node.output[0]] = to
        if to == TensorProto.STRING:
            if read:
                self._keep(node, read)
            elif self.lists.types.get(node.input[0]) in _INTEGERS:
                self.lists.add(node.output[0], is_open=True)
            else:
                self.lists.refuse(
                    node, "it makes strings of numbers that are not known to be whole", "leave the Cast out"
                )
        elif read and read[0] in self.lists.open:
            self.lists.refuse(node, "it reads numbers out of text that is only known at run time", "feed numbers")

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
                pairs += [[a, b] for a, b in zip(node.output, inside[offset:], strict=False) if self.lists.is_string(b)]
        for pair in pairs:
            texts = [name for name in pair if self.lists.is_string(name)]
            if texts:
                for name in pair:
                    self.lists.add(name, is_open=any(t in self.lists.open for t in texts))
                self.lists.join(pair)

    def list_names(self, node: NodeProto) -> None:
        """Put what a node brings into the lists of its strings."""
        given = attributes(node)
        tensor = constant(node) if node.op_type in ("Constant", "ConstantOfShape") else None
        if tensor is not None:
            self.lists.list_all(node.output[0], list(tensor.string_data))
        elif node.op_type in CLASSIFIERS and node.output and self.lists.is_string(node.output[0]):
            self.lists.list_all(node.output[0], list(given["classlabels_strings"].strings))
        elif node.op_type == "OneHotEncoder" and self.lists.is_string(node.input[0]) and "cats_strings" in given:
            self.lists.list_all(node.input[0], list(given["cats_strings"].strings))
        elif node.op_type in ("LabelEncoder", "CategoryMapper"):
            texts = next((list(given[n].strings) for n in ("classes_strings", "cats_strings") if n in given), None)
            for name, side in ((node.input[0], "keys"), (node.output[0], "values")):
                if self.lists.is_string(name):
                    self.lists.list_all(name, texts if texts is not None else listed(given, side) or [])
            self.lists.default(node, given)
