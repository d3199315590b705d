"""LSTM, GRU and RNN against a NumPy twin (float64), ONNX Runtime, and PyTorch's own exports."""

import numpy as np
import onnxruntime
import pytest
from onnx import helper, numpy_helper, parser

import rt_engine
from rt_engine.errors import RunError, UnsupportedModelError
from rt_engine.kernels.interface.cells import CELL_ACTIVATIONS
from tests.rt_engine.test_lanes import LIBRARIES

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FUNCTIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
WITH_ALPHA = ("Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu")
WITH_BETA = ("Affine", "ScaledTanh", "HardSigmoid")


def activation(name, alpha, beta):
    """An activation of the ONNX page, in NumPy."""
    return {
        "Tanh": np.tanh,
        "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "Relu": lambda x: np.maximum(x, 0),
        "Affine": lambda x: alpha * x + beta,
        "LeakyRelu": lambda x: np.where(x < 0, alpha * x, x),
        "ThresholdedRelu": lambda x: np.where(x > alpha, x, 0),
        "ScaledTanh": lambda x: alpha * np.tanh(beta * x),
        "HardSigmoid": lambda x: np.clip(alpha * x + beta, 0, 1),
        "Elu": lambda x: np.where(x < 0, alpha * np.expm1(x), x),
        "Softsign": lambda x: x / (1 + abs(x)),
        "Softplus": lambda x: np.log1p(np.exp(x)),
    }[name]


def functions(kind, directions, attributes):
    """Per direction, f, g and h."""
    alphas, betas = list(attributes.get("activation_alpha", ())), list(attributes.get("activation_beta", ()))
    found = []
    for name in attributes.get("activations", FUNCTIONS[kind] * directions):
        alpha, beta = (float(np.float32(v)) for v in CELL_ACTIVATIONS[name])
        alpha = alphas.pop(0) if alphas and name in WITH_ALPHA else alpha
        beta = betas.pop(0) if betas and name in WITH_BETA else beta
        found.append(activation(name, alpha, beta))
    each = len(FUNCTIONS[kind])
    return [found[i : i + each] for i in range(0, len(found), each)]


def step(kind, x, h, c, w, r, b, p, acts, attributes):
    """One step of one row: the equations of the ONNX page."""
    limit = attributes.get("clip", np.inf)
    n, gates = len(h), GATES[kind]
    wb, rb = b[: gates * n], b[gates * n :]

    def f(index, value):
        return acts[index](np.clip(value, -limit, limit))

    pre = (w @ x + wb).reshape(gates, n)
    rec = (r @ h).reshape(gates, n)
    rb = rb.reshape(gates, n)
    if kind == "RNN":
        return f(0, (pre + rec + rb)[0]), c
    if kind == "GRU":
        z, reset = f(0, pre[0] + rec[0] + rb[0]), f(0, pre[1] + rec[1] + rb[1])
        if attributes.get("linear_before_reset"):
            new = f(1, pre[2] + reset * (rec[2] + rb[2]))
        else:
            new = f(1, pre[2] + r.reshape(gates, n, n)[2] @ (reset * h) + rb[2])
        return (1 - z) * new + z * h, c
    total = pre + rec + rb
    pi, po, pf = p.reshape(3, n)
    i = f(0, total[0] + pi * c)
    forget = 1 - i if attributes.get("input_forget") else f(0, total[2] + pf * c)
    c = forget * c + i * f(1, total[3])
    return f(0, total[1] + po * c) * acts[2](c), c


def twin(kind, x, w, r, b, lengths, h0, c0, p, attributes):
    """Y, Y_h, Y_c in layout 0."""
    steps, batch = x.shape[:2]
    directions, n = r.shape[0], r.shape[2]
    acts = functions(kind, directions, attributes)
    y = np.zeros((steps, directions, batch, n))
    there = np.array(lengths)[:, None] > 0
    y_h, y_c = np.where(there, h0, 0.0), np.where(there, c0, 0.0)
    for d in range(directions):
        reverse = attributes.get("direction") == "reverse" or d == 1
        for row in range(batch):
            times = range(lengths[row])
            for t in reversed(times) if reverse else times:
                y_h[d, row], y_c[d, row] = step(
                    kind, x[t, row], y_h[d, row], y_c[d, row], w[d], r[d], b[d], p[d], acts[d], attributes
                )
                y[t, d, row] = y_h[d, row]
    return [y, y_h, y_c]


class Case:
    """A random node with a model around it."""

    def __init__(
        self, kind, steps, batch, features, hidden, dtype=np.float32, seed=0, given="bhcpl", layout=0, **attrs
    ):
        rng = np.random.default_rng(seed)
        self.kind, self.attributes, self.layout = kind, attrs, layout
        directions = 2 if attrs.get("direction") == "bidirectional" else 1
        gates = GATES[kind]

        def make(*shape, scale=0.5):
            return (scale * rng.standard_normal(shape)).astype(dtype)

        self.x = make(steps, batch, features, scale=1.0)
        self.w = make(directions, gates * hidden, features)
        self.r = make(directions, gates * hidden, hidden, scale=0.7 / np.sqrt(hidden))
        self.b = make(directions, 2 * gates * hidden) * ("b" in given)
        self.h0 = make(directions, batch, hidden) * ("h" in given)
        self.c0 = make(directions, batch, hidden) * ("c" in given)
        self.p = make(directions, 3 * hidden) * ("p" in given)
        self.lengths = rng.integers(0, steps + 1, batch).astype(np.int32) if "l" in given else None
        self.given, self.dtype = given, dtype
        self.outputs = ["y", "y_h", "y_c"] if kind == "LSTM" else ["y", "y_h"]

    def swapped(self, array):
        return np.ascontiguousarray(array.swapaxes(0, 1)) if self.layout else array

    def feeds(self):
        feeds = {"x": self.swapped(self.x)}
        if "l" in self.given:
            feeds["lengths"] = self.lengths
        if "h" in self.given:
            feeds["h0"] = self.swapped(self.h0)
        if "c" in self.given and self.kind == "LSTM":
            feeds["c0"] = self.swapped(self.c0)
        return feeds

    def model(self, constant=True, opset=22):
        constants = {"w": self.w, "r": self.r}
        if "b" in self.given:
            constants["b"] = self.b
        if "p" in self.given and self.kind == "LSTM":
            constants["p"] = self.p
        feeds = self.feeds() | ({} if constant else constants)
        order = ["x", "w", "r", "b", "lengths", "h0", "c0", "p"]
        names = [n if n in feeds or n in constants else "" for n in order][: 8 if self.kind == "LSTM" else 6]
        while not names[-1]:
            names.pop()
        attributes = dict(self.attributes, hidden_size=self.r.shape[2])
        if self.layout:
            attributes["layout"] = 1
        node = helper.make_node(self.kind, names, self.outputs, **attributes)
        number = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        graph = helper.make_graph(
            [node],
            "g",
            [
                helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
                for n, v in feeds.items()
            ],
            [helper.make_tensor_value_info(n, number, list("abcd"[: 4 - (n != "y")])) for n in self.outputs],
            [numpy_helper.from_array(v, n) for n, v in constants.items()] if constant else [],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), feeds

    def expected(self):
        lengths = self.lengths if self.lengths is not None else np.full(self.x.shape[1], self.x.shape[0])
        found = twin(self.kind, self.x, self.w, self.r, self.b, lengths, self.h0, self.c0, self.p, self.attributes)
        if self.layout:
            found = [found[0].transpose(2, 0, 1, 3), *(v.swapaxes(0, 1) for v in found[1:])]
        return found[: len(self.outputs)]

    def check(self, constant=True):
        model, feeds = self.model(constant)
        close = {"rtol": 2e-5, "atol": 2e-6} if self.dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}
        results = rt_engine.load(model).run(feeds)
        for ours, expected in zip(results, self.expected(), strict=True):
            assert ours.dtype == self.dtype and ours.shape == expected.shape
            np.testing.assert_allclose(ours, expected, **close)
        return results


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given", ["", "b", "bhc", "bhcpl"])
def test_twin(kind, direction, dtype, given):
    """Every direction, type and set of inputs gives the twin's numbers, over odd sizes."""
    for number, (steps, batch, features, hidden) in enumerate(
        [(1, 1, 8, 64), (5, 3, 3, 17), (4, 2, 1, 16), (3, 1, 20, 5)]
    ):
        Case(kind, steps, batch, features, hidden, dtype, number, given, direction=direction).check()


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("layout", [0, 1])
def test_weights_computed_at_run_time(kind, layout):
    """W, R, B and P may be inputs; layout 1 has the batch first."""
    for hidden in (16, 21):
        for constant in (False, True):
            case = Case(kind, 3, 2, 5, hidden, given="bhcpl", layout=layout, direction="bidirectional")
            if kind == "GRU":
                case.attributes["linear_before_reset"] = hidden % 2
            case.check(constant)


@pytest.mark.parametrize("name", CELL_ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations(name, dtype):
    """Every activation, with alpha and beta, and with the defaults."""
    for kind, count in (("LSTM", 3), ("GRU", 2), ("RNN", 1)):
        attributes = {"activations": [name] * count, "clip": 1.5}  # attributes are float32: exact ones
        if name in WITH_ALPHA:
            attributes["activation_alpha"] = [0.25, 0.75, 0.375][:count]
        if name in WITH_BETA:
            attributes["activation_beta"] = [0.25, 0.625, 0.875][:count]
        Case(kind, 3, 1, 4, 9, dtype, **attributes).check()
        Case(kind, 3, 1, 4, 9, dtype, activations=[name] * count, clip=1.0).check()


@pytest.mark.parametrize("linear", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gru_reset(linear, dtype):
    """The reset gate before or after the linear map, with the fast kernel and the general one."""
    for clip in ({}, {"clip": 0.75}):
        Case("GRU", 6, 2, 7, 33, dtype, linear_before_reset=linear, direction="bidirectional", **clip).check()


def test_lstm_attributes():
    """Coupled gates and clipping."""
    Case("LSTM", 6, 2, 7, 33, input_forget=1).check()
    Case("LSTM", 6, 2, 7, 33, clip=0.375, input_forget=1).check()


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("hidden", [8, 64])
def test_onnxruntime(kind, hidden):
    """The numbers of ONNX Runtime."""
    extra = {"linear_before_reset": 1} if kind == "GRU" else {}
    case = Case(kind, 20, 2, 6, hidden, given="bhc", direction="bidirectional", **extra)
    model, feeds = case.model()
    peer = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    for ours, theirs in zip(case.check(), peer, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_lengths_as_onnxruntime(kind, direction):
    """A row of length 0 hands on 0, whatever it was given; clip limits the gates, not what LSTM makes of its cell."""
    for extra in ({}, {"clip": 0.7}, {"linear_before_reset": 1} if kind == "GRU" else {}):
        case = Case(kind, 4, 4, 3, 9, given="bhcl", direction=direction, **extra)
        case.lengths = np.array([0, 4, 1, 3], np.int32)
        model, feeds = case.model()
        peer = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
        for ours, theirs in zip(case.check(), peer, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("opset", [7, 14, 21, 25])
def test_opsets(opset):
    """The same node in old and new opsets."""
    case = Case("LSTM", 4, 1, 3, 12, given="bhc")
    model, feeds = case.model(opset=opset)
    np.testing.assert_allclose(rt_engine.load(model).run(feeds)[0], case.expected()[0], rtol=1e-4, atol=1e-5)


def test_a_length_out_of_range_is_a_status():
    """A sequence length beyond the steps, or negative, ends the run; nothing is written."""
    case = Case("GRU", 4, 2, 3, 5, given="l")
    model, feeds = case.model()
    for wrong in (5, -1):
        with pytest.raises(RunError, match="INDEX_OUT_OF_RANGE"):
            rt_engine.load(model).run(feeds | {"lengths": np.array([1, wrong], np.int32)})


def test_nan_and_infinity_travel():
    """A NaN in one step makes all later states NaN; an infinite input saturates the gates."""
    case = Case("LSTM", 6, 1, 3, 20, given="b")
    case.x[3] = np.nan
    model, feeds = case.model()
    y = rt_engine.load(model).run(feeds)[0]
    assert np.isfinite(y[:3]).all() and np.isnan(y[3:]).all()
    case.x[3] = 1e30
    with np.errstate(over="ignore"):
        case.check()


@pytest.mark.skipif(len(LIBRARIES) < 2, reason="this processor has one lane width only")
@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_lane_width(kind, dtype):
    """The same bits for 4, 8 and 16 lanes, of the fast kernels and the general ones."""
    for extra in ({}, {"clip": 0.9}, {"linear_before_reset": 1} if kind == "GRU" else {}):
        model, feeds = Case(kind, 7, 2, 5, 37, dtype, direction="bidirectional", **extra).model()
        results = {
            b"".join(y.tobytes() for y in rt_engine.load(model, library=k).run(feeds)) for k in LIBRARIES.values()
        }
        assert len(results) == 1


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"activations": ["Nothing", "Tanh", "Tanh"]}, "unknown"),
        ({"activations": ["Tanh"]}, "activations"),
        ({"direction": "sideways"}, "depends on data"),
    ],
)
def test_refusals(attributes, why):
    """What makes no sense is refused at load, with the reason."""
    model, _ = Case("LSTM", 2, 1, 3, 4, given="", **attributes).model()
    with pytest.raises((UnsupportedModelError, rt_engine.errors.InvalidModelError), match=why):
        rt_engine.load(model)


READERS = {
    "z = Gather <axis = 0> (y, minus_one)": lambda y: y[-1],
    "t = Transpose <perm = [0, 2, 1, 3]> (y) u = Reshape(t, flat) v = Transpose <perm = [1, 0, 2]> (u) "
    "z = Gather <axis = 1> (v, minus_one)": lambda y: y.transpose(0, 2, 1, 3).reshape(7, 2, -1)[-1],
    "z = Slice(y, two, four, zero)": lambda y: y[2:4],
    "t = Slice(y, zero, one, one) z = Slice(t, four, two, zero, back)": lambda y: y[4:2:-1, :1],
    "p = Slice(y, zero, one, zero) q = Slice(y, two, four, zero) z = Concat <axis = 0> (p, q)": lambda y: y[[0, 2, 3]],
    "z = Identity(y)": lambda y: y,
    "z = Neg(y)": lambda y: -y,
}


@pytest.mark.parametrize("text", READERS)
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_steps_that_nobody_reads_are_not_done(text, direction):
    """What is read of Y has the right values, whatever else is left out."""
    if "flat" in text and direction == "forward":
        pytest.skip("it reshapes two directions")
    case = Case("GRU", 7, 2, 3, 10, given="b", direction=direction, linear_before_reset=1)
    proto, feeds = case.model()
    read = parser.parse_graph(f"g (float x) => (float z) {{ {text} }}")
    proto.graph.node.extend(read.node)
    proto.graph.node[0].output[1] = ""
    del proto.graph.output[:]
    expected = READERS[text](case.expected()[0])
    proto.graph.output.append(helper.make_tensor_value_info("z", 1, expected.shape))
    numbers = {"two": [2], "four": [4], "zero": [0], "one": [1], "back": [-1], "flat": [7, 2, -1]}
    for name, value in ({n: np.array(v) for n, v in numbers.items()} | {"minus_one": np.array(-1)}).items():
        proto.graph.initializer.append(numpy_helper.from_array(value, name))
    loaded = rt_engine.load(proto)
    for _ in range(2):
        np.testing.assert_allclose(loaded.run(feeds)[0], expected, rtol=2e-5, atol=2e-6)
    if "Gather" in text and direction == "bidirectional":
        macs = sum(n.macs for n in loaded.program.nodes)
        whole = sum(n.macs for n in rt_engine.load(case.model()[0]).program.nodes)
        assert macs < whole
