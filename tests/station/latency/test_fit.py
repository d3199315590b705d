"""The fit of extreme values, against distributions that are known; and its interval, which has to cover the truth."""

import math

import numpy as np
import pytest

from station.latency.fit import Gev, anderson_darling, below_of, blocks_of, gev, level, redrawn
from tests.station.latency.made import gev as drawn

SHAPES = (-0.2, 0.0, 0.2)


def truth(shape, location=50_000.0, scale=5_000.0):
    return Gev(location, scale, shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_parameters_of_a_known_distribution_are_found(shape):
    """Of 20,000 blocks, to a few percent."""
    found = gev(drawn(np.random.default_rng(1), 20_000, shape))
    assert found.location == pytest.approx(50_000, rel=0.01)
    assert found.scale == pytest.approx(5_000, rel=0.05)
    assert found.shape == pytest.approx(shape, abs=0.03)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_covers_the_truth(shape):
    """99 % of the intervals of a level ten times beyond what was measured, less what 150 experiments scatter."""
    rng, count, block = np.random.default_rng(2), 120, 5000.0
    cycles = 10 * count * block
    gumbel = -math.log(block / cycles)
    true = 50_000 + 5_000 * (gumbel if shape == 0 else math.expm1(shape * gumbel) / shape)
    inside = 0
    for _ in range(150):
        fitted = gev(drawn(rng, count, shape))
        _, fits = redrawn(fitted, count, rng, 300)
        found = level(fitted, fits, cycles, block)
        inside += found.low_ns <= true <= found.high_ns
    assert inside / 150 >= 0.93


@pytest.mark.parametrize("shape", SHAPES)
def test_a_generalised_pareto_tail_is_fitted_by_its_maxima(shape):
    """Cycles with a Pareto tail: their block maxima have its shape, and the level is what one of so many exceeds."""
    rng = np.random.default_rng(3)
    u = rng.uniform(size=(2_000, 500))
    cycles = 20_000 + 3_000 * (-np.log(u) if shape == 0 else (u**-shape - 1) / shape)
    fitted = gev(cycles.max(axis=1))
    assert fitted.shape == pytest.approx(shape, abs=0.08)
    found = level(fitted, np.array([[fitted.location, fitted.scale, fitted.shape]]), 100_000.0, 500.0)
    rare = 1e-5
    assert found.ns == pytest.approx(
        20_000 + 3_000 * (-math.log(rare) if shape == 0 else (rare**-shape - 1) / shape), rel=0.05
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_quantile_and_probability_are_inverse(shape):
    p = np.linspace(0.01, 0.99, 50)
    one = truth(shape)
    assert np.allclose(one.below(one.quantile(p)), p)
    row = np.array([[one.location, one.scale, one.shape]])
    assert np.allclose(below_of(one.quantile(p)[None, :], row)[0], p)


def test_the_size_of_blocks_follows_from_their_number_alone():
    """Up to 120: each interval; then 120 blocks; then as long as a block may be, and more of them."""
    for count, size, blocks in ((50, 1, 50), (600, 5, 120), (86_400, 60, 1440)):
        found, each = blocks_of(np.arange(count))
        assert (each, len(found)) == (size, blocks)
        assert found[0] == size - 1


def test_anderson_and_darling_of_what_is_uniform_is_small():
    """Against the table of its distribution (Anderson and Darling, 1954): 2.49 at 5 %."""
    rng = np.random.default_rng(4)
    samples = np.sort(rng.uniform(size=(4_000, 200)), axis=1)
    assert float((anderson_darling(samples) > 2.492).mean()) == pytest.approx(0.05, abs=0.012)
    assert anderson_darling(samples[:1] ** 2)[0] > 10
