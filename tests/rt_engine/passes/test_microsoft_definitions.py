"""Operators of ONNX Runtime against what they mean, computed in float64, where its own kernels give something else or are none."""

import numpy as np
import onnxruntime
import pytest
from onnx import helper

import rt_engine
from tests.rt_engine.passes.test_microsoft import model_of

F = np.float32


def result(op_type, inputs, fed, attributes, dtype, shape, opset=18):
    """Ours; what the output is is said by the file."""
    feeds = {name: inputs[name] for name in fed}
    model = model_of(op_type, inputs, feeds, 1, opset, attributes)
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y0", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
    )
    (ours,) = rt_engine.load(model).run(feeds)
    assert ours.dtype == dtype and ours.shape == shape
    return model, feeds, ours


def quantised(real, scale, zero):
    """QuantizeLinear."""
    info = np.iinfo(zero.dtype)
    return np.clip(np.rint(real / np.float64(scale)) + zero.astype(int), info.min, info.max)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize(("axes", "keep"), [([1], 1), ([-1], 0), ([2, 3], 1), (None, 1)])
def test_a_mean_of_bytes_with_zero_points_and_without(opset, dtype, axes, keep):
    rng = np.random.default_rng(7)
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max + 1, (2, 5, 4, 7)).astype(dtype)
    attributes = {"keepdims": keep} | ({} if axes is None else {"axes": axes})
    for zero, made in ((dtype(info.min + 140), dtype(3)), (None, None)):
        inputs = {"x": x, "s": F(0.037), "z": zero, "t": F(0.011), "u": made}
        real = (x.astype(int) - int(zero or 0)) * np.float64(F(0.037))
        want = quantised(
            real.mean(None if axes is None else tuple(axes), keepdims=bool(keep)), F(0.011), made or dtype(0)
        )
        ours = result("QLinearReduceMean", inputs, "x", attributes, dtype, want.shape, opset)[2]
        assert np.abs(ours - want).max() <= 1 and (ours != want).mean() < 0.03


@pytest.mark.parametrize("op_type", ["QLinearAdd", "QLinearMul"])
def test_a_result_without_a_zero_point_has_the_type_of_its_operands(op_type):
    rng = np.random.default_rng(7)
    a, b = (rng.integers(-128, 128, (3, 40)).astype(np.int8) for _ in range(2))
    inputs = {"a": a, "s": F(0.02), "z": None, "b": b, "S": F(0.04), "Z": None, "t": F(0.05), "u": None}
    left, right = a * np.float64(F(0.02)), b * np.float64(F(0.04))
    want = quantised(left + right if op_type == "QLinearAdd" else left * right, F(0.05), np.int8(0))
    assert np.abs(result(op_type, inputs, "ab", {}, np.int8, (3, 40))[2] - want).max() <= 1


@pytest.mark.parametrize(("scale", "multiple"), [(1 / 255, 254), (0.0037, 270), (1 / 256, 256)])
def test_a_softmax_is_divided_by_its_scale_and_not_by_a_whole_number(scale, multiple):
    """ONNX Runtime multiplies by floor(1 / scale), in integers: 254 for the scale 1 / 255 of float32."""
    rng = np.random.default_rng(7)
    x = rng.integers(0, 256, (30, 12)).astype(np.uint8)
    inputs = {"x": x, "s": F(0.02), "z": np.uint8(99), "t": F(scale), "u": np.uint8(0)}
    model, feeds, ours = result("QLinearSoftmax", inputs, "x", {"axis": -1, "opset": 13}, np.uint8, x.shape)
    power = np.exp((x.astype(int) - x.max(-1, keepdims=True)) * np.float64(F(0.02)))
    share = power / power.sum(-1, keepdims=True)
    assert (ours == quantised(share, F(scale), np.uint8(0))).all()
    theirs = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)[0]
    assert np.floor(F(1) / F(scale)) == multiple and (theirs == np.floor(share * multiple + 0.5)).all()


def of_its_own_scale(x):
    """DynamicQuantizeLinear: values, scale, zero point."""
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = F((high - low) / F(255)) or F(1)
    zero = np.clip(np.rint(-low / scale), 0, 255)
    return np.clip(np.rint(x / scale) + zero, 0, 255).astype(int), scale, int(zero)


def exact(values, weights):
    return values @ weights


def saturating(values, weights):
    """vpmaddubsw: the sum of two products is kept in 16 bits."""
    pairs = values[:, 0::2, None] * weights[None, 0::2] + values[:, 1::2, None] * weights[None, 1::2]
    return np.clip(pairs, -(1 << 15), (1 << 15) - 1).sum(1)


def lstm(x, weights, recurrent, scale, product):
    """h of every step, in float64; gates i, o, f, c."""

    def gates(of, by):
        values, own, zero = of_its_own_scale(of.astype(F))
        return (product(values, by) - zero * by.sum(0)) * (np.float64(own) * np.float64(scale))

    h = c = np.zeros((1, recurrent.shape[0]))
    given, steps = gates(x[:, 0], weights), []
    for row in given:
        i, o, f, g = np.split(row + gates(h, recurrent), 4, axis=1)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        steps.append(h)
    return np.stack(steps)[:, None]


def test_weights_of_eight_bits_do_not_saturate_in_an_lstm():
    """ONNX Runtime's kernels for AVX2 do: there its h is that of the saturating sums, elsewhere the exact one."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((6, 1, 4)).astype(F)
    w, r = (rng.choice([-127, -120, 120, 127], (n, 32)).astype(np.int8) for n in (4, 8))
    scale, zero = np.full(1, 0.004, F), np.zeros(1, np.int8)
    inputs = {"x": x, "w": w[None], "r": r[None], "b": None, "l": None, "h": None, "c": None, "p": None}
    inputs |= {"sw": scale, "zw": zero, "sr": scale.copy(), "zr": zero.copy()}
    model, feeds, ours = result("DynamicQuantizeLSTM", inputs, "x", {"hidden_size": 8}, F, (6, 1, 1, 8))
    right, other = (lstm(x, w.astype(int), r.astype(int), scale[0], p) for p in (exact, saturating))
    assert np.abs(ours - right).max() < 1e-5 < 1e-3 < np.abs(other - right).max()
    theirs = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)[0]
    assert min(np.abs(theirs - right).max(), np.abs(theirs - other).max()) < 1e-5
