"""Drawn inputs: the same for the same seed, inside of what the contract says."""

import numpy as np

from rt_engine.contract import Contract, Element, Statistics, TensorContract
from rt_engine.gate.draws import Draws, kind_of
from rt_engine.gate.elements import meanings
from rt_engine.program.program import TensorSpec

SPEC = TensorSpec("x", (1, 4), np.dtype(np.float32))
ELEMENTS = (Element("a", low=-1, high=1), Element("b", low=0, high=100, scale=-0.1, offset=2))
STATS = Statistics("x", 100, (0.5, -1.0), (0.2, 1.0), (-1.0, -8.0), (1.0, 2.0), covariance=((0.04, 0.19), (0.19, 1.0)))


def draws(spec=SPEC, tensor=None, seed=3, statistics=()):
    contract = None
    if tensor is not None:
        contract = Contract(inputs=(tensor,), scaling="outside", statistics=statistics)
    return Draws(meanings((spec,), True, contract), seed)


def test_however_many_are_taken_at_once_they_are_the_same():
    tensor = TensorContract("x", ELEMENTS, window=2)
    whole = draws(tensor=tensor).take(300)["x"]
    some = draws(tensor=tensor)
    pieces = np.concatenate([some.take(count)["x"] for count in (1, 7, 92, 200)])
    assert np.array_equal(whole, pieces)
    assert not np.array_equal(whole, draws(tensor=tensor, seed=4).take(300)["x"])


def test_they_stay_inside_of_the_range_as_the_model_sees_it_and_reach_its_ends():
    """A negative scale turns the range round; each of a window's samples has it."""
    made = draws(tensor=TensorContract("x", ELEMENTS, window=2), statistics=(STATS,)).take(1000)["x"].reshape(-1, 2)
    assert (made.min(axis=0) == [-1, -8]).all() and (made.max(axis=0) == [1, 2]).all()


def test_those_that_are_spread_have_the_mean_and_covariance_of_the_training_data():
    tensor = TensorContract("x", (Element("a"), Element("b")), window=2)
    made = draws(tensor=tensor, statistics=(STATS,)).take(20_000)["x"].reshape(-1, 2, 2)
    spread = made[[kind_of(row) == "spread" for row in range(len(made))]].reshape(-1, 2).astype(float)
    assert np.allclose(spread.mean(axis=0), STATS.mean, atol=0.05)
    assert np.allclose(np.cov(spread.T), STATS.covariance, atol=0.05)
    assert np.allclose(made[0], STATS.mean)


def test_what_nothing_is_said_of_is_as_n01_and_whole_numbers_are_zero():
    """An index drawn at random would point outside of its table."""
    some = draws()
    made = some.take(1000)["x"]
    assert 3 <= np.abs(made).max() < 6 and made.dtype == np.float32
    assert some.assumed == 4
    whole = TensorSpec("i", (2,), np.dtype(np.int64))
    assert not draws(whole).take(100)["i"].any()


def test_whole_numbers_and_booleans_go_as_far_as_the_contract_says():
    for dtype, top in ((np.uint8, 200), (np.bool_, 1)):
        tensor = TensorContract("x", (Element("a", low=0, high=top),))
        made = draws(TensorSpec("x", (1,), np.dtype(dtype)), tensor).take(500)["x"]
        assert made.dtype == dtype and (made.min(), made.max()) == (0, top)


def test_a_range_without_one_end_is_drawn_from_the_other():
    made = draws(tensor=TensorContract("x", (Element("a", low=50.0),), window=4)).take(500)["x"]
    assert made.min() == 50 and made.max() == 56


def test_parts_have_each_a_range_of_their_own():
    """Terms with a history each lie one behind the other."""
    parts = (
        TensorContract("x", (Element("a", low=0, high=1),), 2),
        TensorContract("x", (Element("b", low=5, high=6),), 2, start=2),
    )
    made = Draws(meanings((SPEC,), True, Contract(inputs=parts)), 3).take(500)["x"].reshape(-1, 4)
    assert made.min(axis=0).tolist() == [0, 0, 5, 5] and made.max(axis=0).tolist() == [1, 1, 6, 6]
