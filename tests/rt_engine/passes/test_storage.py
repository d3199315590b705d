"""float16, bfloat16 and narrower types as storage: what is computed, what is kept, what is refused."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import rt_engine
from rt_engine.errors import InvalidModelError
from rt_engine.program.element_types import HALVES, INTEGER_LIMITS, NARROW


def model(nodes, inputs, outputs, constants=()):
    """A model; `inputs` and `outputs` are (name, dtype, shape)."""
    values = [
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(d)), s) for n, d, s in ends]
        for ends in (inputs, outputs)
    ]
    tensors = [numpy_helper.from_array(v, n) for n, v in constants]
    graph = helper.make_graph(nodes, "g", *values, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_every_result_is_rounded_once(half):
    """Each operator is computed in float32 and rounded; two operators are rounded twice."""
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((5, 33)).astype(half), rng.standard_normal((33, 20)).astype(half)
    b = rng.standard_normal(20).astype(half)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    proto = model(nodes, [("x", half, x.shape)], [("y", half, (5, 20))], [("w", w), ("b", b)])
    loaded = rt_engine.load(proto)
    (y,) = loaded.run({"x": x})
    product = (x.astype(np.float64) @ w.astype(np.float64)).astype(np.float32).astype(half)
    expected = np.maximum((product.astype(np.float32) + b.astype(np.float32)).astype(half), half.type(0))
    assert y.dtype == half
    close = y.astype(np.float32) == expected.astype(np.float32)
    assert close.mean() > 0.98  # a float32 sum may lie on the other side of a rounding edge
    np.testing.assert_allclose(y.astype(np.float32), expected.astype(np.float32), rtol=1e-2, atol=1e-2)
    assert "gemm_f32" in loaded.program.kernels
    assert not {"pack_f32"} & set(loaded.program.kernels)


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_moved_constants_stay_half(half):
    """A table that is only gathered from takes two bytes per element."""
    table = np.arange(4000).reshape(1000, 4).astype(half)
    nodes = [helper.make_node("Gather", ["t", "i"], ["y"])]
    proto = model(nodes, [("i", np.int64, (3,))], [("y", half, (3, 4))], [("t", table)])
    loaded = rt_engine.load(proto)
    (y,) = loaded.run({"i": np.array([7, 0, 999])})
    assert (y == table[[7, 0, 999]]).all()
    assert loaded.program.weight_nbytes < 4000 * 2 + 200


def test_a_detour_through_float32_goes():
    """float16 -> float32 -> float16 is nothing; float32 -> float16 -> float32 rounds and stays."""
    there = [
        helper.make_node("Cast", ["x"], ["a"], to=T.FLOAT),
        helper.make_node("Cast", ["a"], ["b"], to=T.FLOAT16),
        helper.make_node("Transpose", ["b"], ["y"]),
    ]
    loaded = rt_engine.load(model(there, [("x", np.float16, (2, 3))], [("y", np.float16, (3, 2))]))
    assert loaded.program.kernels == ("copy_strided_2",)
    back = [
        helper.make_node("Cast", ["x"], ["a"], to=T.FLOAT16),
        helper.make_node("Cast", ["a"], ["y"], to=T.FLOAT),
    ]
    x = np.array([1.0001, 70000, -3e-9], np.float32)
    (y,) = rt_engine.load(model(back, [("x", np.float32, (3,))], [("y", np.float32, (3,))])).run({"x": x})
    with np.errstate(over="ignore"):
        assert (y == x.astype(np.float16).astype(np.float32)).all()


def _cast(x, to):
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=helper.np_dtype_to_tensor_dtype(to))]
    proto = model(nodes, [("x", x.dtype, x.shape)], [("y", to, x.shape)])
    return rt_engine.load(proto).run({"x": x})[0]


@pytest.mark.parametrize("dtype", [d for d in NARROW if d not in INTEGER_LIMITS and "e8m0" not in d.name], ids=str)
def test_narrow_floats_round_like_ml_dtypes(dtype):
    """Random bit patterns, every value, every middle between two values and its neighbours."""
    rng = np.random.default_rng(3)
    values = np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
    values = np.unique(values[np.isfinite(values)])
    middles = (values[1:] + values[:-1]) / 2
    edges = np.concatenate([values, middles])
    x = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf), rng.standard_normal(3000)])
    x = np.clip(x, values[0], values[-1]).astype(np.float32)
    assert (_cast(x, dtype).view(np.uint8) == x.astype(dtype).view(np.uint8)).all()
    bits = np.arange(256, dtype=np.uint8).view(dtype)
    np.testing.assert_array_equal(_cast(bits, np.dtype(np.float32)), bits.astype(np.float32))


def test_four_bit_constants_are_read():
    """A packed int4 initializer has one element per byte once it is loaded."""
    w = np.array([-8, -1, 0, 7, 3], np.int8).astype(ml_dtypes.int4)
    nodes = [helper.make_node("Cast", ["w"], ["f"], to=T.FLOAT), helper.make_node("Add", ["f", "x"], ["y"])]
    proto = model(nodes, [("x", np.float32, (5,))], [("y", np.float32, (5,))], [("w", w)])
    (y,) = rt_engine.load(onnx.load_from_string(proto.SerializeToString())).run({"x": np.zeros(5, np.float32)})
    assert y.tolist() == [-8, -1, 0, 7, 3]


def test_arithmetic_on_narrow_types_is_refused():
    """What neither moves nor converts a narrow type refuses it."""
    dtype = np.dtype(ml_dtypes.float8_e4m3fn)
    proto = model([helper.make_node("Relu", ["x"], ["y"])], [("x", dtype, (3,))], [("y", dtype, (3,))])
    with pytest.raises(InvalidModelError, match="float8e4m3fn"):
        rt_engine.load(proto)
