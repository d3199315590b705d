"""From times to choices: a change has to be worth it, and seen nearly every time. Pure."""

import numpy as np
from numpy.typing import NDArray

LEAST_GAIN, LEAST_NS = 0.03, 100.0
"""A share of the record's time, and nanoseconds: below either nothing is changed."""
AGREE = 0.8
"""The share of rounds in which the change has to be quicker."""


def choose(times: NDArray[np.float64], applies: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The alternative for each record; 0, the first, unless another is clearly quicker.

    Rounds are compared each with itself, so that a processor that changes its pace, or a neighbour, makes no difference between
    alternatives; medians are taken of the ratios.

    Args:
        times: [rounds, alternatives, records], of runs that alternate within a round.
        applies: [alternatives, records]; the others are not looked at.
    """
    ratios = times / np.maximum(times[:, :1], 1.0)
    middle = np.where(applies, np.median(ratios, axis=0), np.inf)
    best = middle.argmin(axis=0)
    each = np.arange(times.shape[2])
    saved = np.median(times[:, 0] - times[:, best, each], axis=0)
    agree = (ratios[:, best, each] < 1.0).mean(axis=0)
    good = (middle[best, each] < 1.0 - LEAST_GAIN) & (saved > LEAST_NS) & (agree >= AGREE)
    chosen: NDArray[np.int64] = np.where(good, best, 0)
    return chosen
