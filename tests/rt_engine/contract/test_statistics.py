import numpy as np
import pytest

from rt_engine.contract import ContractError, TestVector, statistics_of, vectors_of
from rt_engine.contract.statistics import MOST_ROWS, Gathering

RANDOM = np.random.default_rng(3)
DATA = RANDOM.normal([1e3, -2.0, 0.0], [1.0, 3.0, 0.01], (5000, 3)).astype(np.float32)


def test_they_are_those_of_numpy():
    found = statistics_of(DATA, "x", quantiles=(0.1, 0.9))
    exact = DATA.astype(float)
    assert (found.tensor, found.count) == ("x", 5000)
    np.testing.assert_allclose(found.mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, exact.std(0), rtol=1e-9)
    assert found.least == tuple(exact.min(0)) and found.greatest == tuple(exact.max(0))
    np.testing.assert_allclose(found.quantiles[0.1], np.quantile(exact, 0.1, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(exact.T, bias=True), rtol=1e-6, atol=1e-12)


def test_chunks_of_any_size_give_the_same():
    """A generator is taken chunk by chunk: at no time is more than one in memory."""
    whole = statistics_of(DATA)
    chunks = (DATA[a:b] for a, b in ((0, 1), (1, 7), (7, 3000), (3000, 5000)))
    found = statistics_of(chunks)
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, whole.covariance, rtol=1e-7, atol=1e-12)
    assert found.quantiles == whole.quantiles and found.count == whole.count


def test_quantiles_of_more_than_is_kept_are_near_and_always_the_same():
    """Within three deviations of a share that is drawn: 0.0012 at p = 0.01."""
    many = RANDOM.uniform(0, 1, (4 * MOST_ROWS, 1))
    found = statistics_of(iter(np.array_split(many, 9)))
    for p, (value,) in found.quantiles.items():
        assert abs(value - p) < 3 * (p * (1 - p) / MOST_ROWS) ** 0.5 + 1e-3
    assert found.quantiles == statistics_of(iter(np.array_split(many, 9))).quantiles


def test_samples_drawn_come_from_everywhere():
    """Not only from the beginning, nor the end: in order, their mean is that of all."""
    rising = np.arange(3.0 * MOST_ROWS)[:, None]
    gathering = Gathering("x")
    gathering.add(rising)
    assert abs(gathering.statistics().quantiles[0.5][0] / (1.5 * MOST_ROWS) - 1) < 0.02


def test_wide_samples_have_no_covariance_by_themselves():
    wide = np.ones((3, 200))
    assert statistics_of(wide).covariance is None
    assert len(statistics_of(wide, covariance=True).covariance) == 200
    assert statistics_of(DATA, covariance=False).covariance is None


def test_a_sample_may_have_any_shape():
    assert len(statistics_of(np.ones((4, 2, 3))).mean) == 6
    assert statistics_of(np.arange(5)).mean == (2.0,)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.ones((0, 3)), "no array of numbers"),
        (np.array([["a"]]), "no array of numbers"),
        (3.0, "no array of numbers"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "nan in sample 1, element 1"),
        (iter([np.ones((2, 2)), np.ones((2, 3))]), "samples of 3 and of 2 elements"),
        (iter([]), "there is no data of 'x'"),
    ],
)
def test_what_is_no_data_is_refused(data, words):
    with pytest.raises(ContractError, match=words):
        statistics_of(data)


def test_vectors_are_rows_with_a_batch_of_one():
    xs, ys = DATA[:2], DATA[:2, :1]
    made = vectors_of({"x": xs}, {"y": ys}, atol=1e-3)
    assert made == (TestVector({"x": xs[:1]}, {"y": ys[:1]}, 1e-3), TestVector({"x": xs[1:]}, {"y": ys[1:]}, 1e-3))
    with pytest.raises(ContractError, match="as many rows"):
        vectors_of({"x": xs}, {"y": ys[:1]})
