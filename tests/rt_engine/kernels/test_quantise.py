"""QuantizeLinear's kernel against NumPy's true division; conversions by tables; the same on every lane width."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

import rt_engine
from tests.rt_engine.kernels.calling import call, libraries

LIBRARIES = libraries("test-quantise", "rt_engine.kernels.quantise", "rt_engine.kernels.encode")
IDS = [f"{lib.target.lanes} lanes" for lib in LIBRARIES]


def expected(x, scale, zero, low, high):
    with np.errstate(all="ignore"):
        value = np.rint(x / scale).astype(np.float64)
    return np.clip(np.where(np.isnan(value), -np.inf, value) + zero, low, high)


@pytest.mark.parametrize("library", LIBRARIES, ids=IDS)
@pytest.mark.parametrize(("rows", "n"), [(1, 1), (1, 16), (3, 17), (2, 100)])
@pytest.mark.parametrize("per_column", [0, 1])
def test_quotients_are_true(library, rows, n, per_column):
    """Ties, neighbours of ties, infinities, NaN, numbers far outside: as a correctly rounded division gives them."""
    rng = np.random.default_rng(n)
    count = n if per_column else 1
    scale = rng.uniform(1e-3, 2.0, (rows, count)).astype(np.float32)
    zero = rng.integers(0, 256, (rows, count)).astype(np.int32)
    ties = (rng.integers(-300, 300, (rows, n)) + 0.5).astype(np.float32) * scale
    x = np.nextafter(ties, rng.choice([-np.inf, np.inf], ties.shape).astype(np.float32))
    x = np.where(rng.random((rows, n)) < 0.3, ties, x).astype(np.float32)
    special = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-42, 0.0], np.float32)
    x.ravel()[: min(7, n)] = special[: min(7, n)]
    for dtype in (np.uint8, np.uint16):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        sizes = (rows, n, count, per_column, np.dtype(dtype).itemsize)
        got = call(library, "quantise", [x, scale, zero, np.zeros((rows, n), dtype)], sizes, (low, high))[3]
        assert (got == expected(x, scale, zero, low, high)).all()


@pytest.mark.parametrize("library", LIBRARIES, ids=IDS)
def test_division_by_product_is_exact(library):
    """A million quotients next to the middle between two integers, with scales of every mantissa."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        scale = np.float32(rng.uniform(1e-4, 1.0)).reshape(1)
        n = 50_000
        x = ((rng.integers(-130, 130, n) + 0.5) * scale[0]).astype(np.float32)
        x = (x.view(np.int32) + rng.integers(-2, 3, n).astype(np.int32)).view(np.float32)
        operands = [x, scale, np.zeros(1, np.int32), np.zeros(n, np.int8)]
        got = call(library, "quantise", operands, (1, n, 0, 0, 1), (-128, 127))[3]
        assert (got == expected(x, scale, 0, -128, 127)).all()


@pytest.mark.parametrize("scale", [8e37, 9e37, 3e38, 3.4e38, -3e38, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_scales_without_a_reciprocal(scale, dtype):
    """1 / scale is denormal, zero in a run, and x / scale is not: in a whole block, in 16, and in what is left."""
    x = np.resize(np.array([1.0, 3e38, -3e38, 1.6e38, np.inf, -np.inf, np.nan, 0.0], np.float32), 64 + 16 + 7)
    values = {"s": np.float32(scale), "z": dtype(3)}
    ends = [helper.make_tensor_value_info("x", 1, x.shape), helper.make_tensor_value_info("y", 0, x.shape)]
    ends[1].type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])], "g", *([end] for end in ends), constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (got,) = rt_engine.load(model).run({"x": x})
    limits = np.iinfo(dtype)
    assert (got == expected(x, np.float32(scale), 3, limits.min, limits.max)).all()


@pytest.mark.parametrize("library", LIBRARIES, ids=IDS)
def test_tables(library):
    """lookup takes from a table of 256; encode finds the interval of a float, NaN and infinities included."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, 77).astype(np.uint8)
    for dtype, name in ((np.uint8, "lookup_1"), (np.float32, "lookup_4")):
        table = rng.integers(0, 200, 256).astype(dtype)
        assert (call(library, name, [x, table, np.zeros(77, dtype)], (77,))[2] == table[x]).all()
    edges = np.sort(rng.integers(-(2**31), 2**31, 8)).astype(np.int32)
    values = rng.integers(0, 2**32, 500, dtype=np.uint32).view(np.float32)
    bits = values.view(np.int32).astype(np.int64)
    keys = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    codes = np.arange(9, dtype=np.uint8)
    got = call(library, "encode", [values, edges, codes, np.zeros(500, np.uint8)], (500, 3))[3]
    assert (got == np.searchsorted(edges, keys, side="right")).all()
