"""Linear layers whose weights are mostly blocks of zeros skip them; the others stay as they are."""

from unittest.mock import patch

import numpy as np
import pytest

import rt_engine
from benchmarks.sparse import dense_network, pruned, transformer
from rt_engine.ops import sparse


def kernels(model):
    return {name for node in model.report().nodes for name in node.kernels}


@pytest.mark.parametrize("make", [lambda w: dense_network(w, (96, 128, 70)), lambda w: transformer(w, 1, 5, 64, 2)])
def test_the_same_numbers_with_less_work(make):
    """Equal, not only near, and a fifth of the multiplications and weights."""
    source = make(pruned(0.85)).SerializeToString()
    with patch.object(sparse, "DENSEST", -1.0):
        dense = rt_engine.load(source)
    few = rt_engine.load(source)
    assert "sparse_f32" in kernels(few) - kernels(dense)
    x = np.random.default_rng(2).standard_normal(dense.inputs[0].shape).astype(np.float32)
    assert np.array_equal(few.run({"x": x})[0], dense.run({"x": x})[0])
    assert few.report().macs < 0.5 * dense.report().macs
    assert few.report().weight_bytes < 0.5 * dense.report().weight_bytes


@pytest.mark.parametrize(
    ("shape", "zero", "taken"),
    [((64, 64), 0.9, True), ((64, 64), 0.0, False), ((63, 640), 0.9, False), ((640, 63), 0.9, False)],
)
def test_only_large_weights_with_few_blocks_are_taken(shape, zero, taken):
    w = pruned(zero)(*shape)
    assert sparse.is_taken(w) is taken
    assert not sparse.is_taken(w.astype(np.float64))


def test_single_zeros_are_no_blocks():
    """Nine of ten weights are zero, but hardly a block is."""
    rng = np.random.default_rng(0)
    assert not sparse.is_taken(np.where(rng.random((128, 128)) < 0.9, 0, 1).astype(np.float32))


def test_weights_of_nothing_but_zeros():
    """The bias is all that is left."""
    model = rt_engine.load(dense_network(lambda k, n: np.zeros((k, n), np.float32), (64, 64)).SerializeToString())
    assert "sparse_f32" in kernels(model)
    assert np.array_equal(model.run({"x": np.ones((1, 64), np.float32)})[0], np.full((1, 64), 0.1, np.float32))
