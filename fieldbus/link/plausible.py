"""Which inputs mean nothing: outside low..high of their tag, or a number by which the device says that it has no value. Pure.

Such a value is NaN in the process image, and the channels that carry it are BAD. NaN itself is one too, where the tag says what is
plausible; of a tag that says nothing every value counts as it came.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldbus.tags import Tag

_FLOAT32_STEP, _STEP = 2.0**-24, 2.0**-40
"""Relative: what a limit loses on its way through the device's type and back, and more than rounding ever costs."""
_EXACT_BYTES = 4
"""Integers of so many bytes have room for a part of a step in a float64."""
_NOWHERE = (np.inf, -np.inf)
_MOST_NAMED = 3


def is_judged(tag: Tag) -> bool:
    """Whether an input says which of its values mean something."""
    return tag.direction == "in" and bool(tag.not_available or math.isfinite(tag.low) or math.isfinite(tag.high))


def plausible_range(tag: Tag) -> tuple[float, float]:
    """The least and the greatest value that count, in engineering units: its limits, a little wider than written.

    So a limit that has to be rounded, like 0.1 in a float32 or 1200 at scale 0.1, is itself within.
    """
    step = _FLOAT32_STEP if tag.type == "float32" else _STEP
    low, high = (
        step * (abs(limit) + abs(tag.offset)) if math.isfinite(limit) else 0.0 for limit in (tag.low, tag.high)
    )
    return tag.low - low, tag.high + high


def not_available(tag: Tag) -> tuple[float, ...]:
    """The values that mean "not available", in engineering units: as a decoder makes them of the raw numbers."""
    return tuple(raw * tag.scale + tag.offset for raw in tag.unavailable)


class Plausible:
    """Judges the values of some tags, cell after cell."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        cells = [tag for tag in tags for _ in range(tag.count)]
        self._tags = cells
        self._judged = np.array([i for i, tag in enumerate(cells) if is_judged(tag)], np.intp)
        ranges = [plausible_range(cells[i]) for i in self._judged]
        self._low, self._high = (np.array([limits[end] for limits in ranges], np.float64) for end in (0, 1))
        none = [_around(cells[i]) for i in self._judged]
        most = max(map(len, none), default=0)
        self._none = [np.array([n[k] if k < len(n) else _NOWHERE for n in none], np.float64).T for k in range(most)]

    def doubtful(self, values: NDArray[np.float64]) -> NDArray[np.bool_] | None:
        """Which cells mean nothing; None: every one counts."""
        if not self._judged.size:
            return None
        judged = values[self._judged]
        good = (judged >= self._low) & (judged <= self._high)  # NaN is never within
        for low, high in self._none:
            good &= ~((judged >= low) & (judged <= high))
        if good.all():
            return None
        doubtful = np.zeros(values.size, np.bool_)
        doubtful[self._judged] = ~good
        return doubtful

    def words(self, values: NDArray[np.float64], doubtful: NDArray[np.bool_] | None) -> str:
        """Of which tags, and why: `temp: not available (raw -32768); volt: 655 V is not within 0 to 500`.

        Doubtful cells whose values are well are so for reasons of others, who tell them.
        """
        own = self.doubtful(values)
        if doubtful is None or own is None:
            return ""
        told: dict[str, str] = {}
        for cell in np.flatnonzero(doubtful & own):
            told.setdefault(self._tags[cell].name, _why(self._tags[cell], float(values[cell])))
        named = [f"{name}: {why}" for name, why in list(told.items())[:_MOST_NAMED]]
        more = [f"and {len(told) - _MOST_NAMED} more"] if len(told) > _MOST_NAMED else []
        return "; ".join([*named, *more])


def _around(tag: Tag) -> list[tuple[float, float]]:
    """From where to where a value is one that means "not available": less than half a step of an integer, against rounding."""
    near = 0.25 * abs(tag.scale) if not tag.number.is_float and tag.number.nbytes <= _EXACT_BYTES else 0.0
    return [(value - near, value + near) for value in not_available(tag)]


def _why(tag: Tag, value: float) -> str:
    for raw, (low, high) in zip(tag.unavailable, _around(tag), strict=True):
        if low <= value <= high:
            return f"not available (raw {raw:.17g})"
    if np.isnan(value):
        return "not available (NaN)"
    unit = f" {tag.unit}" if tag.unit else ""
    return f"{value:g}{unit} is not within {tag.low:g} to {tag.high:g}"
