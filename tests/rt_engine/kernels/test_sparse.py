"""A product that skips blocks of zeros is, bit for bit, the dense one; what is not finite is not lost."""

import numpy as np
import pytest

from rt_engine.ops.linear import pack, pad_bias
from rt_engine.ops.sparse import BLOCK, pack_blocks, unpack_blocks
from tests.rt_engine.kernels.calling import call, libraries, same_bits

LIBRARIES = libraries("test-sparse", "rt_engine.kernels.sparse", "rt_engine.kernels.gemm")
SHAPES = [(1, 64, 64), (1, 77, 130), (2, 64, 100), (6, 65, 64), (11, 200, 66), (32, 128, 256)]
LIMITS = (-3.0, 2.5)


def pruned(rng, k, n, density):
    """Weights in blocks of 1 x 16."""
    there = np.repeat(rng.random((k, -(-n // BLOCK))) < density, BLOCK, axis=1)[:, :n]
    return np.where(there, rng.standard_normal((k, n)), 0).astype(np.float32)


def both(library, a, w, bias):
    """By the kernel that skips blocks, and by the dense one."""
    (m, k), n, splits = a.shape, w.shape[1], 2 if a.shape[0] == 1 else 1
    packed, places = pack_blocks(w, splits)
    room, out, full = np.zeros(m, np.float32), np.zeros((m, n), np.float32), pad_bias(bias)
    few = call(library, "sparse_f32", (a, packed, full, places, room, out), (m, k, n, splits), LIMITS)[5]
    sizes = (m, k, n, k, splits, n, 1, 0, 0, 0)
    return few, call(library, "gemm_f32", (a, pack(w), full, np.zeros((m, n), np.float32)), sizes, LIMITS)[3]


@pytest.mark.parametrize("density", [0, 0.1, 0.4, 1])
@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_the_bits_are_those_of_the_dense_product(m, k, n, density):
    """On every lane width."""
    rng = np.random.default_rng(m + k)
    a, w = rng.standard_normal((m, k)).astype(np.float32), pruned(rng, k, n, density)
    bias = rng.standard_normal(n).astype(np.float32)
    found = [both(library, a, w, bias) for library in LIBRARIES]
    assert all(same_bits(few, found[0][1]) and same_bits(dense, found[0][1]) for few, dense in found)
    twin = np.clip(a.astype(np.float64) @ w + bias, *LIMITS)
    np.testing.assert_allclose(found[0][0], twin, atol=1e-4)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 63, 76])
def test_what_is_not_finite_makes_its_row_nan(value, place):
    """Where the dense product is NaN, so is this one, whatever block is skipped; other rows stay as they are."""
    rng = np.random.default_rng(0)
    a, w = rng.standard_normal((8, 77)).astype(np.float32), pruned(rng, 77, 130, 0.2)
    a[5, place] = value
    for library in LIBRARIES:
        few, dense = both(library, a, w, np.zeros(130, np.float32))
        assert np.isnan(few[5]).all() and np.isnan(dense[5]).any()
        assert same_bits(np.delete(few, 5, 0), np.delete(dense, 5, 0))


@pytest.mark.parametrize("splits", [1, 2])
def test_packed_blocks_are_the_weights(splits):
    w = pruned(np.random.default_rng(1), 70, 90, 0.3)
    assert np.array_equal(unpack_blocks(*pack_blocks(w, splits), w.shape, splits), w)
