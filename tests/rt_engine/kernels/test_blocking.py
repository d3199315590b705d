"""However a product or a convolution is cut into pieces (`interface.blocking`), and however wide its panels of weights are, its bits
are the same, on every lane width.
"""

import numpy as np
import pytest

from rt_engine.ops.convolve import offset_table, pack_panels, panel_of, to_halves
from rt_engine.ops.linear import pack, pad_bias
from rt_engine.ops.window import Window
from tests.rt_engine.kernels.calling import call, libraries, same_bits

LIBRARIES = libraries("blocking", "rt_engine.kernels.gemm", "rt_engine.kernels.conv", "rt_engine.kernels.depthwise")
BLOCKS = (0, 1, 6, 7, 24, 1e6, -3, np.nan, np.inf)
CUTS = (0, 1, 5, 16, 128, 300, 1e9, np.nan)
TYPES = [("f32", np.float32), ("f64", np.float64)]


def _same(kernel, operands, sizes, settings, params=(-1.5, 2.5)):
    """The output, the same bits for all settings of the fields behind the limits, everywhere."""
    found = [call(lib, kernel, operands, sizes, (*params, *s))[3].copy() for lib in LIBRARIES for s in settings]
    assert all(same_bits(found[0], other) for other in found[1:])
    return found[0]


def _values(rng, shape, dtype):
    """Numbers, among them zeros of both signs."""
    return np.where(rng.random(shape) < 0.1, -0.0, rng.standard_normal(shape)).astype(dtype)


@pytest.mark.parametrize(("suffix", "dtype"), TYPES)
@pytest.mark.parametrize(
    ("rows", "depth", "columns"), [(1, 9, 70), (7, 130, 3), (25, 33, 64), (50, 1, 150), (8, 600, 80)]
)
def test_products(suffix, dtype, rows, depth, columns):
    rng = np.random.default_rng(rows)
    a, w, bias = (_values(rng, shape, dtype) for shape in ((2, rows, depth), (depth, columns), (columns,)))
    out = np.zeros((2, rows, columns), dtype)
    sizes = (rows, depth, columns, depth, 1, columns, 2, rows * depth, 0, rows * columns)
    y = _same(f"gemm_{suffix}", (a, pack(w), pad_bias(bias), out), sizes, [(b,) for b in BLOCKS])
    narrow = _same(f"gemm_{suffix}", (a, pack(w, 1), pad_bias(bias), out), sizes, [(b, 1) for b in BLOCKS])
    assert same_bits(y, narrow)
    np.testing.assert_allclose(y.reshape(out.shape), np.clip(a @ w + bias, -1.5, 2.5), rtol=1e-4, atol=1e-4)


def _line(pixels, taps):
    """A window of so many taps over a line, padded to give as many outputs."""
    return Window((pixels,), (taps,), (1,), (1,), (taps // 2,), (pixels,))


def _convolution(kernel, dtype, pixels, taps, channels, columns, x, w, bias, settings):
    """The output of a convolution of one group, or of one for each channel (`depthwise`), over a line of pixels."""
    item, extra = np.dtype(dtype).itemsize, -(-to_halves(channels, np.dtype(dtype)) // channels)
    table = offset_table(_line(pixels, taps), channels, np.dtype(dtype), pixels * channels * item)
    image = np.concatenate([x.ravel(), np.zeros(extra * channels + 64, dtype)])
    out = np.zeros(pixels * columns + 64, dtype)
    sizes = (1, pixels + extra, pixels, taps, channels, columns, 1, channels, columns, extra * channels)
    limits = (-np.inf, np.inf)
    return _same(kernel, (image, w, bias, out, table), sizes, settings, limits)[: pixels * columns].reshape(
        pixels, columns
    )


@pytest.mark.parametrize(("suffix", "dtype"), TYPES)
@pytest.mark.parametrize(
    ("pixels", "taps", "channels", "columns"), [(5, 1, 300, 70), (25, 3, 24, 16), (31, 3, 60, 65), (64, 1, 7, 130)]
)
def test_convolutions(suffix, dtype, pixels, taps, channels, columns):
    rng = np.random.default_rng(pixels)
    x, w, b = (_values(rng, s, dtype) for s in ((pixels, channels), (taps, channels, columns), (columns,)))
    bias = np.zeros(to_halves(columns, np.dtype(dtype)), dtype)
    bias[:columns] = b
    packed = pack_panels(w.reshape(taps * channels, columns))
    settings = [(block, cut) for block in BLOCKS for cut in CUTS]
    y = _convolution(f"conv_{suffix}", dtype, pixels, taps, channels, columns, x, packed, bias, settings)
    if panel_of(columns, np.dtype(dtype)) == 2:
        packed, settings = pack_panels(w.reshape(taps * channels, columns), 2), [(*s, 2) for s in settings]
        assert same_bits(
            y, _convolution(f"conv_{suffix}", dtype, pixels, taps, channels, columns, x, packed, bias, settings)
        )
    wide = np.pad(x.astype(np.float64), ((taps // 2, taps // 2), (0, 0)))
    expected = sum(wide[t : t + pixels] @ w[t] for t in range(taps)) + b
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("suffix", "dtype"), TYPES)
@pytest.mark.parametrize("columns", [5, 64, 70, 130, 200])
@pytest.mark.parametrize("splits", [2, 4, 8])
@pytest.mark.parametrize("depth", [1, 13, 133])
def test_one_row(suffix, dtype, columns, splits, depth):
    """Panels of one vector give the bits of wider ones, with so many chains, be the weights few or many."""
    rng = np.random.default_rng(columns)
    a, w, bias = (_values(rng, shape, dtype) for shape in ((1, depth), (depth, columns), (columns,)))
    padded = pad_bias(bias)
    out, sizes = np.zeros(padded.size, dtype), (1, depth, columns, depth, splits, columns, 1, 0, 0, 0)
    y = _same(f"gemm_{suffix}", (a, pack(w), padded, out), sizes, [()])
    assert same_bits(y, _same(f"gemm_{suffix}", (a, pack(w, 1), padded, out), sizes, [(0, 1)]))
    np.testing.assert_allclose(y.ravel()[:columns], np.clip(a @ w + bias, -1.5, 2.5)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("suffix", "dtype"), TYPES)
@pytest.mark.parametrize(("pixels", "channels"), [(5, 3), (31, 40), (64, 64)])
def test_depthwise_convolutions(suffix, dtype, pixels, channels):
    rng = np.random.default_rng(pixels)
    x, w, b = (_values(rng, s, dtype) for s in ((pixels, channels), (3, channels), (channels,)))
    padded = to_halves(channels, np.dtype(dtype))
    weights, bias = np.zeros((3, padded), dtype), np.zeros(padded, dtype)
    weights[:, :channels], bias[:channels] = w, b
    settings = [(block,) for block in BLOCKS]
    y = _convolution(f"depthwise_{suffix}", dtype, pixels, 3, channels, channels, x, weights, bias, settings)
    wide = np.pad(x.astype(np.float64), ((1, 1), (0, 0)))
    np.testing.assert_allclose(y, sum(wide[t : t + pixels] * w[t] for t in range(3)) + b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("suffix", "dtype"), TYPES)
@pytest.mark.parametrize(
    ("kernel", "step"), [((3, 3), 1), ((3, 3), 2), ((5, 5), 1), ((1, 5), 2), ((7, 7), 1), ((2, 4), 1), ((3, 3), 3)]
)
@pytest.mark.parametrize("out", [(3, 1), (2, 7), (5, 21)])
def test_pixels_that_windows_of_a_line_share(suffix, dtype, kernel, step, out):
    """A depthwise convolution that is told of its lines gives the bits of one that is not, from wherever it begins."""
    rng, channels, item = np.random.default_rng(step), 43, np.dtype(dtype).itemsize
    size = tuple(n * step for n in out)
    window = Window(size, kernel, (step, step), (1, 1), tuple(k // 2 for k in kernel), out)
    zeros, padded = (
        -(-to_halves(channels, np.dtype(dtype)) // channels) * channels,
        to_halves(channels, np.dtype(dtype)),
    )
    image = np.concatenate([_values(rng, window.pixels * channels, dtype), np.zeros(zeros + 64, dtype)])
    table = offset_table(window, channels, np.dtype(dtype), window.pixels * channels * item)
    weights, bias = _values(rng, (window.taps, padded), dtype), _values(rng, padded, dtype)
    for begun in (0, 1, window.outputs - 1):
        count = window.outputs - begun
        result = np.zeros(count * channels + 64, dtype)
        operands = (image, weights, bias, result, table[begun * window.taps :].copy())
        sizes = (
            1,
            window.pixels + zeros // channels,
            count,
            window.taps,
            kernel[-1],
            step,
            begun,
            channels,
            channels,
            zeros,
        )
        settings = [(0,), *((block, line) for block in (0, 5) for line in (0, out[-1], np.nan))]
        assert _same(f"depthwise_{suffix}", operands, sizes, settings).any()


@pytest.mark.parametrize(("suffix", "dtype"), TYPES)
def test_a_sum_of_nothing_but_minus_zero_stays_minus_zero(suffix, dtype):
    """Also where it is stored between two pieces: -0 and a product of -0 is -0."""
    x, bias = np.zeros((5, 300), dtype), np.full(72, -0.0, dtype)
    packed = pack_panels(np.full((300, 72), -1.0, dtype))
    settings = [(0, cut) for cut in CUTS]
    y = _convolution(f"conv_{suffix}", dtype, 5, 1, 300, 72, x, packed, bias, settings)
    assert np.signbit(y).all()
