"""DFT, STFT and windows against numpy.fft, over lengths of every kind."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

import rt_engine
from rt_engine.errors import InvalidModelError, UnsupportedModelError
from rt_engine.kernels.interface.fourier_plan import factors, is_smooth, next_smooth, split, turns
from tests.rt_engine.ops.spatial import one_node, ours

LENGTHS = (1, 2, 3, 5, 7, 8, 11, 12, 16, 27, 31, 60, 64, 97, 100, 128, 243, 343, 400, 512, 1000, 1021)


def _dft(x, n=None, axis=-2, opset=20, **attributes):
    constants = {"n": None if n is None else np.array(n, np.int64)}
    if opset == 20:
        constants["axis"] = np.array(axis, np.int64)
    else:
        attributes["axis"] = axis
    return one_node("DFT", {"x": x}, constants, x.ndim, opset=opset, **attributes)


def _complex(x):
    return x[..., 0] + 1j * x[..., 1] if x.shape[-1] == 2 else x[..., 0].astype(np.float64)


def _parts(y):
    return np.stack([y.real, y.imag], -1)


def _close(a, b):
    eps = np.finfo(a.dtype).eps
    np.testing.assert_allclose(a, b, rtol=0, atol=20 * eps * max(np.abs(b).max(), 1.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", LENGTHS)
def test_lengths(n, dtype):
    """Real and complex, forward and inverse, one-sided and whole, to a few units in the last place."""
    rng = np.random.default_rng(n)
    real, both = rng.standard_normal((2, n, 1)).astype(dtype), rng.standard_normal((3, n, 2)).astype(dtype)
    for x in (real, both):
        wide = _complex(x.astype(np.float64))
        _close(ours(_dft(x), {"x": x}), _parts(np.fft.fft(wide, axis=1)))
        _close(ours(_dft(x, inverse=1), {"x": x}), _parts(np.fft.ifft(wide, axis=1)))
    _close(ours(_dft(real, onesided=1), {"x": real}), _parts(np.fft.rfft(real[..., 0].astype(np.float64), axis=1)))
    half = both[:, : n // 2 + 1]
    expected = np.fft.irfft(_complex(half.astype(np.float64)), n, axis=1)[..., None]
    _close(ours(_dft(half, n, inverse=1, onesided=1), {"x": half}), expected)


@pytest.mark.parametrize(
    ("shape", "axis", "n"), [((3, 10, 2), 1, 16), ((3, 10, 1), 1, 7), ((4, 6, 5, 2), 0, 9), ((2, 8, 3, 1), -3, 30)]
)
@pytest.mark.parametrize("opset", [17, 20])
def test_axes_and_lengths(shape, axis, n, opset):
    """Any signal axis, longer (zeros follow) or shorter than it."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = _parts(np.fft.fft(_complex(x.astype(np.float64)), n, axis=axis % len(shape)))
    _close(ours(_dft(x, n, axis, opset), {"x": x}), expected)


@pytest.mark.parametrize("length", [16, 15, 22])
@pytest.mark.parametrize("windowed", [True, False])
def test_stft(length, windowed):
    """Frames that overlap, with a window that is constant or fed, real and complex."""
    rng = np.random.default_rng(0)
    for parts in (1, 2):
        x = rng.standard_normal((2, 100, parts)).astype(np.float32)
        window = rng.uniform(0.5, 1, length).astype(np.float32)
        frames = np.stack([_complex(x.astype(np.float64))[:, i : i + length] for i in range(0, 100 - length + 1, 7)], 1)
        factor = window if windowed else 1.0
        expected = np.fft.fft(frames * factor)[..., : length // 2 + 1 if parts == 1 else length]
        step, size = np.array(7, np.int64), np.array(length, np.int64)
        constants = {"step": step, "w": window if windowed else None, "n": size}
        model = one_node("STFT", {"x": x}, constants, 4, opset=17, onesided=int(parts == 1))
        _close(ours(model, {"x": x}), _parts(expected))


@pytest.mark.parametrize(("name", "factors"), [("Hann", (0.5, 0.5)), ("Hamming", (25 / 46, 21 / 46))])
@pytest.mark.parametrize("periodic", [0, 1])
def test_windows(name, factors, periodic):
    """They are constants of the program."""
    x, constants = np.ones(33, np.float32), {"n": np.array(33, np.int64)}
    model = one_node("Mul", {"x": x}, {"w": x}, 1, opset=17)
    model.graph.node.insert(0, helper.make_node(f"{name}Window", ["n"], ["window"], periodic=periodic))
    model.graph.initializer.append(numpy_helper.from_array(constants["n"], "n"))
    model.graph.node[1].input[1] = "window"
    loaded = rt_engine.load(model)
    turn = 2 * np.pi * np.arange(33) / (33 if periodic else 32)
    _close(loaded.run({"x": x})[0], factors[0] - factors[1] * np.cos(turn))
    assert len(loaded.program.records) == 1


def test_tables():
    """Factors, splits and twiddles hold for every length."""
    for n in (*LENGTHS, 2**12, 3**7, 5**4 * 7):
        if is_smooth(n):
            assert np.prod(factors(n), initial=1) == n
            assert all(n % split(n, lanes) == 0 for lanes in (8, 16))
        assert is_smooth(next_smooth(n)) and next_smooth(n) >= n
        k = np.arange(2 * n)
        np.testing.assert_allclose(turns(k, n), np.exp(-2j * np.pi * (k % n) / n), atol=1e-15)


def test_what_is_refused():
    """A length computed at run time, a one-sided inverse of reals."""
    x = np.zeros((1, 8, 1), np.float32)
    with pytest.raises(InvalidModelError, match="requires complex input"):
        ours(_dft(x, inverse=1, onesided=1), {"x": x})
    fed = one_node("DFT", {"x": x, "n": np.array(8, np.int64)}, {}, 3, opset=20)
    with pytest.raises(UnsupportedModelError):
        rt_engine.load(fed)
