"""Attention against NumPy in float64, the same bits on every lane width."""

import numpy as np
import pytest

from rt_engine.kernels.interface.attention import ROWS
from tests.rt_engine.kernels.calling import call, libraries, same_bits

LIBRARIES = libraries("test-attention", "rt_engine.kernels.attention")
SHAPES = [
    # batch, heads, queries, keys, depth, width
    (1, 1, 1, 1, 1, 16),
    (1, 4, 32, 32, 16, 16),
    (2, 3, 7, 17, 5, 32),
    (1, 2, 5, 33, 8, 16),
    (1, 1, 13, 70, 3, 80),
    (1, 1, 41, 20, 3, 16),
]


def twin(q, k, v, mask, scale):
    """[batch, heads, rows, elements], in float64."""
    scores = np.einsum("bhqd,bhkd->bhqk", q, k, dtype=np.float64) * scale + mask
    with np.errstate(all="ignore"):
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        return (weights / weights.sum(-1, keepdims=True)) @ v


def run(library, q, k, v, mask, scale):
    """Heads lie beside each other, as a linear layer leaves them."""
    batch, heads, queries, depth = q.shape
    keys, width = v.shape[2:]
    line = -(-keys // 16) * 16
    work = np.full(batch * heads * depth * line + ROWS * line, np.nan, np.float32)
    packed = work[: batch * heads * depth * line].reshape(batch, heads, depth, line)
    packed[..., :keys] = k.transpose(0, 1, 3, 2)
    rows_q, rows_v = (np.ascontiguousarray(x.transpose(0, 2, 1, 3)) for x in (q, v))
    out = np.zeros((batch, queries, heads, width), np.float32)

    def strides(rows, elements):
        return [rows * heads * elements, elements, heads * elements]

    fields = [batch, heads, queries, keys, depth, width, 0, *strides(queries, depth), 0, *strides(keys, width)]
    fields += [0, 0, keys] if mask is not None else [0, 0, 0]
    fields += strides(queries, width)
    table = np.array([*fields, *[0] * 32], np.int64)
    operands = [rows_q, work, rows_v, mask, out, table]
    return call(library, "attention_f32", operands, params=[scale], weights=[5])[4].transpose(0, 2, 1, 3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("masked", [False, True])
def test_agrees_with_numpy(shape, masked):
    """Any number of rows, keys behind whole vectors; a mask of -inf takes keys away; all lane widths alike."""
    batch, heads, queries, keys, depth, width = shape
    rng = np.random.default_rng(keys)
    q, k, v = (
        rng.standard_normal((batch, heads, n, m)).astype(np.float32)
        for n, m in ((queries, depth), (keys, depth), (keys, width))
    )
    mask = np.zeros((queries, keys), np.float32)
    if masked:
        mask = rng.standard_normal((queries, keys)).astype(np.float32)
        mask[rng.random((queries, keys)) < 0.3] = -np.inf
        mask[:, 0] = 0.0
    results = [run(library, q, k, v, mask if masked else None, 0.4) for library in LIBRARIES]
    assert np.allclose(results[0], twin(q, k, v, mask, 0.4), rtol=2e-5, atol=2e-6)
    assert all(same_bits(results[0], other) for other in results[1:])


@pytest.mark.parametrize("keys", [9, 20, 40])
def test_what_is_no_number_stays_in_its_row(keys):
    """NaN in one row of q, a key whose mask is NaN of any bits or +inf, and a row whose keys are all masked: NaN; no other row is."""
    q, k, v = (np.ones((1, 1, n, 16), np.float32) for n in (9, keys, keys))
    q[0, 0, 2, 5] = np.nan
    mask = np.zeros((9, keys), np.float32)
    mask[0, 3] = np.inf
    mask.view(np.uint32)[4, keys - 1], mask.view(np.uint32)[5, 0] = 0xFFFFFFFF, 0x7F800001
    mask[7] = -np.inf
    for library in LIBRARIES:
        out = run(library, q, k, v, mask, 1.0)
        wrong = np.isnan(out[0, 0]).all(axis=1)
        assert wrong.tolist() == [i in (0, 2, 4, 5, 7) for i in range(9)]
        assert np.isfinite(out[0, 0][~wrong]).all()
