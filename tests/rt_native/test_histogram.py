"""Log-linear histograms: bins, percentiles, and the native twin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_native.histogram import BINS, Histogram, bin_of, edges_ns
from rt_native.library import Library

NATIVE = Library("histogram_test", ("rt_native.histogram_native",))


@given(st.integers(0, 2**40))
def test_a_time_lies_within_its_bin(ns):
    """Lower edge <= time < upper edge, up to the last bin, which takes the rest."""
    edges, index = edges_ns(), bin_of(ns)
    assert edges[index] <= ns
    assert ns < edges[index + 1] or index == BINS - 1


def test_bins_are_three_percent_wide():
    """Above 32 ns no bin is wider than 1/32 of its lower edge."""
    edges = edges_ns()[33:]
    assert np.all(np.diff(edges) <= edges[:-1] / 32)


@given(st.lists(st.integers(0, 2**37), min_size=1, max_size=200))
def test_native_counting_is_the_same(times):
    """What the cycle counts and what Python counts agree to the last word."""
    ours, native = Histogram(), Histogram()
    add = NATIVE.function("histogram_add")
    for ns in times:
        ours.add(ns)
        add(native.address, ns)
    assert ours.summary() == native.summary()
    assert np.array_equal(ours.bins()[1], native.bins()[1])


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300), st.sampled_from([50, 90, 99, 99.9]))
def test_percentile_is_right_to_three_percent(times, percent):
    """Never below the true percentile, and at most one bin above it."""
    histogram = Histogram()
    for ns in times:
        histogram.add(ns)
    true = np.sort(times)[int(np.ceil(len(times) * percent / 100)) - 1]
    assert true <= histogram.percentile(percent) <= true * (1 + 1 / 32) + 1


def test_empty_and_reset():
    """An empty histogram gives zeros; reset empties it."""
    histogram = Histogram()
    assert histogram.percentile(99) == 0
    histogram.add(5)
    histogram.reset()
    assert (histogram.count, histogram.max, histogram.percentile(50)) == (0, 0, 0)


def test_min_and_max_of_one():
    """One sample is minimum, maximum, last and every percentile."""
    histogram = Histogram()
    histogram.add(12345)
    assert histogram.min == histogram.max == histogram.last == 12345
    assert histogram.percentile(50) == pytest.approx(12345)
