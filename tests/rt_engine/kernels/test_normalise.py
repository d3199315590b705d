"""Softmax, log_softmax and layer norm against NumPy in double precision, and bit for bit over lane widths."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rt_engine.kernels.interface.dtypes import DType
from tests.rt_engine.kernels.calling import Call, call, libraries, same_bits

Array = NDArray[Any]

LIBRARIES = libraries("test-normalise", "rt_engine.kernels.normalise")
DTYPES = {"f32": np.float32, "f64": np.float64}
SHAPES = [
    (0, 4),
    (3, 0),
    (1, 1),
    (4, 2),
    (3, 7),
    (2, 8),
    (3, 9),
    (2, 15),
    (2, 16),
    (3, 17),
    (2, 31),
    (2, 64),
    (2, 65),
    (3, 100),
]
SHAPES += [(1, 1000), (11, 7), (17, 64), (9, 300), (43, 20), (33, 16)]
EPSILON = 1e-5


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def log_softmax(x: Array) -> Array:
    d = x - x.max(1, keepdims=True)
    return d - np.log(np.exp(d).sum(1, keepdims=True))


SOFTMAXES: dict[str, Callable[[Array], Array]] = {"softmax": softmax, "log_softmax": log_softmax}


def statistics(x: Array) -> tuple[Array, Array]:
    mean = x.mean(1, keepdims=True)
    return mean, 1 / np.sqrt(((x - mean) ** 2).mean(1, keepdims=True) + EPSILON)


def layer_norm(x: Array, scale: Array, bias: Array) -> Array:
    mean, inverse = statistics(x)
    return (x - mean) * inverse * scale + bias


def numbers(shape: tuple[int, ...], kind: str, seed: int = 5) -> Array:
    return (np.random.default_rng(seed).standard_normal(shape) * 3).astype(DTYPES[kind])


def normalised(library: Any, kind: str, x: Array, statistics_type: Any = np.float32) -> list[Array]:
    """[out, mean, inverse deviation] of the kernel."""
    scale, bias = numbers(x.shape[1:], kind, 6), numbers(x.shape[1:], kind, 7)
    extra = np.zeros((2, len(x)), statistics_type)
    code = DType.FLOAT if statistics_type is np.float32 else DType.DOUBLE
    operands = [x, scale, bias, np.zeros_like(x), extra[0], extra[1]]
    return call(library, f"layer_norm_{kind}", operands, [*x.shape, code], [EPSILON], weights=[1, 2])[3:]


def test_every_kernel_is_known_here() -> None:
    """A kernel without a twin would not be tested, and one without a name could not be called."""
    names = {name.removeprefix("k_").rsplit("_", 1)[0] for name in LIBRARIES[-1].exports}
    assert names == {*SOFTMAXES, "layer_norm"}


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", SOFTMAXES)
def test_softmax_equals_numpy(name: str, kind: str) -> None:
    """Every shape is within a few roundings of NumPy, on every lane width with the same bits, and in place too."""
    for shape in SHAPES:
        x = numbers(shape, kind)
        results = [call(library, f"{name}_{kind}", [x, np.zeros_like(x)], shape)[1] for library in LIBRARIES]
        assert all(same_bits(r, results[0]) for r in results), shape
        if x.size:
            np.testing.assert_allclose(
                results[0], SOFTMAXES[name](x.astype(np.longdouble)), rtol=20 * np.finfo(x.dtype).eps
            )
        one = Call([x], shape)
        one.record.view(np.int64, 16, 2)[:] = 64  # in and out are the same operand
        assert one.run(LIBRARIES[-1], f"{name}_{kind}") == 0
        assert same_bits(one.views[0], results[0]), shape


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", SOFTMAXES)
@pytest.mark.parametrize("n", [3, 16, 40])
def test_softmax_not_finite(name: str, kind: str, n: int) -> None:
    """NaN or +inf makes the row NaN, a row of -inf alone too; -inf among others is probability 0. As PyTorch."""
    for value, nan_row in ((np.nan, True), (np.inf, True), (-np.inf, False)):
        x = numbers((2, n), kind)
        x[0, n - 1] = value
        with np.errstate(all="ignore"):
            expected = SOFTMAXES[name](x.astype(np.float64))
        got = call(LIBRARIES[-1], f"{name}_{kind}", [x, np.zeros_like(x)], x.shape)[1]
        assert np.isnan(got[0]).all() == nan_row
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    x = np.full((1, n), -np.inf, DTYPES[kind])
    assert np.isnan(call(LIBRARIES[-1], f"{name}_{kind}", [x, np.zeros_like(x)], x.shape)[1]).all()


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("offset", [1e4, -1e4])
def test_softmax_does_not_overflow(kind: str, offset: float) -> None:
    """Only differences count: values that exp cannot hold are fine."""
    x = numbers((2, 20), kind) + np.array(offset, DTYPES[kind])
    expected = softmax(x.astype(np.float64))
    np.testing.assert_allclose(
        call(LIBRARIES[-1], f"softmax_{kind}", [x, np.zeros_like(x)], x.shape)[1], expected, rtol=1e-5
    )


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("statistics_type", [np.float32, np.float64])
def test_layer_norm(kind: str, statistics_type: Any) -> None:
    """Output and statistics are within rounding of NumPy, with the same bits on every lane width."""
    for shape in SHAPES:
        if not shape[1]:
            continue
        x = numbers(shape, kind)
        results = [normalised(library, kind, x, statistics_type) for library in LIBRARIES]
        assert all(same_bits(a, b) for r in results for a, b in zip(r, results[0], strict=True)), shape
        out, mean, inverse = results[0]
        wide = x.astype(np.longdouble)
        tolerance = 40 * np.finfo(x.dtype).eps
        scale, bias = numbers(shape[1:], kind, 6), numbers(shape[1:], kind, 7)
        np.testing.assert_allclose(out, layer_norm(wide, scale, bias), rtol=tolerance, atol=100 * tolerance)
        # the deviation of one value is zero: its inverse is 1 / sqrt(epsilon), whatever the statistics' type
        expected = statistics(wide)
        tolerance = 40 * max(np.finfo(x.dtype).eps, np.finfo(statistics_type).eps)
        np.testing.assert_allclose(mean, expected[0][:, 0], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(inverse, expected[1][:, 0], rtol=tolerance)


def test_layer_norm_of_a_large_mean() -> None:
    """Two passes: the variance survives a mean a thousand times larger than the deviation."""
    x = numbers((2, 1000), "f32") + np.float32(3000)
    wide = x.astype(np.float64)
    _, mean, inverse = normalised(LIBRARIES[-1], "f32", x)
    np.testing.assert_allclose(mean, wide.mean(1), rtol=1e-6)
    np.testing.assert_allclose(inverse, statistics(wide)[1][:, 0], rtol=1e-5)


def test_layer_norm_without_statistics() -> None:
    """Operands that are absent are not written, and the output is the same."""
    x = numbers((3, 17), "f32")
    scale, bias = numbers((17,), "f32", 6), numbers((17,), "f32", 7)
    operands = [x, scale, bias, np.zeros_like(x), None, None]
    out = call(LIBRARIES[-1], "layer_norm_f32", operands, [3, 17, DType.FLOAT], [EPSILON])[3]
    assert same_bits(out, normalised(LIBRARIES[-1], "f32", x)[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_layer_norm_not_finite(value: float) -> None:
    """One value that is not finite makes its row NaN, and no other."""
    x = numbers((3, 20), "f32")
    x[1, 7] = value
    out = normalised(LIBRARIES[-1], "f32", x)[0]
    assert np.isnan(out).all(axis=1).tolist() == [False, True, False]
