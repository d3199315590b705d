"""Random graphs over many operators, run twice in one context, compared with ONNX Runtime.

Between the tensors of the arena the tests leave guard bytes: no kernel may write there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, helper, numpy_helper

import rt_engine
from tests.fuzz.guards import BYTE, fill, guarded

FLOATS = (np.float32, np.float64)
UNARY = ("Tanh", "Sigmoid", "Relu", "Abs", "Neg", "Identity")
UNARY_FLOAT32 = ("Erf", "Softplus", "Softsign", "HardSigmoid", "LeakyRelu", "Elu")
"""ONNX Runtime has these in float32 only."""
BINARY = ("Add", "Sub", "Mul", "Max", "Min", "Sum")


class Graph:
    """A graph that grows node by node; each value's shape and type are known."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.rng.integers(13, 22))
        self.dtype = self.pick(FLOATS)
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.values: dict[str, tuple[int, ...]] = {}
        self.nodes: list[Any] = []
        self.input(tuple(int(d) for d in self.rng.integers(1, (6, 7, 40)[-int(self.rng.integers(1, 4)) :])))

    def pick(self, items: Any) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def input(self, shape: tuple[int, ...]) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs[name] = self.values[name] = shape
        return name

    def array(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.rng.integers(-8, 9, shape) / 4, self.dtype)

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def operand(self, shape: tuple[int, ...]) -> str:
        """A value of this shape that is there already, a new input, or a constant."""
        found = [name for name, known in self.values.items() if known == shape]
        return self.pick([*found, self.constant(self.array(shape)), self.input(shape)])

    def add(self, operator: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        self.values[name] = tuple(int(d) for d in shape)
        return name

    def model(self) -> tuple[ModelProto, list[str]]:
        """The model; its outputs are what nobody reads, and some of the rest: inputs too."""
        read = {name for node in self.nodes for name in node.input}
        outputs = [name for name in self.values if name not in read or self.rng.random() < 0.2]
        onnx_type = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info(n, onnx_type, s) for n, s in self.inputs.items()],
            [helper.make_tensor_value_info(n, onnx_type, self.values[n]) for n in outputs],
            [numpy_helper.from_array(v, n) for n, v in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8), outputs


def unary(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    g.add(g.pick(UNARY + UNARY_FLOAT32 if g.dtype is np.float32 else UNARY), [x], shape)


def binary(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    other = tuple(1 if g.rng.random() < 0.4 else d for d in shape)[int(g.rng.integers(0, len(shape) + 1)) :]
    operands = [x, g.operand(g.pick([other, shape]))]
    g.add(g.pick(BINARY), operands if g.rng.random() < 0.5 else operands[::-1], shape)


def residual(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    y = g.add("Tanh", [x], shape)
    g.add("Mul", [g.add("Add", [x, y], shape), y], shape)


def silu(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    g.add("Mul", [x, g.add("Sigmoid", [x], shape)], shape)


def product(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    """MatMul with a matrix or a stack of them, then perhaps a bias, a norm or a limit: what is fused."""
    if not shape:
        return
    columns = g.pick([1, 2, 5, 16, 17, 40])
    stack = shape[:-2] if len(shape) > 2 and g.rng.random() < 0.5 else ()
    out = (*shape[:-1], columns)
    y = g.add("MatMul", [x, g.operand((*stack, shape[-1], columns))], out)
    if g.rng.random() < 0.5:
        y = g.add("Add", [y, g.operand(g.pick([(columns,), (1,), out]))], out)
    if g.rng.random() < 0.5:
        low, high = g.constant(g.dtype(g.pick([-1, 3]))), g.constant(g.dtype(2))
        g.add(*g.pick([("Relu", [y]), ("Clip", [y, low, high])]), out)


def normalise(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    if shape:
        g.add(g.pick(["Softmax", "LogSoftmax"]), [x], shape, axis=int(g.rng.integers(-len(shape), len(shape))))


def reduce(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    axis, keep = int(g.rng.integers(0, len(shape) or 1)), int(g.rng.integers(2))
    if shape:
        out = (*shape[:axis], *[1] * keep, *shape[axis + 1 :])
        g.add("ReduceSum", [x, g.constant(np.array([axis - len(shape)]))], out, keepdims=keep)


def transpose(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    perm = [int(p) for p in g.rng.permutation(len(shape))]
    if shape:
        g.add("Transpose", [x], tuple(shape[p] for p in perm), perm=perm)


def reshape(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    out = g.pick([(-1,), (*shape, 1), (1, *shape)])
    known = (int(np.prod(shape)),) if out == (-1,) else out
    g.add("Reshape", [x, g.constant(np.array(out, np.int64))], known)


def concat(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    if shape:
        axis = int(g.rng.integers(len(shape)))
        g.add("Concat", [x, g.operand(shape), x], (*shape[:axis], 3 * shape[axis], *shape[axis + 1 :]), axis=axis)


def slice_(g: Graph, x: str, shape: tuple[int, ...]) -> None:
    if shape:
        axis, step = int(g.rng.integers(len(shape))), g.pick([-3, -1, 1, 2])
        limits = (-1, -(2**63)) if step < 0 else (0, 2**63 - 1)
        constants = [g.constant(np.array([v], np.int64)) for v in (*limits, axis, step)]
        g.add("Slice", [x, *constants], (*shape[:axis], -(-shape[axis] // abs(step)), *shape[axis + 1 :]))


STEPS: tuple[Callable[[Graph, str, tuple[int, ...]], None], ...] = (
    unary,
    binary,
    residual,
    silu,
    product,
    normalise,
    reduce,
    transpose,
    reshape,
    concat,
    slice_,
)


def random_graph(seed: int) -> Graph:
    g = Graph(seed)
    for _ in range(int(g.rng.integers(2, 12))):
        name = g.pick([n for n, shape in g.values.items() if np.prod(shape) < 5000 and len(shape) < 6])
        g.pick(STEPS)(g, name, g.values[name])
    return g


@pytest.fixture
def spans():
    """Leaves guard bytes behind every tensor of an arena; gives the (start, stop) of the last plan's tensors."""
    with guarded() as found:
        yield found


def compare(model: ModelProto, outputs: list[str], g: Graph, spans: list[tuple[int, int]] | None) -> None:
    """Two runs with other inputs in one context give ONNX Runtime's results, and leave inputs and guards alone."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    loaded = rt_engine.load(model)
    context = loaded.context()
    assert [o.name for o in loaded.outputs] == outputs
    arena = context._arena.view(np.uint8, 0, loaded.program.arena_nbytes)
    guards = fill(arena, spans or [(64, arena.size)])
    for _ in range(2):
        feeds = {name: g.array(shape) for name, shape in g.inputs.items()}
        for name, value in feeds.items():
            context.inputs[name][...] = value
        context.run()
        for name, value in feeds.items():
            assert np.array_equal(context.inputs[name], value)
        for name, expected in zip(outputs, session.run(outputs, feeds), strict=True):
            scale = 1 + np.abs(expected).max(initial=0)
            np.testing.assert_allclose(context.outputs[name], expected, rtol=0, atol=1e-4 * scale)
        assert np.all(arena[guards] == BYTE)


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_random_graphs_agree_with_onnx_runtime(first):
    """Every output of 50 random graphs is ONNX Runtime's, in two runs of one context."""
    for seed in range(first, first + 50):
        g = random_graph(seed)
        model, outputs = g.model()
        compare(model, outputs, g, None)


@pytest.mark.parametrize("first", range(300, 500, 50))
def test_no_kernel_writes_outside_of_its_tensors(first, spans):
    """With guard bytes behind every tensor: the same results, and the guards stay as they are."""
    for seed in range(first, first + 50):
        g = random_graph(seed)
        model, outputs = g.model()
        compare(model, outputs, g, spans)


def test_a_batch_of_one_row_products_stays_inside(spans):
    """[12 x (1, 3)] @ [12 x (3, 1)]: the last product must not be stored as a whole vector."""
    g = Graph(0)
    g.inputs, g.values, g.nodes = {}, {}, []
    a, b = g.input((12, 1, 3)), g.input((12, 3, 1))
    g.add("MatMul", [a, b], (12, 1, 1))
    model, outputs = g.model()
    compare(model, outputs, g, spans)
