"""Operators of ONNX Runtime in the standard's words: its results, for each operator and for files that it wrote itself."""

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

import rt_engine
from rt_engine.errors import RunError, UnsupportedModelError
from rt_engine.ops.microsoft import MICROSOFT, REWRITTEN
from tests.onnx_runtime import session

RNG = np.random.default_rng(0)
F = np.float32


def f(*shape):
    return RNG.standard_normal(shape).astype(F)


def u8(*shape):
    return RNG.integers(0, 256, shape).astype(np.uint8)


def i8(*shape):
    """Of 7 bits: two products of them with bytes fit 16 bits, where ONNX Runtime would saturate."""
    return RNG.integers(-63, 64, shape).astype(np.int8)


def angles(function):
    return function(np.linspace(0.0, 3.0, 32).reshape(16, 2)).astype(F)


def model_of(op_type, inputs, feeds, outputs, opset, attributes):
    """One node; what is fed is an input, what is None is absent, everything else is a constant."""
    names = ["" if value is None else name for name, value in inputs.items()]
    made = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, names, made, name="n", domain=MICROSOFT, **attributes)
    ends = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in feeds.items()
    ]
    constants = [
        numpy_helper.from_array(np.asarray(v), n) for n, v in inputs.items() if v is not None and n not in feeds
    ]
    graph = helper.make_graph([node], "g", ends, [onnx.ValueInfoProto(name=n) for n in made], constants)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def agree(model, feeds, tolerance):
    """Ours and ONNX Runtime's results: the same types and shapes, values as close as that."""
    theirs = session(model, optimised=False).run(None, feeds)
    for output, value in zip(model.graph.output, theirs, strict=True):
        output.CopyFrom(
            helper.make_tensor_value_info(output.name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        )
    ours = rt_engine.load(model).run(feeds)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert np.abs(a.astype(np.float64) - b).max(initial=0) <= tolerance


X, IMAGE, TOKENS = f(2, 4), f(1, 1, 5, 5), f(2, 5, 12)
W, WB = f(12, 36), f(36)
IDS, KINDS = RNG.integers(0, 20, (2, 5)).astype(np.int32), RNG.integers(0, 2, (2, 5)).astype(np.int32)
MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
WHERE = RNG.integers(0, 16, (2, 5))
BYTES = {"x": u8(1, 3, 6, 6), "sx": F(0.02), "zx": np.uint8(120), "sy": F(0.03), "zy": np.uint8(110)}
NO_ZEROS = {"x": i8(1, 3, 6, 6), "sx": F(0.02), "zx": None, "sy": F(0.03), "zy": None}
TABLES = {"w": f(20, 8), "p": f(9, 8), "s": f(2, 8), "g": f(8), "b": f(8)}
QTABLES = {"w": u8(20, 8), "p": u8(9, 8), "s": u8(2, 8), "g": u8(8), "b": u8(8), "m": MASK}
SCALES = {f"{n}s": F(0.01 + 0.01 * i) for i, n in enumerate("wpsgb")} | {
    f"{n}z": np.uint8(100 + i) for i, n in enumerate("wpsgb")
}


def heads(length=5):
    return f(2, 3, length, 4)


def fused_matmul():
    for a, b, turn_a, turn_b in np.ndindex(2, 2, 2, 2):
        left, right = ([2, 4, 3] if a else [2, 3, 4]), ([2, 5, 4] if b else [2, 4, 5])
        left[:2], right[:2] = left[:2][:: -1 if turn_a else 1], right[:2][:: -1 if turn_b else 1]
        given = {"a": f(*left), "b": f(*right)}
        flags = {"transA": a, "transB": b, "transBatchA": turn_a, "transBatchB": turn_b}
        yield "FusedMatMul", given, "ab", {"alpha": 0.5, **{k: int(v) for k, v in flags.items()}}


def softmax():
    for axis, version, opset in ((-1, 13, 18), (1, 13, 18), (1, 12, 12)):
        params = {"sx": F(0.1), "zx": np.uint8(128), "sy": F(1 / 256), "zy": np.uint8(0)}
        yield (
            "QLinearSoftmax",
            {"x": u8(2, 3, 40), **params},
            "x",
            {"axis": axis, "opset": version, "OPSET": opset, "TOL": 1},
        )


def lstm():
    for direction, n in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        for wide in ((), (32,)):
            scale = [np.abs(f(n, *wide)) * F(0.01) for _ in range(2)]
            zero = np.zeros((n, *wide), np.int8)
            given = {
                "x": f(6, 2, 3), "w": i8(n, 3, 32), "r": i8(n, 8, 32), "b": f(n, 64), "l": None,
                "h": f(n, 2, 8) if wide else None, "c": f(n, 2, 8) if wide else None, "p": None,
                "ws": scale[0], "wz": zero, "rs": scale[1], "rz": zero,
            }  # fmt: skip
            options = {"hidden_size": 8, "direction": direction, "OUT": 3, "TOL": 5e-3}
            yield "DynamicQuantizeLSTM", given, "xhc" if wide else "x", options
            peeped = {**given, "l": np.array([6, 4], np.int32), "p": f(n, 24)}
            yield "DynamicQuantizeLSTM", peeped, "xhc" if wide else "xl", options


def n_bits():
    for bits, with_zeros in ((4, 0), (4, 1), (8, 1)):
        given = {"a": f(3, 40), "b": u8(6, 3, 2 * bits), "s": np.abs(f(18))}
        given |= {"z": u8(6 * -(-3 * bits // 8))} if with_zeros else {}
        yield "MatMulNBits", given, "a", {"K": 40, "N": 6, "bits": bits, "block_size": 16, "TOL": 2e-3}


NEW = f(2, 7, 12)
ROW = {"x": f(2, 3, 8), "s": f(2, 3, 8), "g": f(8)}
CONV = {"x": IMAGE, "w": f(2, 1, 3, 3), "b": f(2)}
PRODUCT = {"x": X, "b": f(4, 3), "c": f(3)}
SELF = {"x": TOKENS, "w": W, "b": WB}
CROSS = {"q": TOKENS, "k": NEW, "v": f(2, 7, 12)}
QSELF = {"x": u8(2, 5, 12), "w": i8(12, 36), "b": WB, "sx": F(0.02), "sw": F(0.01)}
ZEROS = {"zx": np.uint8(120), "zw": np.int8(0)}
TURN = {"p": WHERE, "c": angles(np.cos), "s": angles(np.sin)}
POOL = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "TOL": 1}
SAMPLES = [
    {"mode": "bilinear", "padding_mode": "border"},
    {"mode": "nearest", "align_corners": 1},
    {"mode": "bicubic", "padding_mode": "reflection", "align_corners": 1},
]

CASES = [
    ("FusedConv", CONV, "x", {"activation": "Relu", "kernel_shape": [3, 3]}),
    ("FusedConv", CONV, "x", {"activation": "Clip", "activation_params": [-0.5, 0.6]}),
    ("FusedConv", CONV, "x", {"activation": "LeakyRelu", "activation_params": [0.1]}),
    ("FusedConv", CONV, "x", {"activation": "HardSigmoid", "activation_params": [0.2, 0.4]}),
    ("FusedConv", {**CONV, "z": f(1, 2, 3, 3)}, "x", {"activation": "Relu"}),
    ("FusedGemm", PRODUCT, "x", {"activation": "Relu"}),
    ("FusedGemm", PRODUCT, "x", {"activation": "LeakyRelu", "activation_alpha": 0.1}),
    ("FusedGemm", PRODUCT, "x", {"activation": "Selu", "activation_alpha": 1.6, "activation_gamma": 1.05}),
    ("FusedGemm", PRODUCT, "x", {"activation": "Sigmoid", "alpha": 0.5}),
    *fused_matmul(),
    ("TransposeMatMul", {"a": f(3, 4), "b": f(5, 4)}, "a", {"transB": 1}),
    ("Gelu", {"x": X}, "x", {}),
    ("BiasGelu", {"x": X, "b": f(4)}, "x", {}),
    ("FastGelu", {"x": X}, "x", {}),
    ("FastGelu", {"x": X, "b": f(4)}, "x", {}),
    ("QuickGelu", {"x": X}, "x", {"alpha": 1.702}),
    ("SkipLayerNormalization", ROW, "xs", {}),
    ("SkipLayerNormalization", {**ROW, "b": f(8), "c": f(8)}, "xs", {"epsilon": 1e-5}),
    ("SkipLayerNormalization", {**ROW, "s": f(1, 3, 8), "b": f(8)}, "xs", {"epsilon": 1e-5}),
    ("SkipSimplifiedLayerNormalization", {**ROW, "c": f(8)}, "xs", {"epsilon": 1e-5}),
    ("EmbedLayerNormalization", {"i": IDS, "k": KINDS, **TABLES, "m": MASK}, "ikm", {"OUT": 2}),
    ("EmbedLayerNormalization", {"i": IDS, "k": None, **TABLES, "s": None}, "i", {"OUT": 3}),
    ("QEmbedLayerNormalization", {"i": IDS, "k": KINDS, **QTABLES, **SCALES}, "ikm", {"OUT": 2}),
    ("Attention", SELF, "x", {"num_heads": 3}),
    ("Attention", {**SELF, "m": MASK}, "xm", {"num_heads": 3}),
    ("Attention", {**SELF, "m": np.array([3, 5], np.int32)}, "xm", {"num_heads": 3}),
    ("Attention", {**SELF, "m": np.array([4, 5, 1, 0], np.int32)}, "xm", {"num_heads": 3}),
    ("Attention", {**SELF, "m": RNG.integers(0, 2, (2, 5, 5)).astype(np.int32)}, "xm", {"num_heads": 3}),
    ("Attention", {**SELF, "m": MASK}, "xm", {"num_heads": 3, "unidirectional": 1, "scale": 0.3}),
    ("Attention", {**SELF, "m": None, "p": f(2, 2, 3, 4, 4)}, "xp", {"num_heads": 3, "unidirectional": 1, "OUT": 2}),
    ("Attention", {**SELF, "m": None, "p": None, "a": f(1, 3, 5, 5)}, "xa", {"num_heads": 3}),
    ("Attention", {"x": TOKENS, "w": f(12, 30), "b": f(30)}, "x", {"num_heads": 3, "qkv_hidden_sizes": [12, 12, 6]}),
    ("MultiHeadAttention", CROSS, "qkv", {"num_heads": 3}),
    ("MultiHeadAttention", {**CROSS, "b": WB}, "qkv", {"num_heads": 3}),
    ("MultiHeadAttention", {"q": TOKENS, "k": heads(7), "v": heads(7)}, "qkv", {"num_heads": 3}),
    ("MultiHeadAttention", {"q": TOKENS, "k": TOKENS * F(2), "v": TOKENS + F(1), "b": None, "m": MASK}, "qkvm", {"num_heads": 3}),
    (
        "MultiHeadAttention",
        {"q": TOKENS, "k": TOKENS * F(2), "v": TOKENS, "b": WB, "m": None, "a": f(1, 3, 5, 8), "K": heads(3), "V": heads(3)},
        "qkvaKV",
        {"num_heads": 3, "OUT": 3},
    ),
    ("RotaryEmbedding", {"x": TOKENS, **TURN, "p": np.array([2])}, "xp", {}),
    ("RotaryEmbedding", {"x": TOKENS, **TURN}, "xp", {"interleaved": 1}),
    ("RotaryEmbedding", {"x": heads(), **TURN}, "xp", {}),
    ("RotaryEmbedding", {"x": f(2, 5, 18), **TURN}, "xp", {"num_heads": 3, "rotary_embedding_dim": 4, "interleaved": 1}),
    *softmax(),
    ("QLinearAveragePool", BYTES, "x", {**POOL, "count_include_pad": 1}),
    ("QLinearAveragePool", BYTES, "x", {**POOL, "channels_last": 1}),
    ("QLinearGlobalAveragePool", BYTES, "x", {"channels_last": 1, "TOL": 1}),
    ("QLinearLeakyRelu", BYTES, "x", {"alpha": 0.1}),
    ("QLinearSigmoid", BYTES, "x", {"TOL": 1}),
    ("QLinearLeakyRelu", NO_ZEROS, "x", {"alpha": 0.1, "TOL": 0}),
    ("QLinearSigmoid", NO_ZEROS, "x", {"TOL": 1}),
    (
        "QLinearWhere",
        {"c": np.array([[1, 0, 1]], bool), "x": u8(2, 3), "s": F(0.02), "z": np.uint8(9), "y": u8(2, 3), "S": F(0.05),
         "Z": np.uint8(3), "t": F(0.05), "u": np.uint8(100)},
        "cxy",
        {"TOL": 1},
    ),
    ("NhwcMaxPool", {"x": u8(1, 6, 6, 3)}, "x", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    (
        "QLinearConv",
        {"x": u8(1, 6, 6, 3), "s": F(0.02), "z": np.uint8(120), "w": i8(5, 3, 3, 3), "S": F(0.01), "Z": np.int8(0),
         "t": F(0.05), "u": np.uint8(128)},
        "x",
        {"channels_last": 1, "TOL": 1},
    ),
    ("DynamicQuantizeMatMul", {"a": f(3, 6), "b": i8(6, 5), "s": F(0.02)}, "a", {}),
    ("DynamicQuantizeMatMul", {"a": f(3, 6), "b": i8(6, 5), "s": np.abs(f(5)), "z": i8(5) // 8, "c": f(5)}, "a", {"TOL": 1e-4}),
    (
        "MatMulIntegerToFloat",
        {"a": u8(3, 6), "b": i8(6, 5), "s": F(0.02), "S": np.abs(f(5)), "z": np.uint8(100), "Z": i8(5) // 8, "c": f(5)},
        "a",
        {"TOL": 1e-4},
    ),
    ("QAttention", {**QSELF, "m": np.array([3, 5], np.int32), **ZEROS}, "xm", {"num_heads": 3}),
    ("QAttention", {**QSELF, "m": MASK, **ZEROS}, "xm", {"num_heads": 3, "unidirectional": 1}),
    ("QuantizeLinear", {"x": f(3, 4) * 20, "s": F(0.001), "z": np.uint16(300)}, "x", {"OPSET": 13, "TOL": 0}),
    ("QuantizeLinear", {"x": f(3, 4), "s": F(0.01), "z": np.int8(3)}, "x", {"OPSET": 13, "TOL": 0}),
    (
        "DequantizeLinear",
        {"x": RNG.integers(-999, 999, (3, 4)).astype(np.int16), "s": np.abs(f(4)), "z": np.arange(4, dtype=np.int16)},
        "x",
        {"axis": 1, "OPSET": 13, "TOL": 0},
    ),
    *(
        (
            "DequantizeLinear",
            {"w": RNG.integers(*ends, (3, 4)).astype(kind), "s": np.abs(f(3)), "z": np.array([0, 1, 3], kind)},
            "",
            {"axis": 0, "OPSET": 18, "TOL": 0},
        )
        for kind, ends in ((ml_dtypes.int4, (-8, 8)), (ml_dtypes.uint4, (0, 16)))
    ),
    *lstm(),
    *n_bits(),
    *(("Trilu", {"x": f(4, 4)}, "x", {"upper": 0, "OPSET": opset}) for opset in (13, 18)),
    *(("GridSample", {"x": IMAGE, "g": f(1, 3, 4, 2)}, "xg", {**how, "OPSET": opset}) for how in SAMPLES for opset in (12, 21)),
    *(
        ("GatherND", {"x": X, "i": np.array([[1], [0]], kind)}, fed, {"OPSET": opset})
        for kind in (np.int32, np.int64) for fed in ("x", "xi") for opset in (9, 11, 18)
    ),
]  # fmt: skip

NOT_THERE = {"QLinearReduceMean"}
"""ONNX Runtime has no kernel for it any more: see `test_microsoft_definitions`."""
ELSEWHERE = {"QLinearAdd", "QLinearMul", "QLinearConcat", "QGemm", "LayerNormalization", "SimplifiedLayerNormalization"}
"""Tested below, or in `test_quantised`."""


@pytest.mark.parametrize(
    ("op_type", "inputs", "fed", "options"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_an_operator_gives_what_onnx_runtime_gives(op_type, inputs, fed, options):
    attributes = {k: v for k, v in options.items() if k not in ("OUT", "TOL", "OPSET")}
    feeds = {name: inputs[name] for name in fed}
    model = model_of(op_type, inputs, feeds, options.get("OUT", 1), options.get("OPSET", 18), attributes)
    agree(model, feeds, options.get("TOL", 2e-5))


@pytest.mark.parametrize("lengths", [[7, 2], [-1, 2]])
def test_a_length_beyond_the_axis_is_a_status_as_lstm_has_it(lengths):
    """ONNX Runtime refuses it too."""
    given = next(inputs for _, inputs, fed, _ in lstm() if "l" in fed)
    feeds = {"x": given["x"], "l": np.array(lengths, np.int32)}
    model = rt_engine.load(model_of("DynamicQuantizeLSTM", given, feeds, 3, 18, {"hidden_size": 8}))
    with pytest.raises(RunError, match="INDEX_OUT_OF_RANGE"):
        model.run(feeds)


def test_every_rewritten_operator_is_tried():
    assert {case[0] for case in CASES} | NOT_THERE | ELSEWHERE == set(REWRITTEN)


def test_queries_keys_and_values_in_one_tensor():
    """[B, L, N, 3, H], and keys with values [B, L, N, 2, H], are what they are one by one."""
    whole = f(2, 5, 3, 3, 4)
    q, k, v = (np.ascontiguousarray(whole[:, :, :, i]).reshape(2, 5, 12) for i in range(3))
    both = np.ascontiguousarray(whole[:, :, :, 1:])
    found = []
    for given in ({"q": whole}, {"q": q, "k": both}, {"q": q, "k": k, "v": v}):
        model = model_of("MultiHeadAttention", given, given, 1, 18, {"num_heads": 3})
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", T.FLOAT, (2, 5, 12)))
        found.append(rt_engine.load(model).run(given)[0])
    assert (found[0] == found[2]).all() and (found[1] == found[2]).all()


@pytest.mark.parametrize(
    ("op_type", "inputs", "fed", "attributes", "words"),
    [
        ("FusedConv", CONV, "x", {"activation": "Sin"}, "its activation 'Sin' .* level 'basic'"),
        ("Attention", {**SELF, "m": np.ones((2, 9), np.int32)}, "xm", {"num_heads": 3}, r"a mask of shape \[2, 9\]"),
        ("FusedMatMul", {"a": X, "b": f(4, 3)}, "a", {"OUT": 2}, "its output 1 .* is not made here"),
        ("WordConvEmbedding", {"x": X}, "x", {}, "without what one runtime's optimiser adds"),
    ],
)
def test_what_has_no_standard_words_is_refused_by_name(op_type, inputs, fed, attributes, words):
    outputs = attributes.get("OUT", 1)
    attributes = {k: v for k, v in attributes.items() if k != "OUT"}
    model = model_of(op_type, inputs, {n: inputs[n] for n in fed}, outputs, 18, attributes)
    for output in model.graph.output:
        output.CopyFrom(helper.make_tensor_value_info(output.name, T.FLOAT, ["n", "m", "k"]))
    with pytest.raises(UnsupportedModelError, match=words):
        rt_engine.load(model)


@pytest.mark.parametrize("op_type", ["Conv", "ReorderInput"])
def test_a_layout_of_one_processor_is_refused_with_what_helps(op_type):
    """Also where the standard has an operator of that name."""
    node = helper.make_node(op_type, ["x", "w"], ["y"], domain=f"{MICROSOFT}.nchwc")
    value = helper.make_tensor_value_info("x", T.FLOAT, [1, 16, 4, 4])
    constant = numpy_helper.from_array(f(16, 16, 1, 1), "w")
    graph = helper.make_graph([node], "g", [value], [helper.make_tensor_value_info("y", T.FLOAT, None)], [constant])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(f"{MICROSOFT}.nchwc", 1)]
    with pytest.raises(UnsupportedModelError, match="level 'extended'"):
        rt_engine.load(helper.make_model(graph, opset_imports=opsets, ir_version=9))


def block(opset):
    """A transformer's second half as PyTorch writes it before LayerNormalization: residual, norm, GELU, and a convolution."""
    constants = {"w": f(16, 32), "b": f(32), "v": f(32, 16), "c": f(16), "g": f(16), "h": f(16), "two": F(2), "eps": F(1e-5),
                 "half": F(0.5), "one": F(1), "root": F(np.sqrt(2.0)), "k": f(4, 2, 1, 3), "kb": f(4)}  # fmt: skip
    rows = [
        ("MatMul", "x w", "m"), ("Add", "m b", "a"), ("Div", "a root", "d"), ("Erf", "d", "e"), ("Add", "e one", "p"),
        ("Mul", "a p", "q"), ("Mul", "q half", "u"), ("MatMul", "u v", "n"), ("Add", "n c", "o"), ("Add", "o x", "r"),
        ("ReduceMean", "r", "mean"), ("Sub", "r mean", "z"), ("Pow", "z two", "zz"), ("ReduceMean", "zz", "var"),
        ("Add", "var eps", "ve"), ("Sqrt", "ve", "sd"), ("Div", "z sd", "t"), ("Mul", "t g", "tg"), ("Add", "tg h", "ln"),
        ("Unsqueeze", "ln", "image"), ("Conv", "image k kb", "cv"), ("Relu", "cv", "y"),
    ]  # fmt: skip
    extra = {"ReduceMean": {"axes": [-1]}, "Unsqueeze": {"axes": [2]}, "Conv": {"kernel_shape": [1, 3]}}
    nodes = [helper.make_node(op, a.split(), [y], name=y, **extra.get(op, {})) for op, a, y in rows]
    ends = [
        helper.make_tensor_value_info("x", T.FLOAT, (1, 2, 16)),
        helper.make_tensor_value_info("y", T.FLOAT, (1, 4, 1, 14)),
    ]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("level", ["BASIC", "EXTENDED"])
def test_a_file_that_the_optimiser_wrote_gives_what_the_plain_one_gives(tmp_path, level):
    """At level extended it holds a fused GELU and FusedConv."""
    plain, path = block(12), tmp_path / "optimised.onnx"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(plain.SerializeToString(), options, providers=["CPUExecutionProvider"])
    written = {n.op_type for n in onnx.load(path).graph.node}
    assert level == "BASIC" or ("FusedConv" in written and written & {"Gelu", "BiasGelu"})
    feeds = {"x": f(1, 2, 16)}
    before, after = (rt_engine.load(m).run(feeds)[0] for m in (plain, path))
    theirs = session(path, optimised=False).run(None, feeds)[0]
    np.testing.assert_allclose(after, theirs, atol=2e-5)
    np.testing.assert_allclose(after, before, atol=2e-5)


def network(kind):
    """A small network of two products, or of one LSTM, to be quantised."""
    if kind == "lstm":
        constants = {"w": f(1, 32, 6), "r": f(1, 32, 8), "b": f(1, 64)}
        nodes = [helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=8)]
        shapes = (5, 1, 6), (5, 1, 1, 8)
    else:
        constants = {"w": f(6, 16), "b": f(16), "v": f(16, 6)}
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["m"]),
            helper.make_node("Add", ["m", "b"], ["a"]),
            helper.make_node("Softmax", ["a"], ["s"], axis=-1),
            helper.make_node("Sigmoid", ["s"], ["t"]),
            helper.make_node("Mul", ["s", "t"], ["u"]),
            helper.make_node("MatMul", ["u", "v"], ["y"]),
        ]
        shapes = (5, 6), (5, 6)
    ends = [helper.make_tensor_value_info(n, T.FLOAT, s) for n, s in zip("xy", shapes, strict=True)]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(v, n) for n, v in constants.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), shapes[0]


class Samples(CalibrationDataReader):
    def __init__(self, shape):
        self.left = iter([{"x": f(*shape)} for _ in range(4)])

    def get_next(self):
        return next(self.left, None)


@pytest.mark.parametrize("kind", ["lstm", "products"])
def test_a_file_that_the_dynamic_quantiser_wrote(tmp_path, kind):
    model, shape = network(kind)
    onnx.save(model, tmp_path / "a.onnx")
    quantize_dynamic(tmp_path / "a.onnx", tmp_path / "b.onnx", reduce_range=True)
    feeds = {"x": f(*shape)}
    theirs = session(tmp_path / "b.onnx", optimised=False).run(None, feeds)[0]
    np.testing.assert_allclose(rt_engine.load(tmp_path / "b.onnx").run(feeds)[0], theirs, atol=5e-3)


def test_a_file_that_the_static_quantiser_wrote_in_operators(tmp_path):
    """QLinearMatMul, QLinearSoftmax, QLinearSigmoid, QLinearMul: at most a step or two of the output away."""
    model, shape = network("products")
    onnx.save(model, tmp_path / "a.onnx")
    quantize_static(
        tmp_path / "a.onnx", tmp_path / "b.onnx", Samples(shape), QuantFormat.QOperator, weight_type=QuantType.QInt8,
        reduce_range=True,
    )  # fmt: skip
    written = onnx.load(tmp_path / "b.onnx")
    assert {n.op_type for n in written.graph.node} >= {"QLinearSoftmax", "QLinearSigmoid", "QLinearMul"}
    last = [n for n in written.graph.node if n.op_type == "DequantizeLinear"][-1].input[1]
    step = next(numpy_helper.to_array(t).item() for t in written.graph.initializer if t.name == last)
    feeds = {"x": f(*shape)}
    theirs = session(tmp_path / "b.onnx", optimised=False).run(None, feeds)[0]
    assert np.abs(rt_engine.load(tmp_path / "b.onnx").run(feeds)[0] - theirs).max() <= 2.01 * step


@pytest.mark.parametrize("op_type", ["LayerNormalization", "SimplifiedLayerNormalization"])
def test_norms_without_a_domain_are_onnx_runtimes(op_type):
    """Its optimiser writes them into files of any opset; the caller's model stays as it was."""
    inputs = ["x", "g", "b"] if op_type == "LayerNormalization" else ["x", "g"]
    node = helper.make_node(op_type, inputs, ["y"], axis=-1, epsilon=1e-5)
    ends = [helper.make_tensor_value_info(n, T.FLOAT, (2, 3, 8)) for n in "xy"]
    constants = [numpy_helper.from_array(f(8), n) for n in inputs[1:]]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    raw, feeds = model.SerializeToString(), {"x": f(2, 3, 8)}
    ours = rt_engine.load(model).run(feeds)[0]
    np.testing.assert_allclose(ours, session(model, optimised=False).run(None, feeds)[0], atol=2e-5)
    assert model.SerializeToString() == raw
