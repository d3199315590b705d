"""The integer matrix product against NumPy's int64, exactly, on every lane width."""

import numpy as np
import pytest

from rt_engine.kernels.interface.modes import Mode
from rt_engine.ops.packing.quantised import bias_with_zero_point, pack_bytes, padded
from tests.rt_engine.kernels.calling import call, libraries

LIBRARIES = libraries("test-qgemm", "rt_engine.kernels.qgemm")
SHAPES = [(1, 1, 1), (1, 3, 17), (1, 640, 128), (1, 9, 72), (2, 7, 33), (3, 16, 16), (7, 10, 100), (13, 31, 64)]
SHAPES += [(32, 2, 5)]


def made(m, k, n, extreme=False):
    rng = np.random.default_rng(m * 1000 + k + n)
    a, w = rng.integers(0, 256, (m, k)).astype(np.uint8), rng.integers(-128, 128, (k, n)).astype(np.int8)
    if extreme:
        a[:], w[:] = 255, -128
    bias = rng.integers(-5000, 5000, n).astype(np.int32)
    scale = rng.uniform(1e-4, 1e-2, n).astype(np.float32)
    zero = int(rng.integers(0, 256))
    exact = (a.astype(np.int64) - zero) @ w.astype(np.int64) + bias
    operands = [a, pack_bytes(w), padded(bias_with_zero_point(bias, w, zero))]
    return operands, scale, exact


def requantised(exact, scale, low, high, zero):
    real = exact.astype(np.int32).astype(np.float32) * scale
    return (np.clip(np.rint(real), low - zero, high - zero) + zero).astype(np.int64)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda lib: f"{lib.target.lanes} lanes")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("extreme", [False, True])
def test_every_mode_is_exact(library, shape, extreme):
    """The sums, the quantised numbers and the real ones have the bits of the twin."""
    m, k, n = shape
    operands, scale, exact = made(*shape, extreme)
    columns = padded(scale)
    raw = call(library, "qgemm", [*operands, np.zeros((m, n), np.int32), columns], (m, k, n, k, n, Mode.RAW, 0))[3]
    assert (raw == exact).all()
    for dtype in (np.uint8, np.int8):
        zero, info = (7 if dtype is np.uint8 else -3), np.iinfo(dtype)
        got = call(
            library,
            "qgemm",
            [*operands, np.zeros((m, n), dtype), columns],
            (m, k, n, k, n, Mode.QUANTISED, zero),
            (info.min - zero, info.max - zero),
        )[3]
        assert (got == requantised(exact, scale, info.min, info.max, zero)).all()
    sizes = (m, k, n, k, n, Mode.REAL, 0)
    real = call(library, "qgemm", [*operands, np.zeros((m, n), np.float32), columns], sizes, (0, 3))[3]
    assert (real == np.clip(exact.astype(np.int32).astype(np.float32) * scale, 0, 3)).all()
