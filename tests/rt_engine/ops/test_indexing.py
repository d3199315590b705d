"""Indices that are computed at run time, orders, and cumulated sums, against NumPy."""

import numpy as np
import pytest
from onnx import TensorProto, helper, shape_inference

import rt_engine
from rt_engine.errors import EngineError, UnsupportedModelError

TYPES = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE, np.int64: TensorProto.INT64}
TYPES |= {np.int32: TensorProto.INT32, np.uint8: TensorProto.UINT8, np.uint64: TensorProto.UINT64}


def load(op_type, inputs, outputs=1, opset=24, constants=None, **attributes):
    """A model of one node; `inputs` are arrays whose types and shapes count."""
    values = [helper.make_tensor_value_info(f"x{i}", TYPES[x.dtype.type], list(x.shape)) for i, x in enumerate(inputs)]
    names = [v.name for v in values] + list(constants or {})
    node = helper.make_node(op_type, names, [f"y{i}" for i in range(outputs)], **attributes)
    weights = [
        helper.make_tensor(name, TYPES[x.dtype.type], x.shape, x.ravel().tolist())
        for name, x in (constants or {}).items()
    ]
    results = [helper.make_empty_tensor_value_info(f"y{i}") for i in range(outputs)]
    if op_type == "Einsum":  # ONNX's inference does not know all of them
        results = [helper.make_tensor_value_info("y0", TYPES[inputs[0].dtype.type], None)]
    graph = helper.make_graph([node], "g", values, results, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return rt_engine.load(shape_inference.infer_shapes(model))


def run(model, *inputs):
    """All outputs."""
    return model.run({f"x{i}": x for i, x in enumerate(inputs)})


DATA = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


@pytest.mark.parametrize("wrong", [5, -6, 2**40, -(2**62)])
@pytest.mark.parametrize("op_type", ["GatherElements", "ScatterElements", "GatherND", "ScatterND"])
def test_an_index_out_of_range_is_a_status(op_type, wrong):
    """Never an access; a run with indices in range works again."""
    index = np.zeros((3, 4, 2), np.int64) if op_type.endswith("Elements") else np.zeros((2, 3), np.int64)
    extra = {"GatherElements": (), "ScatterElements": (np.ones((3, 4, 2), np.float32),), "GatherND": ()}
    updates = extra.get(op_type, (np.ones(2, np.float32),))
    attributes = {"axis": 2} if op_type.endswith("Elements") else {}
    model = load(op_type, [DATA, index, *updates], **attributes)
    index[-1, ..., -1] = wrong
    with pytest.raises(EngineError, match="INDEX_OUT_OF_RANGE"):
        run(model, DATA, index, *updates)
    index[-1, ..., -1] = -5
    assert np.isfinite(run(model, DATA, index, *updates)[0]).all()


def test_gather_and_scatter_agree_with_numpy():
    """Negative indices count from the end, at run time as in constants."""
    rng = np.random.default_rng(1)
    index = rng.integers(-5, 5, (3, 4, 7))
    taken = np.take_along_axis(DATA, np.where(index < 0, index + 5, index), 2)
    assert np.array_equal(run(load("GatherElements", [DATA, index], axis=2), DATA, index)[0], taken)
    assert np.array_equal(run(load("GatherElements", [DATA], constants={"i": index}, axis=-1), DATA)[0], taken)
    expected = DATA.copy()
    for i, j, k in np.ndindex(index.shape):
        expected[i, j, index[i, j, k]] += 1.0
    ones = np.ones(index.shape, np.float32)
    model = load("ScatterElements", [DATA, index, ones], axis=2, reduction="add")
    assert np.array_equal(run(model, DATA, index, ones)[0], expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint8, np.uint64])
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "min", "max"])
def test_scatter_of_slices(dtype, reduction):
    """Every reduction and size of element, unsigned 64-bit numbers beyond 2^63 included."""
    top = 2**63 + 5 if dtype == np.uint64 else 3
    data = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype)
    updates = np.array([[2, top, 2], [5, 1, 5]], dtype)
    index = np.array([[2], [-3]], np.int64)
    expected = data.copy()
    functions = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
    for row, update in zip((2, 0), updates, strict=True):
        expected[row] = update if reduction == "none" else functions[reduction](expected[row], update)
    got = run(load("ScatterND", [data, index, updates], reduction=reduction), data, index, updates)[0]
    assert got.dtype == expected.dtype and np.array_equal(got, expected)


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize(("axis", "k"), [(0, 3), (1, 1), (1, 0), (2, 5), (-1, 2)])
def test_top_k_prefers_the_lower_index(axis, k, largest):
    """Equal values, and -0 next to 0, stand in the order of their indices."""
    rng = np.random.default_rng(axis + 1)
    x = rng.integers(-2, 3, (3, 4, 5)).astype(np.float32) * np.float32(1.0)
    x[x == 0] = rng.choice([-0.0, 0.0], (x == 0).sum())
    order = np.argsort(-x if largest else x, axis=axis, kind="stable").take(range(k), axis=axis)
    model = load("TopK", [x], 2, constants={"k": np.array([k])}, axis=axis, largest=largest)
    values, indices = run(model, x)
    assert np.array_equal(indices, order)
    assert np.array_equal(values, np.take_along_axis(x, order, axis))


def test_top_k_of_what_is_no_number():
    """NaN is larger than inf, whatever its sign."""
    x = np.array([1.0, np.nan, np.inf, -np.nan, -np.inf], np.float32)
    for largest, expected in ((1, [1, 3, 2, 0, 4]), (0, [4, 0, 2, 1, 3])):
        model = load("TopK", [x], 2, constants={"k": np.array([5])}, largest=largest)
        assert run(model, x)[1].tolist() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint64])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_cum_sum(dtype, exclusive, reverse):
    """Along a middle axis."""
    x = np.random.default_rng(0).integers(0, 9, (2, 7, 3)).astype(dtype)
    turned = x[:, ::-1] if reverse else x
    expected = np.cumsum(turned, axis=1, dtype=dtype) - (turned if exclusive else 0)
    expected = expected[:, ::-1] if reverse else expected
    model = load("CumSum", [x], constants={"axis": np.array(1)}, exclusive=exclusive, reverse=reverse)
    assert np.array_equal(run(model, x)[0], expected.astype(dtype))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk", [(3, 4), (4, 5)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("bhqd,bhkd->bhqk", [(2, 3, 5, 4), (2, 3, 7, 4)]),
        ("i,i->", [(17,), (17,)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ii->i", [(4, 4)]),
        ("iij->j", [(4, 4, 3)]),
        ("ij->ji", [(4, 3)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (1, 4, 5)]),
        ("a...b,b...->a...", [(3, 2, 5), (5, 1)]),
        ("ab,bc,cd->da", [(2, 3), (3, 4), (4, 5)]),
        ("ij,ik,il->jkl", [(5, 2), (5, 3), (5, 4)]),
        ("ab,cd->", [(2, 3), (4, 5)]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_einsum(equation, shapes, dtype):
    """As NumPy."""
    rng = np.random.default_rng(len(equation))
    operands = [rng.integers(-4, 5, shape).astype(dtype) for shape in shapes]
    got = run(load("Einsum", operands, equation=equation), *operands)[0]
    assert np.allclose(got, np.einsum(equation, *operands), rtol=1e-6)


@pytest.mark.parametrize("equation", ["ij->k", "ij->ii", "i,j", "ijk->i", "i1->i", "...->->"])
def test_an_equation_that_does_not_fit_is_refused(equation):
    """With a reason, at load."""
    with pytest.raises(EngineError):
        load("Einsum", [np.ones((2, 3), np.float32)], equation=equation)


def test_shapes_that_depend_on_values_without_a_bound_are_refused():
    """A tensor as long as an input says, with what helps."""
    with pytest.raises(UnsupportedModelError, match=r"has no bound; load it with bounds="):
        load("ConstantOfShape", [np.array([5])])


@pytest.mark.parametrize(("end", "step", "copied"), [(4, 1, False), (2**40, 1, False), (3, 1, True), (2**40, 2, True)])
def test_a_slice_of_everything_moves_nothing(end, step, copied):
    """Exporters of recurrent cells take all of their states; any other slice is a copy."""
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", [2, 4]), ("y", None))
    ]
    limits = {"start": 0, "end": end, "axis": 1, "step": step}
    constants = [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in limits.items()]
    nodes = [helper.make_node("Slice", ["x", *limits], ["s"]), helper.make_node("Neg", ["s"], ["y"])]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    model = rt_engine.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    assert np.array_equal(model.run({"x": x})[0], -x[:, 0:end:step])
    assert any("copy_strided_4" in node.kernels for node in model.report().nodes) == copied
