"""Small models that use what loading was opened for last, and changes that belong to it: seeds of `mutate`."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Rng = np.random.Generator
Change = Callable[[ModelProto, GraphProto, Rng], None]
F, I64, BOOL, STRING, U8, I8 = (getattr(TensorProto, n) for n in ("FLOAT", "INT64", "BOOL", "STRING", "UINT8", "INT8"))
ML = "ai.onnx.ml"
node = helper.make_node


def _value(name: str, shape: Sequence[int | str] | None = (4,), kind: int = F) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(nodes: list[NodeProto], ends: Sequence[Any], constants: dict[str, Any] | None = None, **more: Any) -> bytes:
    """`ends`: inputs, then the output."""
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()]
    sparse, functions = more.get("sparse", []), more.get("functions", [])
    graph = helper.make_graph(nodes, "g", list(ends[:-1]), [ends[-1]], tensors, sparse_initializer=sparse)
    opsets = [helper.make_opsetid("", more.get("opset", 18)), helper.make_opsetid(ML, 3), helper.make_opsetid("d", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=functions)
    return made.SerializeToString()


def _body(
    nodes: list[NodeProto], inputs: list[ValueInfoProto], outputs: list[ValueInfoProto], **more: Any
) -> GraphProto:
    return helper.make_graph(nodes, "b", inputs, outputs, **more)


def _sparse(name: str = "w") -> Any:
    values = numpy_helper.from_array(np.array([1, 2, 3], np.float32), name)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([0, 5, 11]), "at"), [4, 3])


def _strings() -> dict[str, bytes]:
    text, whole = _value("x", (4, 1), STRING), _value("y", None, I64)
    hot = node("OneHotEncoder", ["x"], ["y"], domain=ML, cats_strings=["red", "green", "blue"])
    label = node("LabelEncoder", ["x"], ["y"], domain=ML, keys_strings=["red", "blue"], values_int64s=[3, 4])
    made = node("LabelEncoder", ["n"], ["y"], domain=ML, keys_int64s=[1, 2], values_strings=["a", "b"])
    chosen = [
        node("Equal", ["x", "red"], ["is"]),
        node("Where", ["is", "blue", "x"], ["z"]),
        node("Concat", ["z", "x"], ["both"], axis=1),
        node("Gather", ["both", "at"], ["one"], axis=1),
        node("LabelEncoder", ["one"], ["y"], domain=ML, keys_strings=["red", "green"], values_int64s=[1, 2]),
    ]
    names = {"red": np.array(["red"], object), "blue": np.array(["blue"], object), "at": np.array([1])}
    numbers = [
        node(
            "LabelEncoder", ["n"], ["t"], domain=ML, keys_int64s=[1, 2], values_strings=["7", "8"], default_string="9"
        ),
        node("Cast", ["t"], ["y"], to=F),
    ]
    return {
        "one hot": _model([hot], [text, _value("y", None)]),
        "labels": _model([label], [text, whole]),
        "made": _model([made], [_value("n", (4,), I64), _value("y", None, STRING)]),
        "chosen": _model(chosen, [text, whole], names),
        "numbers": _model(numbers, [_value("n", (4,), I64), _value("y", None)]),
    }


def _sequences() -> dict[str, bytes]:
    zero = {"zero": np.array(0), "one": np.array(1), "two": np.array([1, 3])}
    first = [
        node("SequenceConstruct", ["x", "x"], ["s"]),
        node("SequenceInsert", ["s", "x", "one"], ["t"]),
        node("SequenceErase", ["t", "zero"], ["u"]),
        node("SequenceLength", ["u"], ["n"]),
        node("Sub", ["n", "one"], ["last"]),
        node("SequenceAt", ["u", "last"], ["y"]),
    ]
    split = [node("SplitToSequence", ["x", "two"], ["s"]), node("ConcatFromSequence", ["s"], ["y"], axis=0)]
    given = [
        node("SequenceAt", ["q", "zero"], ["a"]),
        node("Optional", ["a"], ["o"]),
        node("OptionalGetElement", ["o"], ["y"]),
    ]
    branches = [
        _body(
            [node("SequenceConstruct", ["x", name], ["r"])], [], [helper.make_tensor_sequence_value_info("r", F, None)]
        )
        for name in ("x", "z")
    ]
    chosen = [
        node("Neg", ["x"], ["z"]),
        node("If", ["c"], ["s"], then_branch=branches[0], else_branch=branches[1]),
        node("SequenceAt", ["s", "one"], ["y"]),
    ]
    sequence = helper.make_tensor_sequence_value_info("q", F, [4])
    return {
        "sequence": _model(first, [_value("x"), _value("y")], zero),
        "split": _model(split, [_value("x"), _value("y")], zero),
        "sequence input": _model(given, [sequence, _value("y")], zero),
        "sequence of If": _model(chosen, [_value("x"), _value("c", (), BOOL), _value("y")], zero),
    }


def _control() -> dict[str, bytes]:
    ends = [_value("i", (), I64), _value("go", (), BOOL)]
    counted = _body(
        [node("Add", ["k", "one"], ["k2"]), node("Less", ["k2", "lim"], ["go2"]), node("Mul", ["h", "h"], ["h2"])],
        [*ends, _value("k", (), I64), _value("h")],
        [_value("go2", (), BOOL), _value("k2", (), I64), _value("h2"), _value("h2")],
    )
    counted.node.append(node("Identity", ["h2"], ["all"]))
    counted.output[3].name = "all"
    constants = {"one": np.array(1), "lim": np.array(7), "true": np.array(True), "most": np.array(9)}
    grown = _body(
        [node("Concat", ["h", "x"], ["h2"], axis=0), node("Identity", ["go"], ["go2"])],
        [*ends, _value("h", None)],
        [_value("go2", (), BOOL), _value("h2", None)],
    )
    kept = _body([node("MatMul", ["x", "w"], ["r"])], [], [_value("r", None)], sparse_initializer=[_sparse()])
    other = _body([node("MatMul", ["x", "v"], ["r"])], [], [_value("r", None)])
    scanned = _body([node("Add", ["h", "e"], ["h2"])], [_value("h", ()), _value("e", ())], [_value("h2", ())])
    return {
        "counted": _model(
            [node("Loop", ["", "true", "one", "x"], ["k", "z", "y"], body=counted)],
            [_value("x"), _value("y", None)],
            constants,
        ),
        "grown": _model(
            [node("Loop", ["most", "true", "x"], ["y"], body=grown)], [_value("x"), _value("y", None)], constants
        ),
        "trap": _model(
            [node("If", ["c"], ["y"], then_branch=kept, else_branch=other)],
            [_value("x", (2, 4)), _value("c", (), BOOL), _value("y", None)],
            {"v": np.ones((5, 3), np.float32)},
        ),
        "scan": _model(
            [node("Scan", ["h", "x"], ["y"], body=scanned, num_scan_inputs=1)],
            [_value("x"), _value("h", ()), _value("y", ())],
        ),
    }


def _dynamic() -> dict[str, bytes]:
    boxes = [_value("x", (1, 6, 4)), _value("s", (1, 2, 6)), _value("y", None, I64)]
    limits = {"most": np.array([2]), "iou": np.array([0.5], np.float32), "at": np.array([1]), "axes": np.array([1])}
    found = [node("NonZero", ["x"], ["z"]), node("Transpose", ["z"], ["t"]), node("Gather", ["t", "at"], ["y"], axis=1)]
    picked = [
        node("NonMaxSuppression", ["x", "s", "most", "iou"], ["n"]),
        node("Gather", ["n", "at"], ["k"], axis=1),
        node("Mul", ["k", "at"], ["y"]),
    ]
    pressed = [node("Compress", ["x", "c"], ["z"], axis=0), node("ReduceSum", ["z"], ["y"], keepdims=0)]
    some = [
        node("Compress", ["x", "c"], ["z"], axis=0),
        node("Size", ["z"], ["n"]),
        node("Greater", ["n", "none"], ["is"]),
        node("Slice", ["z", "last", "end"], ["e"]),
        node(
            "If", ["is"], ["y"], then_branch=_body([node("Neg", ["z"], ["r"])], [], [_value("r", None)]),
            else_branch=_body([node("Add", ["e", "e"], ["r"])], [], [_value("r", None)]),
        ),
    ]  # fmt: skip
    limits |= {"none": np.array(0), "last": np.array([-2]), "end": np.array([1 << 62])}
    round_ = _body(
        [
            node("Add", ["h", "h"], ["y1"]),
            node("ReduceMax", ["y1"], ["m"], keepdims=0),
            node("Less", ["m", "top"], ["go2"]),
        ],
        [_value("i", (), I64), _value("go", (), BOOL), _value("h")],
        [_value("go2", (), BOOL), _value("y1"), _value("m", ())],
    )
    rounds = [node("Loop", ["z", "", "x"], ["u", "y"], body=round_)]
    best = [node("Shape", ["x"], ["n"]), node("TopK", ["x", "n"], ["y", "i"])]
    return {
        "NMS": _model(picked, boxes, limits),
        "NonZero": _model(found, [_value("x"), _value("y", None, I64)], limits),
        "Unique": _model([node("Unique", ["x"], ["y"])], [_value("x"), _value("y", None)]),
        "Compress": _model(pressed, [_value("x"), _value("c", (4,), BOOL), _value("y", None)]),
        "If": _model(some, [_value("x"), _value("c", (4,), BOOL), _value("y", None)], limits),
        "rounds": _model(
            rounds, [_value("x"), _value("z", (), I64), _value("y", None)], {"top": np.float32(40), "most": np.array(7)}
        ),
        "TopK": _model(best, [_value("x"), _value("y", None)]),
    }


def _functions() -> dict[str, bytes]:
    old = helper.make_function(
        "d", "f", ["a"], ["b"], [node("Softmax", ["a"], ["t"], axis=0), node("g", ["t"], ["b"], domain="d")],
        [helper.make_opsetid("", 12), helper.make_opsetid("d", 1)],
    )  # fmt: skip
    inner = helper.make_function("d", "g", ["a"], ["b"], [node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 14)])
    rows = np.zeros((64, 64), np.float32)
    rows[::16] = 1
    ints = {
        "w": np.arange(12, dtype=np.int8).reshape(4, 3),
        "zx": np.array(3, np.uint8),
        "zw": np.array([1, -1, 0], np.int8),
    }
    whole = [node("MatMulInteger", ["x", "w", "zx", "zw"], ["y"])]
    dynamic = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", "z", "zw"], ["p"]),
        node("Cast", ["p"], ["f"], to=F),
        node("Mul", ["f", "s"], ["y"]),
    ]
    taps = {"w": np.ones((2, 1, 3, 3), np.float32)}
    table = [
        node("DequantizeLinear", ["x", "s", "zx"], ["f"]),
        node("Sigmoid", ["f"], ["g"]),
        node("Mul", ["f", "g"], ["h"]),
        node("QuantizeLinear", ["h", "s", "zx"], ["y"]),
    ]
    unsorted = [node("Relu", ["m"], ["y"]), node("Exp", ["t"], ["m"]), node("Neg", ["x"], ["t"])]
    image, row = _value("x", (1, 1, 6, 6)), _value("x", (2, 4))
    return {
        "functions": _model([node("f", ["x"], ["y"], domain="d")], [_value("x"), _value("y")], functions=[old, inner]),
        "sparse": _model([node("MatMul", ["x", "w"], ["y"])], [row, _value("y", None)], sparse=[_sparse()]),
        "blocks": _model([node("MatMul", ["x", "w"], ["y"])], [_value("x", (2, 64)), _value("y", None)], {"w": rows}),
        "integers": _model(whole, [_value("x", (2, 4), U8), _value("y", None, TensorProto.INT32)], ints),
        "dynamic": _model(dynamic, [row, _value("y", None)], ints),
        "dilated": _model(
            [node("Conv", ["x", "w"], ["y"], dilations=[4, 4], pads=[4, 4, 4, 4])], [image, _value("y", None)], taps
        ),
        "table": _model(table, [_value("x", (4,), U8), _value("y", None, U8)], {"s": np.float32(0.1), **ints}),
        "unsorted": _model(unsorted, [_value("x", (-1, 40)), _value("y", None)]),
    }


@cache
def doors() -> list[tuple[str, bytes]]:
    """(name, model) of each."""
    return [*{**_strings(), **_sequences(), **_control(), **_dynamic(), **_functions()}.items()]


def _pick(rng: Rng, items: Sequence[Any]) -> Any:
    return items[int(rng.integers(len(items)))]


def _swapped(model: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """Two nodes, two ends, or two operands change places."""
    some = _pick(rng, (graph.node, graph.node, graph.input, _pick(rng, graph.node).input))
    a, b = (int(i) for i in rng.integers(len(some), size=2))
    if isinstance(some[a], str):
        some[a], some[b] = some[b], some[a]
    else:
        kept = type(some[a]).FromString(some[a].SerializeToString())
        some[a].CopyFrom(some[b])
        some[b].CopyFrom(kept)


def _other_sparse(model: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """Other dims, indices or values of a sparse tensor, or one more."""
    tensors = graph.sparse_initializer
    if not tensors or rng.random() < 0.2:
        tensors.append(_sparse(_pick(rng, ("w", "x", "v", ""))))
    tensor, what = _pick(rng, tensors), int(rng.integers(4))
    if what == 0:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = _pick(rng, (-1, 0, 1, 1 << 20, 1 << 31, 1 << 62))
    elif what == 1:
        at = np.array(rng.integers(-2, 14, _pick(rng, ((3,), (3, 2), (0,), (2, 2), ()))))
        tensor.indices.CopyFrom(numpy_helper.from_array(at, "at"))
    elif what == 2:
        values = np.array(
            rng.integers(-2, 14, _pick(rng, ((3,), (3, 2), (0,), ()))), _pick(rng, ("f4", "f8", "i8", "?"))
        )
        tensor.values.CopyFrom(numpy_helper.from_array(values, "w"))
    else:
        tensor.dims.append(int(rng.integers(3)))


def _other_function(model: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """A function that calls another, itself, or of another opset; or one more call of it."""
    function = _pick(rng, model.functions)
    what = int(rng.integers(4))
    if what == 0:
        _pick(rng, function.opset_import).version = _pick(rng, (1, 7, 11, 13, 17, 22, 0, -1, 1000))
    elif what == 1:
        _pick(rng, function.node).op_type = _pick(rng, ("f", "g", "Dropout", "Split", "If"))
    elif what == 2:
        function.node.append(
            node(_pick(rng, ("f", "g")), [_pick(rng, function.input)], [_pick(rng, ("b", "t", "n"))], domain="d")
        )
    else:
        _pick(rng, (graph, function)).node.append(node("f", ["x"], [_pick(rng, ("y", "w"))], domain="d"))


def _other_text(model: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """Names that are no UTF-8, numbers beyond any type, or nothing."""
    texts = [a.strings for n in graph.node for a in n.attribute if a.strings]
    texts += [t.string_data for t in graph.initializer if t.string_data]
    some = _pick(rng, texts)
    text = _pick(
        rng, (b"", b"\xff\xfe", b"1e999", b"9" * 5000, b"nan", b"a\0b", b"red", b"-1", b" 7", "\N{SNOWMAN}".encode())
    )
    if rng.random() < 0.3:
        some.append(text)
    else:
        some[int(rng.integers(len(some)))] = text


def _wrapped(model: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """The whole graph becomes a branch of an If, or the body of a Loop."""
    inside = GraphProto.FromString(graph.SerializeToString())
    del inside.input[:]
    outputs = [f"{value.name}.w" for value in graph.output]
    del graph.node[:], graph.initializer[:], graph.sparse_initializer[:]
    graph.input.append(_value("wrap", (), BOOL))
    graph.node.append(node("If", ["wrap"], outputs, then_branch=inside, else_branch=inside))
    for value, name in zip(graph.output, outputs, strict=True):
        value.name = name


def _often(model: ModelProto, graph: GraphProto, rng: Rng) -> None:
    """Trip counts and limits of loops that are negative, or endless."""
    tensors = [t for t in graph.initializer if t.name in ("most", "lim", "one", "true")]
    tensor = _pick(rng, tensors)
    array = numpy_helper.to_array(tensor)
    value = _pick(rng, (-1, 0, 1, 3, 1000, 1 << 31, (1 << 63) - 1, -(1 << 63)))
    tensor.CopyFrom(numpy_helper.from_array(np.array(value).astype(array.dtype).reshape(array.shape), tensor.name))


def door_changes() -> tuple[Change, ...]:
    """What can be changed in these."""
    return (_swapped, _swapped, _other_sparse, _other_function, _other_text, _other_text, _wrapped, _often, _often)
