"""Integer convolutions by tiles: the bits of the sum itself, on every lane width, whatever the numbers; and where they are chosen."""

import numpy as np
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from rt_engine.compiler import compile_model
from rt_engine.kernels.interface.qwinograd import room_bytes
from rt_engine.ops.packing.quantised import bias_with_zero_point
from rt_engine.ops.qwinograd import MOST_SUM, is_tiled, packed, tables, transformed
from rt_engine.ops.window import Window
from tests.rt_engine.kernels.calling import call, libraries

LIBRARIES = libraries("test-qwinograd", "rt_engine.kernels.qwinograd")
CASES = [
    # images, size, channels, columns, dilation, padding, block
    (1, (8, 8), 64, 64, 1, 1, 4),
    (2, (9, 7), 32, 48, 1, 1, 5),
    (1, (5, 4), 32, 96, 1, 0, 12),
    (1, (17, 6), 16, 16, 2, 2, 7),
    (1, (20, 15), 16, 16, 1, 1, 17),
]


def window_of(size, dilation, padding):
    out = tuple(n + 2 * padding - 2 * dilation for n in size)
    return Window(size, (3, 3), (1, 1), (dilation, dilation), (padding, padding), out)


def summed(x, w, window, zero):
    """The twin: exact sums of x - zero, [images, *out, columns], padding being zero points."""
    d, p, (height, width) = window.dilations[0], window.begin[0], window.out
    wide = np.pad(x.astype(np.int64) - zero, [(0, 0), (p, p), (p, p), (0, 0)])
    taps = [(i, j) for i in range(3) for j in range(3)]
    return sum(wide[:, i * d : i * d + height, j * d : j * d + width] @ w[i, j].astype(np.int64) for i, j in taps)


def numbers(rng, kind, x_shape, w_shape):
    if kind == "any":
        return rng.integers(0, 256, x_shape), rng.integers(-128, 128, w_shape)
    if kind == "ends":
        return rng.choice([0, 255], x_shape), rng.choice([-128, 127], w_shape)
    return np.full(x_shape, 255), np.full(w_shape, -128)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda lib: f"{lib.target.lanes} lanes")
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kind", ["any", "ends", "largest"])
def test_tiles_have_the_bits_of_the_sum(library, case, kind):
    """Random numbers, those at both ends of their types, with biases at which sums wrap around, and the largest sum; nothing is
    written elsewhere."""
    images, size, channels, columns, dilation, padding, block = case
    rng, window = np.random.default_rng(sum(size) + columns), window_of(size, dilation, padding)
    x, w = numbers(rng, kind, (images, *size, channels), (3, 3, channels, columns))
    x, w, zero_x, zero = x.astype(np.uint8), w.astype(np.int8), int(rng.integers(0, 256)), 11
    bias = rng.integers(-(1 << 20), 1 << 20, columns).astype(np.int32)
    if kind == "ends":
        bias[::2] = rng.choice([-(1 << 31), (1 << 31) - 1], columns // 2)
    exact = (summed(x, w, window, zero_x) + bias).astype(np.int32)
    most = np.abs(exact.astype(np.int64)).max((0, 1, 2))
    scale = (rng.uniform(20, 60, columns) / np.maximum(most, 100)).astype(np.float32)
    row = np.concatenate([bias_with_zero_point(bias, w.reshape(-1, columns), zero_x), scale.view(np.int32)])
    patches, places = tables(window, channels, columns)
    out, room = np.zeros(exact.shape, np.uint8), np.zeros(room_bytes(block, channels, columns), np.uint8)
    table = np.concatenate([patches.ravel(), places.ravel()])
    got = call(
        library, "qwinograd", [x, packed(transformed(w)), row, out, table, room],
        (images * len(patches), channels, columns, block, zero_x, zero, 4 * patches.size, 0, x[0].size, out[0].size), (-11, 244),
    )[3]  # fmt: skip
    expected = np.clip(np.rint(exact.astype(np.float32) * scale), -11, 244) + zero
    assert (got == expected).all()


def layer(channels, columns, w, size=8, images=1, **attributes):
    """A QLinearConv."""
    given = {
        "sx": np.float32(0.02), "zx": np.uint8(120), "w": w, "sw": np.float32(0.01), "zw": np.int8(0),
        "sy": np.float32(0.05), "zy": np.uint8(99),
    }  # fmt: skip
    node = helper.make_node("QLinearConv", ["x", *given], ["y"], pads=[1, 1, 1, 1], **attributes)
    ends = ("x", [images, channels, size, size]), ("y", [images, columns, None, None])
    x, y = (helper.make_tensor_value_info(name, T.UINT8, shape) for name, shape in ends)
    constants = [numpy_helper.from_array(np.asarray(v), n) for n, v in given.items()]
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y], constants), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    return compile_model(model)


def weights(columns, channels, value=1):
    return np.full((columns, channels, 3, 3), value, np.int8)


def test_tiles_are_taken_where_they_pay_and_are_exact():
    """Not for vectors that are not filled, strides, tiles that are mostly padding, or sums that may be too large."""
    assert "qwinograd" in layer(16, 48, weights(48, 16)).kernels
    for other in (
        layer(8, 64, weights(64, 8)),
        layer(32, 40, weights(40, 32)),
        layer(32, 32, weights(32, 32), strides=[2, 2]),
        layer(32, 32, weights(32, 32), size=5),
    ):
        assert "qconv" in other.kernels
        assert "qwinograd" not in other.kernels


def test_images_share_one_table():
    """Fourteen take no other constants than one, but for the copies around, and one needs no field that came later."""
    one, many = (layer(32, 32, weights(32, 32), images=n) for n in (1, 14))
    assert 0 <= many.weight_nbytes - one.weight_nbytes < 256
    assert (one.later, set(many.later)) == ((), {"qwinograd.x_image", "qwinograd.out_image"})


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sum_decides(sign):
    """One more on one weight of a column, and it is no longer below the limit."""
    w = np.zeros((3, 3, 128, 32), np.int8)
    flat, most = w.reshape(-1, 32), (MOST_SUM - 1) // 255
    flat[: most // 127, 5], flat[most // 127, 5] = 127, most % 127
    window = window_of((8, 8), 1, 1)
    assert is_tiled(window, sign * w)
    flat[most // 127, 5] += 1
    assert not is_tiled(window, sign * w)
