"""Trends as inline SVG: bands of least and greatest over hours, lines of single cycles. Colours come from the page (`paper`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rt_native.text import in_html as escape

Floats = NDArray[np.float64]

WIDTH: Final = 460
HEIGHT: Final = 190
LEFT: Final = 58
RIGHT: Final = 14
TOP: Final = 10
BOTTOM: Final = 26
_TIMES: Final = 4
"""Labels of the time axis, about."""


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Columns of equal length: least and greatest of each, NaN where there is no value. `css`: the class of its colour."""

    css: str
    least: Floats
    greatest: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One value at each time, NaN: none."""

    css: str
    times: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class Frame:
    """Of times from `begin` to `end`; `label` says a time on the axis; `marks`: (css, value) of lines across; `at`: a time to mark."""

    begin: float
    end: float
    label: Callable[[float], str]
    summary: str
    marks: tuple[tuple[str, float], ...] = ()
    at: float | None = None


def bands_picture(bands: Sequence[Band], frame: Frame) -> str:
    """Bands over each other. What lies between two columns is never left out, as each has its ends."""
    scale = _Scale.of(frame, [end for band in bands for end in (band.least, band.greatest)])
    if scale is None:
        return '<p class="none">no value</p>'
    return _svg(frame, scale, [_band(scale, band) for band in bands])


def lines_picture(lines: Sequence[Line], frame: Frame) -> str:
    """Lines through every value."""
    scale = _Scale.of(frame, [line.values for line in lines])
    if scale is None:
        return '<p class="none">no value</p>'
    return _svg(frame, scale, [_line(scale, line) for line in lines])


@dataclass(frozen=True, slots=True)
class _Scale:
    """Times and values to pixels."""

    begin: float
    end: float
    low: float
    high: float

    @classmethod
    def of(cls, frame: Frame, values: Sequence[Floats]) -> _Scale | None:
        """That takes all values; limits that lie near are in it, others are not. None: there is no value."""
        known = np.concatenate([one[np.isfinite(one)] for one in values])
        if not known.size:
            return None
        low, high = float(known.min()), float(known.max())
        room = max(high - low, abs(high) * 1e-9, 1e-300)
        near = [value for _, value in frame.marks if low - room / 2 <= value <= high + room / 2]
        low, high = min([low, *near]), max([high, *near])
        pad = 0.06 * max(high - low, abs(high) * 1e-6, 1e-300)
        return cls(frame.begin, max(frame.end, frame.begin + 1e-12), low - pad, high + pad)

    def x(self, time: float) -> float:
        return LEFT + (time - self.begin) / (self.end - self.begin) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.low) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)


def _svg(frame: Frame, scale: _Scale, drawn: Sequence[str]) -> str:
    ground, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(frame.summary)}">']
    for value in _ticks(scale.low, scale.high, 4):
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="label count" x="{LEFT - 6}" y="{y + 3:.1f}">{value:.6g}</text>')
    for time in _ticks(scale.begin, scale.end, _TIMES):
        x = min(max(scale.x(time), LEFT + 18), right - 22)
        parts.append(f'<text class="label" x="{x:.1f}" y="{ground + 17}">{escape(frame.label(time))}</text>')
    for css, value in frame.marks:
        if scale.low <= value <= scale.high:
            y = scale.y(value)
            parts.append(f'<line class="{css}" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
    if frame.at is not None:
        x = scale.x(frame.at)
        parts.append(f'<line class="at" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{ground}"/>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{ground}" y2="{ground}"/>')
    return "".join([*parts, *drawn, "</svg>"])


def _band(scale: _Scale, band: Band) -> str:
    """A closed shape for each stretch without a gap."""
    count, drawn = len(band.least), []
    step = (scale.end - scale.begin) / count
    for first, last in _stretches(np.isfinite(band.least) & np.isfinite(band.greatest)):
        columns = range(first, last)
        top = [(scale.x(scale.begin + step * (i + 0.5)), scale.y(band.greatest[i])) for i in columns]
        ground = [(scale.x(scale.begin + step * (i + 0.5)), scale.y(band.least[i])) for i in reversed(columns)]
        if last - first == 1:  # of one column a shape has no width
            top.append((top[0][0] + 0.8, top[0][1]))
        drawn.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in [*top, *ground]) + "Z")
    return f'<path class="{band.css} band" d="{"".join(drawn)}"/>'


def _line(scale: _Scale, line: Line) -> str:
    drawn = []
    for first, last in _stretches(np.isfinite(line.values)):
        points = [(scale.x(line.times[i]), scale.y(line.values[i])) for i in range(first, last)]
        if last - first == 1:
            points.append((points[0][0] + 0.8, points[0][1]))
        drawn.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points))
    return f'<path class="{line.css} line" d="{"".join(drawn)}"/>'


def _stretches(known: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """(first, behind the last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers within, about so many."""
    rough = (high - low) / about
    if not rough > 0 or not math.isfinite(rough):
        return []
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * nice for nice in (1, 2, 5) if power * nice >= rough), power * 10)
    first = math.ceil(low / step)
    return [0.0 if not i else i * step for i in range(first, math.floor(high / step) + 1)]
