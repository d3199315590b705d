"""The envelope of training data: what it is made of a contract's statistics, and its native value against NumPy."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rt_engine.contract import Contract, Element, Statistics, TensorContract
from rt_native.memory import Block
from scheduler.envelope import RIDGE, Envelope, EnvelopeMemory, bounds_of, edge_of
from scheduler.errors import TaskError
from scheduler.monitor_block import DISTANCE, NOTHING
from scheduler.native import NATIVE
from tests.scheduler.fakes import FakeModel, spec


def statistics(
    samples: Any, tensor: str = "x", with_covariance: bool = True, quantiles: dict[float, Any] | None = None
) -> Statistics:
    """Of an array of samples, as a contract has them."""
    a = np.asarray(samples, np.float64)
    covariance = tuple(map(tuple, np.atleast_2d(np.cov(a.T, ddof=0)).tolist())) if with_covariance else None
    rows = (tuple(row.tolist()) for row in (a.mean(0), a.std(0), a.min(0), a.max(0)))
    return Statistics(tensor, len(a), *rows, quantiles or {}, covariance)


def model_of(*found: Statistics, shape: tuple[int, ...] = (1, 3), dtype: str = "float32", contract: bool = True) -> Any:
    model = FakeModel([spec("x", *shape, dtype=dtype)], [spec("y", 1, 1)], lambda i, o: None)
    model.contract = Contract(statistics=found) if contract else None  # type: ignore[attr-defined]
    return model


LEAST_AND_GREATEST = Envelope()


class Watched:
    """A model, its envelope, and what the native code says of values."""

    def __init__(self, model: Any, envelope: Envelope = LEAST_AND_GREATEST) -> None:
        self.model, self.memory, self._value = model, EnvelopeMemory(model, envelope, "t"), Block(8)
        self._look = NATIVE.function("envelope_look")

    def value(self, *elements: Any) -> float:
        self.model.arrays["x"].reshape(-1)[:] = np.reshape(elements, -1)
        self._look(self.memory.block.address, self.model.block_address, self._value.address)
        return float(self._value.view(np.float64)[0])

    @property
    def worst(self) -> int:
        return int(self.memory.rows["worst"][0])


def samples(count: int, width: int, seed: int = 1) -> np.ndarray[Any, Any]:
    """Correlated samples, float32 as a model sees them."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)
    return mixed.astype(np.float32).astype(np.float64)


def twin(a: np.ndarray[Any, Any], x: np.ndarray[Any, Any], covariance: bool) -> float:
    """The same number, in NumPy."""
    low, high = a.min(0), a.max(0)
    ranges = np.max(np.abs(x - (low + high) / 2) / ((high - low) / 2))
    if not covariance:
        return float(ranges)
    matrix = np.atleast_2d(np.cov(a.T, ddof=0))
    matrix = matrix + RIDGE * np.diag(np.diag(matrix))
    apart = x - a.mean(0)
    return float(max(ranges, math.sqrt(apart @ np.linalg.solve(matrix, apart)) / edge_of(len(x))))


@pytest.mark.parametrize("covariance", [False, True])
@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 16, 33, 64])
def test_the_value_is_numpys(width, covariance):
    """Of every width, within and far beyond the data, to a part in 10**9."""
    a = samples(200 + 4 * width, width)
    watched = Watched(model_of(statistics(a, with_covariance=covariance), shape=(1, width)))
    for x in (*a[:20], *(10 * samples(20, width, 2)).astype(np.float32)):
        assert watched.value(x) == pytest.approx(twin(a, np.float64(x), covariance), rel=1e-9)


def test_one_is_the_edge_of_the_data():
    """The least and the greatest of training are at 1, their middle at 0; which element is beyond is known."""
    watched = Watched(model_of(statistics([[0, 10, -1], [4, 20, 1]], with_covariance=False)))
    for x, value, worst in (
        ([2, 15, 0], 0, NOTHING),
        ([0, 15, 0], 1, NOTHING),
        ([4, 20, -1], 1, NOTHING),
        ([2, 25, 0], 2, 1),
        ([-2, 15, 1], 2, 0),
    ):
        assert (watched.value(*x), watched.worst) == (value, worst)


def test_each_element_within_its_range_and_all_together_far_out():
    """Two elements that always went together, and now do not: only the distance sees it."""
    line = np.linspace(-1, 1, 101)
    a = np.stack([line, line + 0.01 * np.sin(40 * line)], 1)
    watched = Watched(model_of(statistics(a), shape=(1, 2)))
    assert watched.value(0.5, 0.5) <= 1 and watched.worst == NOTHING
    assert watched.value(0.5, -0.5) > 10 and watched.worst == DISTANCE


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("covariance", [False, True])
def test_what_is_no_number_is_infinitely_far(wrong, covariance):
    """In every place of a vector, and behind the last whole one."""
    for place in range(11):
        watched = Watched(model_of(statistics(samples(50, 11), with_covariance=covariance), shape=(1, 11)))
        x = np.zeros(11)
        x[place] = wrong
        assert (watched.value(x), watched.worst) == (math.inf, place)


def test_an_element_that_never_changed_may_not():
    """But for what rounding to float32 does; and it does not spoil the distance of the others."""
    a = np.stack([np.full(50, np.float64(0.1)), samples(50, 1)[:, 0]], 1)
    watched = Watched(model_of(statistics(a), shape=(1, 2)))
    middle = a[:, 1].mean()
    assert watched.value(np.float32(0.1), middle) < 1
    assert watched.value(0.1001, middle) > 100 and watched.worst == 0


def test_the_newest_sample_of_a_window_is_looked_at():
    watched = Watched(model_of(statistics([[0, 0], [2, 2]], with_covariance=False), shape=(1, 3, 2)))
    assert watched.value(9, 9, 9, 9, 1, 1) == 0
    assert watched.value(1, 1, 1, 1, 1, 3) == 2


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "uint8", "bool"])
def test_every_type_of_a_task(dtype):
    watched = Watched(model_of(statistics([[0] * 9, [1] * 9], with_covariance=False), shape=(9,), dtype=dtype))
    assert watched.value(*[1, 0, 1, 0, 1, 0, 1, 0, 1]) == 1


def test_quantiles_are_the_edge_where_they_are_wanted():
    found = statistics([[0], [100]], with_covariance=False, quantiles={0.01: (40,), 0.99: (60,)})
    assert Watched(model_of(found, shape=(1,))).value(60) == pytest.approx(0.2)
    assert Watched(model_of(found, shape=(1,)), Envelope(quantile=0.99)).value(60) == 1


def test_the_edge_of_normal_data_is_where_one_in_ten_thousand_is_beyond():
    rng = np.random.default_rng(3)
    for count in (4, 16, 64):
        far = np.linalg.norm(rng.normal(size=(100_000, count)), axis=1) > edge_of(count)
        assert 3 <= far.sum() <= 25


def test_an_element_has_the_name_that_the_contract_gives_it():
    model = model_of(statistics([[0, 0, 0], [1, 1, 1], [0, 1, 0]]))
    watched = Watched(model)
    watched.value(0, 0, 9)
    assert watched.memory.worst == "x[2]"
    model.contract = replace(model.contract, inputs=(TensorContract("x", (Element("speed"), Element("load"))),))
    watched = Watched(model)
    for values, worst in (
        ((0, 0, 9), "x[2]"),
        ((0, 9, 0), "load"),
        ((0.5, 0.5, 0.5), ""),
        ((0, 1, 1), "all of x together"),
    ):
        watched.value(*values)
        assert watched.memory.worst == worst


@pytest.mark.parametrize(
    ("model", "envelope", "words"),
    [
        (model_of(contract=False), Envelope(), "no statistics of its training data; write them"),
        (model_of(), Envelope(), "no statistics"),
        (model_of(statistics([[0], [1]], tensor="z")), Envelope(), "no statistics"),
        (model_of(statistics([[0, 1], [1, 2]])), Envelope(), "2 elements of one sample do not fill x"),
        (model_of(statistics([[0] * 3, [1] * 3])), Envelope(quantile=0.9), "no quantile 0.1; it has none"),
        (model_of(statistics([[0] * 3, [1] * 3]), dtype="complex64"), Envelope(), "complex64"),
    ],
)
def test_statistics_that_do_not_fit_are_refused_in_words(model, envelope, words):
    with pytest.raises(TaskError, match=words):
        EnvelopeMemory(model, envelope, "task 't', monitor")


def test_a_covariance_that_is_none_is_refused():
    found = replace(statistics([[0, 0], [1, 1], [2, 1]]), covariance=((1.0, 3.0), (3.0, 1.0)))
    with pytest.raises(TaskError, match="covariance is none"):
        bounds_of(found, None, "t")
