"""Programs whose records are cut into pieces, and models large enough to be cut."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from rt_engine.kernels.interface.record import RECORD
from rt_engine.program.program import Program
from rt_engine.run.context import Context
from rt_engine.run.pieces import pieces_of
from rt_native.memory import Block

FLOAT, DOUBLE, BYTE = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.UINT8


def cut_records(program: Program, parts: int, backwards: bool = False) -> tuple[NDArray[Any], set[str]]:
    """A program's records, each as its pieces, and the kernels of those that were cut; not for programs that jump."""
    found, cut = [], set()
    for record in program.records:
        kernel = program.kernels[int(record["kernel"])]
        pieces = pieces_of(kernel, record, parts)
        if len(pieces) > 1:
            cut.add(kernel)
        found += pieces[::-1] if backwards else pieces
    records: NDArray[Any] = Block(RECORD.itemsize * max(len(found), 1)).view(RECORD, 0, len(found))
    for i, piece in enumerate(found):
        records[i] = piece
    return records, cut


def bits_of(context: Context, feeds: dict[str, NDArray[Any]], records: NDArray[Any]) -> bytes:
    """The bytes of all outputs of one run from the start with these records."""
    context.reset()
    for name, value in feeds.items():
        context.inputs[name][...] = value
    context._fields["records"], context._fields["count"] = records.ctypes.data, len(records)
    context.run()
    return b"".join(view.tobytes() for view in (*context.outputs.values(), *context.state.values()))


def feeds_of(model: rt_engine.Model) -> dict[str, NDArray[Any]]:
    """Numbers of usual size for every input."""
    rng = np.random.default_rng(0)
    return {s.name: np.asarray(rng.standard_normal(s.shape) * 2).astype(s.dtype) for s in model.inputs}


def _model(
    nodes: list[Any], inputs: dict[str, tuple[int, list[int]]], result: int, weights: dict[str, Any]
) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, *end) for name, end in inputs.items()]
    y = helper.make_tensor_value_info("y", result, None)
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "large", ends, [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def _one(operator: str, shape: list[int], weights: dict[str, Any] | None = None, type: int = FLOAT, result: int | None = None,
         **attributes: Any) -> onnx.ModelProto:  # fmt: skip
    node = helper.make_node(operator, ["x", *(weights or {})], ["y"], **attributes)
    return _model([node], {"x": (type, shape)}, type if result is None else result, weights or {})


def _numbers(*shape: int, type: Any = np.float32) -> NDArray[Any]:
    return (np.random.default_rng(1).standard_normal(shape) / 8).astype(type)


def large_models() -> Iterator[tuple[str, onnx.ModelProto]]:
    """(Name, model) for every family of kernels that can be cut, and for what makes cutting them hard: padding, images, addends,
    groups, one row, tails, work in place."""
    for images, channels, size, outputs, taps in (
        (1, 3, 33, 24, 3),
        (1, 40, 14, 130, 1),
        (3, 16, 9, 8, 3),
        (1, 65, 7, 321, 1),
    ):
        w = {"w": _numbers(outputs, channels, taps, taps), "b": _numbers(outputs)}
        for strides in ([1, 1], [2, 2]):
            yield (
                f"conv {images} {channels} {size} {strides}",
                _one("Conv", [images, channels, size, size], w, pads=[taps // 2] * 4, strides=strides),
            )
    w = {"w": _numbers(8, 3, 5, 3), "b": _numbers(8)}
    yield "picture", _one("Conv", [1, 3, 60, 64], w, pads=[2, 1, 2, 1], strides=[2, 2])
    yield "conv in double", _one("Conv", [1, 5, 20, 20], {"w": _numbers(40, 5, 3, 3, type=float)}, DOUBLE, pads=[1] * 4)
    yield "conv in groups", _one("Conv", [1, 32, 16, 16], {"w": _numbers(64, 8, 3, 3)}, group=4, pads=[1] * 4)
    yield "conv in groups of few pixels", _one("Conv", [1, 512, 3, 3], {"w": _numbers(520, 64, 1, 1)}, group=8)
    yield "winograd of few tiles", _one("Conv", [1, 64, 8, 8], {"w": _numbers(64, 64, 3, 3)}, pads=[1] * 4)
    yield "depthwise", _one("Conv", [1, 37, 20, 20], {"w": _numbers(37, 1, 3, 3)}, group=37, pads=[1] * 4)
    yield "depthwise images", _one("Conv", [4, 16, 8, 8], {"w": _numbers(16, 1, 3, 3)}, group=16, pads=[1] * 4)
    yield "few columns", _one("Conv", [1, 64, 16, 16], {"w": _numbers(1, 64, 1, 1)})
    yield "winograd", _one("Conv", [1, 32, 16, 16], {"w": _numbers(32, 32, 3, 3)}, pads=[1] * 4)
    yield "winograd two", _one("Conv", [1, 48, 12, 12], {"w": _numbers(48, 48, 3, 3)}, pads=[1] * 4)
    yield "winograd four", _one("Conv", [1, 64, 32, 32], {"w": _numbers(64, 64, 3, 3)}, pads=[1] * 4)
    yield "winograd line", _one("Conv", [1, 32, 400], {"w": _numbers(32, 32, 3)}, pads=[1, 1])
    residual = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4), helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Conv", ["r", "w"], ["c"], pads=[1] * 4), helper.make_node("Add", ["c", "x"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]  # fmt: skip
    for channels in (24, 64):
        yield (
            f"residual {channels}",
            _model(residual, {"x": (FLOAT, [1, channels, 15, 15])}, FLOAT, {"w": _numbers(channels, channels, 3, 3)}),
        )
    for type, cast in ((FLOAT, np.float32), (DOUBLE, np.float64)):
        for shape in ([1, 70], [2, 70], [13, 70], [300, 70], [2, 1, 70], [5, 13, 70]):
            yield f"gemm {shape}", _one("MatMul", shape, {"w": _numbers(70, 333, type=cast)}, type)
    for batch in ([1, 1], [6, 1], [5, 40], [1, 200]):
        node = helper.make_node("MatMul", ["x", "z"], ["y"])
        ends = {"x": (FLOAT, [*batch, 24]), "z": (FLOAT, [batch[0], 24, 200])}
        yield f"products {batch}", _model([node], ends, FLOAT, {})
    for operator, shape in (
        *(("Tanh", s) for s in ([1000], [7, 33])), ("Softmax", [40, 33]), ("Softmax", [40, 3]), ("LogSoftmax", [40, 33]),
        ("MaxPool", [1, 20, 20, 20]), ("MaxPool", [3, 20, 9, 9]), ("AveragePool", [1, 20, 20, 20]), ("ReduceMean", [40, 30]),
        ("ReduceMax", [6, 30, 50]), ("ArgMax", [40, 30]), ("GlobalAveragePool", [4, 30, 8, 8]),
    ):  # fmt: skip
        more: dict[str, Any] = (
            {"kernel_shape": [3, 3], "pads": [1] * 4} if operator in ("MaxPool", "AveragePool") else {}
        )
        result = TensorProto.INT64 if operator == "ArgMax" else FLOAT
        more |= {"axis": 1} if operator == "ArgMax" else {}
        weights = {"axes": np.array([1])} if operator.startswith("Reduce") else {}
        yield f"{operator} {shape}", _one(operator, shape, weights, result=result, **more)
    yield "layer norm", _one("LayerNormalization", [41, 37], {"s": _numbers(37), "b": _numbers(37)})
    for items in (1, 3):
        yield (
            f"instance norm {items}",
            _one("InstanceNormalization", [items, 12, 9, 9], {"s": _numbers(12), "b": _numbers(12)}),
        )
    for operator in ("Add", "Sub", "Mul", "Pow", "Max", "PRelu"):
        for shape, other in (([999], [999]), ([33, 35], [35]), ([33, 35], [33, 1]), ([3, 5], [3, 1]), ([33, 35], [1])):
            yield f"{operator} {shape} {other}", _one(operator, shape, {"z": _numbers(*other)})
    for shape, other in (([999], [999]), ([33, 35], [33, 1]), ([33, 34], [34])):
        yield f"Less {shape} {other}", _one("Less", shape, {"z": _numbers(*other)}, result=TensorProto.BOOL)
    where = [helper.make_node("Less", ["x", "z"], ["c"]), helper.make_node("Where", ["c", "x", "z"], ["y"])]
    yield "where", _model(where, {"x": (FLOAT, [900])}, FLOAT, {"z": _numbers(900)})
    yield "cast", _one("Cast", [1000], to=TensorProto.INT16, result=TensorProto.INT16)
    narrow = [
        helper.make_node("Cast", ["x"], ["n"], to=TensorProto.FLOAT8E4M3FN),
        helper.make_node("Cast", ["n"], ["y"], to=FLOAT),
    ]
    yield "narrow", _model(narrow, {"x": (FLOAT, [1000])}, FLOAT, {})
    yield "gather", _one("Gather", [5, 40, 6], {"i": np.arange(30)[::-1]}, axis=1)
    yield (
        "concat",
        _model(
            [helper.make_node("Concat", ["x", "z"], ["y"], axis=1)],
            {"x": (FLOAT, [30, 20])},
            FLOAT,
            {"z": _numbers(30, 3)},
        ),
    )
    for batch, mask in ((1, False), (3, True)):
        names = ["x", "k", "v", "", "", "m"] if mask else ["x", "k", "v"]
        heads = helper.make_node("MultiHeadAttention", names, ["y"], domain="com.microsoft", num_heads=5)
        ends = {"x": (FLOAT, [batch, 23, 60]), "k": (FLOAT, [batch, 41, 60]), "v": (FLOAT, [batch, 41, 60])}
        bias = {"m": _numbers(batch, 5, 23, 41)} if mask else {}
        yield f"attention {batch}", _model([heads], ends, FLOAT, bias)
    resize = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")
    yield "resize", _model([resize], {"x": (FLOAT, [1, 12, 14, 14])}, FLOAT, {"s": np.array([1, 1, 2, 2], np.float32)})
    yield "trees", _trees(300)
    yield from _quantised()


def _trees(rows: int, trees: int = 40, features: int = 7) -> onnx.ModelProto:
    """A forest of three levels, and as many rows."""
    rng = np.random.default_rng(3)
    inner, count = 7, 15
    nodes = np.tile(np.arange(count), trees)
    owners, is_leaf = np.repeat(np.arange(trees), count), nodes >= inner
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
        nodes_nodeids=nodes, nodes_treeids=owners, nodes_featureids=rng.integers(0, features, len(nodes)),
        nodes_values=rng.standard_normal(len(nodes)), nodes_modes=np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_truenodeids=np.where(is_leaf, 0, 2 * nodes + 1), nodes_falsenodeids=np.where(is_leaf, 0, 2 * nodes + 2),
        target_treeids=owners[is_leaf], target_nodeids=nodes[is_leaf], target_ids=np.zeros(is_leaf.sum(), int),
        target_weights=rng.standard_normal(is_leaf.sum()),
    )  # fmt: skip
    proto = _model([node], {"x": (FLOAT, [rows, features])}, FLOAT, {})
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return proto


def _quantised() -> Iterator[tuple[str, onnx.ModelProto]]:
    rng = np.random.default_rng(2)
    scale, zero, signed = np.float32(0.05), np.uint8(128), np.int8(0)
    quantise = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"])
    back = helper.make_node("DequantizeLinear", ["r", "scale", "zero"], ["y"])
    common = {"scale": scale, "zero": zero, "signed": signed}
    for name, shape, w, attributes in (
        ("qconv", [1, 16, 12, 12], [200, 16, 3, 3], {"pads": [1] * 4}),
        ("qwinograd", [2, 32, 16, 16], [32, 32, 3, 3], {"pads": [1] * 4}),
        ("qconv images", [3, 16, 8, 8], [20, 16, 3, 3], {"pads": [1] * 4}),
        ("qconv few columns", [1, 15, 13, 11], [21, 15, 3, 3], {"pads": [1] * 4}),
        ("qdepthwise", [3, 20, 8, 8], [20, 1, 3, 3], {"pads": [1] * 4, "group": 20}),
        ("qdepthwise of one image", [1, 21, 13, 11], [21, 1, 3, 3], {"pads": [1] * 4, "group": 21}),
    ):
        weights = common | {"w": rng.integers(-100, 100, w).astype(np.int8)}
        node = helper.make_node(
            "QLinearConv", ["q", "scale", "zero", "w", "scale", "signed", "scale", "zero"], ["r"], **attributes
        )
        yield name, _model([quantise, node, back], {"x": (FLOAT, shape)}, FLOAT, weights)
    for rows in (1, 3, 40):
        weights = common | {"w": rng.integers(-100, 100, (33, 150)).astype(np.int8)}
        node = helper.make_node("QLinearMatMul", ["q", "scale", "zero", "w", "scale", "signed", "scale", "zero"], ["r"])
        yield f"qgemm {rows}", _model([quantise, node, back], {"x": (FLOAT, [rows, 33])}, FLOAT, weights)
    yield (
        "MatMulInteger",
        _one(
            "MatMulInteger", [41, 33], {"w": rng.integers(0, 256, (33, 70)).astype(np.uint8)}, BYTE, TensorProto.INT32
        ),
    )
    pool = helper.make_node("MaxPool", ["q"], ["r"], kernel_shape=[2, 2])
    for images in (1, 4):
        shape = [images, 21, 18, 8]
        yield f"qmax_pool {images}", _model([quantise, pool, back], {"x": (FLOAT, shape)}, FLOAT, common)
    add = [
        quantise, helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("QuantizeLinear", ["z", "two", "zero"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "two", "zero"], ["e"]),
        helper.make_node("Add", ["d", "e"], ["s"]), helper.make_node("QuantizeLinear", ["s", "two", "zero"], ["t"]),
        helper.make_node("DequantizeLinear", ["t", "two", "zero"], ["y"]),
    ]  # fmt: skip
    yield "qadd", _model(add, {"x": (FLOAT, [1000]), "z": (FLOAT, [1000])}, FLOAT, common | {"two": np.float32(0.1)})
