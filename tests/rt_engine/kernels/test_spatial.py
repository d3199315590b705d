"""Taps, group normalisation, Fourier transforms and sampling against NumPy twins, and bit for bit over lane widths."""

import numpy as np
import pytest

from rt_engine.kernels.interface.fourier_plan import LOAD_PAIRS, LOAD_REAL, STORE_COMPLEX, STORE_PAIRS, transform
from rt_engine.kernels.interface.picture import kept_of, pitch_of, room_numbers
from rt_engine.kernels.interface.record import RECORD
from rt_engine.kernels.interface.sample_modes import CENTRES, CORNERS, ELEMENTS
from rt_engine.ops.picture import table_of
from rt_engine.ops.window import Window
from rt_engine.status import Status
from tests.fuzz.guards import PagedBlock
from tests.rt_engine.kernels import calling
from tests.rt_engine.kernels.calling import Call, call, libraries, same_bits

LIBRARIES = libraries(
    "spatial",
    *(
        f"rt_engine.kernels.{name}"
        for name in ("taps", "group_norm", "fourier", "sample", "regions", "planes", "picture")
    ),
)
TYPES = [("f32", np.float32, np.int32), ("f64", np.float64, np.int64)]


def _everywhere(kernel, operands, sizes, params=(), index=-1, weights=()):
    """One operand after the call; the same bits on every lane width."""
    found = [call(library, kernel, operands, sizes, params, weights)[index].copy() for library in LIBRARIES]
    assert all(same_bits(found[0], other) for other in found[1:])
    return found[0]


@pytest.mark.parametrize("columns", [1, 3, 4, 6, 7, 13])
@pytest.mark.parametrize("pixels", [1, 16, 17, 33, 47, 100])
def test_planes(columns, pixels, monkeypatch):
    """A chain over k for every pixel, from its bias on, within the limits; less than a vector behind the last image is read."""
    monkeypatch.setattr(calling, "Block", PagedBlock)  # x is alone in one, and ends where it may be read no further
    rng = np.random.default_rng(pixels)
    images, depth, room = 2, 9, -(-(pixels + 20) // 16) * 16
    x = rng.standard_normal((images, room)).astype(np.float32)
    x[1, 3] = np.nan
    table = np.append(rng.integers(0, room - pixels, depth - 1), room - pixels).astype(np.int32)
    w, bias = rng.standard_normal((depth, columns)).astype(np.float32), rng.standard_normal(columns).astype(np.float32)
    out = np.full(images * columns * pixels + 64, 7, np.float32)
    operands = (x, w, bias, 4 * table, out)
    y = _everywhere("planes_f32", operands, (images, room, depth, columns, pixels), (-0.5, 1.5), weights=(0,))
    assert np.all(y[images * columns * pixels :] == 7)
    seen = x[:, table[:, None] + np.arange(pixels)].astype(np.float64)
    wanted = np.clip(np.einsum("km,ikp->imp", w, seen) + bias[:, None], -0.5, 1.5)
    np.testing.assert_allclose(y[: images * columns * pixels].reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [33, 46, 63, 64, 96])
@pytest.mark.parametrize("step", [1, 2, 4])
def test_picture(width, step):
    """Lines in the middle and outside; nothing behind the picture is read, nothing is written behind the last pixel."""
    rng = np.random.default_rng(width)
    channels, height, lines, columns, tall, wide = 3, 7, 5, 16, 3, 4
    window = Window((height, width), (tall, wide), (step, 2), (1, 1), (1, 1), (lines, (width - 1) // 2))
    pixels, depth = window.out[1], tall * wide * channels
    x = rng.standard_normal((channels, height, width)).astype(np.float32)
    paged = PagedBlock(x.nbytes)
    paged.view(np.float32, paged.nbytes - x.nbytes, x.size)[:] = x.ravel()
    w, bias = rng.standard_normal((depth, columns)).astype(np.float32), rng.standard_normal(columns).astype(np.float32)
    room = np.full(room_numbers(channels, kept_of(tall, step), columns, pitch_of(width, pixels)), np.nan, np.float32)
    operands = (x, w, bias, table_of(window, channels), room, np.full(lines * pixels * columns + 64, 7, np.float32))
    found = []
    for library in LIBRARIES:
        sizes = (channels, height, width, tall, depth, lines, pixels, columns, -1, step)
        one = Call(operands, sizes, (-9.0, 9.0), weights=(0,))
        at = paged.address + paged.nbytes - x.nbytes - one.weights.address
        one.record.view(RECORD)["operand"][0, 0] = at | 1
        assert one.run(library, "picture_f32") == 0
        found.append(one.views[-1].copy())
    assert all(same_bits(found[0], other) for other in found)
    assert np.all(found[0][lines * pixels * columns :] == 7)
    around = np.pad(x, ((0, 0), (1, 40), (1, 40))).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(around, (tall, wide), (1, 2))[:, ::step, ::2][:, :lines, :pixels]
    wanted = np.einsum("clpij,ijcm->lpm", windows, w.reshape(tall, wide, channels, columns)) + bias
    result = found[0][: wanted.size].reshape(wanted.shape)
    np.testing.assert_allclose(result, np.clip(wanted, -9, 9), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("suffix", "dtype", "index_type"), TYPES)
@pytest.mark.parametrize("inner", [1, 2, 7, 16, 37])
@pytest.mark.parametrize("m", [1, 5, 16, 33])
def test_taps(suffix, dtype, index_type, inner, m):
    """Sums of taps; a negative index reads what lies outside; NaN and inf go where they are asked for alone."""
    rng = np.random.default_rng(m)
    n, taps, lanes = 9, 3, 64 // np.dtype(dtype).itemsize
    padded = -(-m // lanes) * lanes
    x = rng.standard_normal((2, n, inner)).astype(dtype)
    x[0, 3], x[1, 4] = np.nan, np.inf
    index, weight = np.full((taps, padded), -1, index_type), np.zeros((taps, padded), dtype)
    index[:, :m], weight[:, :m] = rng.integers(-1, n, (taps, m)), rng.standard_normal((taps, m))
    y = _everywhere(
        f"taps_{suffix}", (x, index, weight, np.zeros((2, m, inner), dtype)), (2, n, inner, m, taps, padded), (0.5,)
    )
    read = np.where((index[:, :m] >= 0)[None, :, :, None], x[:, index[:, :m]], dtype(0.5))
    with np.errstate(invalid="ignore"):
        expected = (read * weight[:, :m, None]).sum(axis=1)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("suffix", "dtype", "_"), TYPES)
@pytest.mark.parametrize("n", [1, 7, 16, 50])
def test_group_norm(suffix, dtype, _, n):
    """Two groups of three channels."""
    rng = np.random.default_rng(n)
    x = (rng.standard_normal((2, 2, 3, n)) + 5).astype(dtype)
    scale, bias = rng.standard_normal((2, 6)).astype(dtype)
    y = _everywhere(f"group_norm_{suffix}", (x, scale, bias, np.zeros_like(x)), (4, 2, 3, n), (1e-5,))
    wide = x.astype(np.float64).reshape(2, 2, -1)
    wide = ((wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)).reshape(x.shape)
    expected = wide * scale.reshape(1, 2, 3, 1) + bias.reshape(1, 2, 3, 1)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("suffix", "dtype", "_"), TYPES)
@pytest.mark.parametrize("n", [1, 2, 6, 16, 45, 98, 128, 200, 250])
def test_dft(suffix, dtype, _, n):
    """Reals as such, and as pairs; nothing behind the output is written."""
    dtype = np.dtype(dtype)
    x = np.random.default_rng(n).standard_normal((2, 2 * n)).astype(dtype)
    for load, store, length in (
        ((LOAD_REAL, n, 0), (STORE_COMPLEX, n, 0), n),
        ((LOAD_PAIRS, 2 * n, 0), (STORE_PAIRS, n + 1, 0), 2 * n),
    ):
        made = transform(n, dtype, load, store)
        out = np.zeros((2, store[1], 2), dtype)
        operands = (x, None, made.plan, made.tables, np.zeros(made.scratch, dtype), out)
        y = _everywhere(f"dft_{suffix}", operands, (1, 2, 0, 2 * n, 2 * store[1]), (1, 1, 1))
        expected = np.fft.fft(x[:, :length].astype(np.float64))[:, : store[1]]
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(y[..., 0] + 1j * y[..., 1], expected, rtol=0, atol=20 * eps * np.sqrt(n) * 4)


@pytest.mark.parametrize(("suffix", "dtype", "_"), TYPES)
@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("how", [CENTRES, CORNERS, ELEMENTS])
def test_sample_of_elements(suffix, dtype, _, mode, padding, how):
    """A sample at an element is the element, in every mode; NaN and far positions read nothing but the image."""
    x = np.random.default_rng(0).standard_normal((1, 2, 1, 3, 4)).astype(dtype)
    rows, columns = np.divmod(np.arange(12), 4)
    if how == ELEMENTS:
        positions = np.stack([rows, columns], -1).astype(dtype)
    elif how == CORNERS:
        positions = np.stack([columns / 1.5 - 1, rows - 1.0], -1).astype(dtype)
    else:
        positions = np.stack([(2 * columns + 1) / 4 - 1, (2 * rows + 1) / 3 - 1], -1).astype(dtype)
    sizes = (1, 2, 2, 1, 3, 4, 12, mode, padding, how)
    y = _everywhere(f"sample_{suffix}", (x, positions, np.zeros((1, 2, 12), dtype)), sizes)
    np.testing.assert_allclose(y.reshape(2, 12), x.reshape(2, 12), atol=1e-5)
    positions[:6] = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 7.5], dtype)[:, None]
    assert np.isfinite(_everywhere(f"sample_{suffix}", (x, positions, np.zeros((1, 2, 12), dtype)), sizes)).all()


@pytest.mark.parametrize(("suffix", "dtype", "_"), TYPES)
def test_regions_of_any_kind(suffix, dtype, _):
    """Regions that are NaN, infinite or inside out give a number or a status, and read nothing but the image."""
    x = np.ones((1, 1, 4, 5), dtype)
    for corners in ((np.nan,) * 4, (0, 0, np.inf, np.inf), (3, 3, 1, 1), (-1e30, 0, 1e30, 2), (0, 0, 4, 3)):
        region = np.array([corners], dtype)
        one = Call((x, region, np.zeros(1, np.int64), np.zeros(6, dtype)), (1, 1, 4, 5, 1, 2, 3, 0, 0, 1), (1.0,))
        assert one.run(LIBRARIES[-1], f"roi_align_{suffix}") in (Status.OK, Status.INDEX_OUT_OF_RANGE)
        whole = np.concatenate([[[0]], region], axis=1).astype(dtype)
        one = Call((x, whole, np.zeros(6, dtype)), (1, 1, 4, 5, 1, 2, 3), (1.0,))
        assert one.run(LIBRARIES[-1], f"max_roi_pool_{suffix}") in (Status.OK, Status.INDEX_OUT_OF_RANGE)


def test_put_back_checks_first():
    """An index outside is a status; nothing is written then."""
    for at in (-1, 4):
        one = Call((np.ones(2, np.float32), np.array([0, at]), np.zeros(4, np.float32)), (2, 4, 4))
        assert one.run(LIBRARIES[-1], "put_back") == Status.INDEX_OUT_OF_RANGE
        assert not one.views[2].any()
