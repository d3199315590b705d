import math

import numpy as np
import pytest

from rt_engine.contract import Contract, ContractError, Element, Provenance, Statistics, TensorContract, TestVector
from tests.rt_engine.contract.contracts import full

A, B = Element("a"), Element("b")
ONE = np.ones(1, np.float32)


def statistics(**other):
    rows = {"mean": (0.0,), "deviation": (1.0,), "least": (-3.0,), "greatest": (3.0,)}
    return Statistics("x", **({"count": 10} | rows | other))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Element(""), "has no name"),
        (lambda: Element("a", scale=0), "no scale is 0"),
        (lambda: Element("a", scale=math.nan), "both are finite"),
        (lambda: Element("a", offset=math.inf), "both are finite"),
        (lambda: Element("a", low=2, high=1), "low is at most high"),
        (lambda: Element("a", low=math.nan), "low is at most high"),
        (lambda: Element("a", max_rate=0), "above 0"),
        (lambda: Element("a", clip=True), "clipped, but to nothing"),
        (lambda: TensorContract("", (A,)), "no name"),
        (lambda: TensorContract("x", ()), "no elements"),
        (lambda: TensorContract("x", (A,), 0), "whole numbers from 1"),
        (lambda: TensorContract("x", (A,), 1, 1 << 17), "whole numbers from 1"),
        (lambda: statistics(count=0), "both are 1 or more"),
        (lambda: statistics(least=(-3.0, 1.0)), "least has 2 numbers, mean has 1"),
        (lambda: statistics(mean=(math.nan,)), "mean is nan at element 0"),
        (lambda: statistics(mean=(4.0,)), "contradict themselves at element 0: 4 is to be at most 3"),
        (lambda: statistics(quantiles={0.1: (2.0,), 0.9: (1.0,)}), "2 is to be at most 1"),
        (lambda: statistics(quantiles={1.1: (2.0,)}), "p is from 0 to 1"),
        (lambda: statistics(deviation=(-1.0,)), "negative deviation"),
        (lambda: statistics(covariance=((1.0,), (1.0,))), "2 rows for 1 elements"),
        (lambda: statistics(covariance=((-1.0,),)), "negative variance"),
        (lambda: TestVector({}, {"y": ONE}), "needs inputs and outputs"),
        (lambda: TestVector({"x": ONE}, {"y": ONE * np.nan}), "NaN or infinity in 'y'"),
        (lambda: TestVector({"x": [1.0]}, {"y": ONE}), "no array of numbers for 'x'"),
        (lambda: TestVector({"x": ONE}, {"y": ONE}, atol=-1), "0 or more"),
        (lambda: Contract(rate_hz=0), "above 0"),
        (lambda: Contract(scaling="none"), "one of inside, outside"),
        (lambda: Contract((TensorContract("x", (Element("a", scale=2),)),)), 'scaling is "inside" the model'),
        (lambda: Contract((TensorContract("x", (A, A)),)), "two elements of 'x' called 'a'"),
        (
            lambda: Contract((TensorContract("x", (A,)), TensorContract("x", (A,), start=1))),
            "two elements of 'x' called 'a'",
        ),
        (lambda: Contract((TensorContract("x", (A,)), TensorContract("x", (B,)))), "starts at 0, where 1 elements lie"),
        (lambda: Contract((TensorContract("x", (A,), start=1),)), "starts at 1, where 0 elements lie"),
        (lambda: Contract(statistics=(statistics(), statistics())), "two statistics of 'x'"),
        (
            lambda: Contract(
                (TensorContract("x", (A,), 2), TensorContract("x", (B,), 2, 1, 2)), statistics=(statistics(),)
            ),
            "parts have a history each",
        ),
        (lambda: Contract(state={"a": "h", "b": "h"}), "two states for the input 'h'"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_made(make, words):
    with pytest.raises(ContractError, match=words):
        make()


def test_terms_with_a_history_each_are_parts_of_a_tensor():
    """[a a a | b c b c]: every part is found, and the elements of a sample are those of all."""
    c = Element("c")
    made = Contract((TensorContract("x", (A,), 3), TensorContract("x", (B, c), 2, start=3)))
    assert [part.start for part in made.parts("x")] == [0, 3]
    assert made.elements("x") == (A, B, c)
    assert made.parts("y") == () == made.elements("y")
    assert [made.parts("x")[1].at(i) for i in (2, 3, 6, 7)] == [None, B, c, None]


def test_a_covariance_that_is_not_symmetric_is_refused():
    rows = dict.fromkeys(("mean", "deviation", "least", "greatest"), (0.0, 0.0))
    with pytest.raises(ContractError, match="not symmetric"):
        Statistics("x", 5, **rows, covariance=((1.0, 0.5), (0.4, 1.0)))


def test_contracts_are_compared_by_value():
    """Their test vectors too, element by element."""
    assert full() == full()
    other = TestVector({"x": ONE}, {"y": ONE})
    assert other == TestVector({"x": ONE.copy()}, {"y": ONE.copy()})
    assert other != TestVector({"x": ONE * 2}, {"y": ONE}) and other != TestVector({"x": ONE.astype(float)}, {"y": ONE})
    assert other != TestVector({"z": ONE}, {"y": ONE}) and other != 3


def test_statistics_are_found_by_tensor():
    assert full().statistics_of("x").count == 1000 and full().statistics_of("y") is None
    assert Provenance().name == ""
