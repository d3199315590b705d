"""Pictures of latencies as inline SVG: the plot that OSADL's farm made known, the longest over time, and the fit.

Counts are logarithmic, so that one cycle of a million is seen. Times are linear, but where the longest is far beyond the rest.
Colours of axes and text come from the page (`station.show.paper`); a series brings its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from rt_native.text import in_html as escape
from station.latency.doubts import BEYOND, Verdict
from station.latency.fit import Floats, Gev, Level
from station.latency.result import Spread, Subject
from station.terms.durations import format_duration

WIDTH: Final = 940
HEIGHT: Final = 260
SMALL: Final = 460
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 28
COLUMN: Final = 4
"""Pixels of a bar."""
FAR: Final = 20.0
"""The longest is so many times the 99th percentile: then times are logarithmic."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Values to pixels, linear or logarithmic."""

    low: float
    high: float
    begin: float
    end: float
    is_log: bool

    def at(self, value: float) -> float:
        """Where a value is."""
        if self.is_log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def value(self, pixel: float) -> float:
        """What is there."""
        share = (pixel - self.begin) / (self.end - self.begin)
        return self.low * (self.high / self.low) ** share if self.is_log else self.low + share * (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values: about six, or the decades and what lies between where they are few."""
        if self.is_log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(decades) < 4 else (1,)
            found = [step * 10.0**decade for decade in decades for step in steps]
        else:
            rough = (self.high - self.low) / 6
            unit = 10.0 ** math.floor(math.log10(rough))
            step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
            found = [step * k for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        return [value for value in found if self.low <= value <= self.high]


def colour(number: int, count: int) -> str:
    """One of `count` that are told apart, in the light and in the dark."""
    return f"hsl({(205 + 360 * number / max(count, 1)) % 360:.0f} 65% 50%)"


def key(names: Sequence[str]) -> str:
    """Which colour is whose, as HTML."""
    return "".join(
        f'<span class="key" style="background:{colour(i, len(names))}"></span>{escape(name)}'
        for i, name in enumerate(names)
    )


def _svg(width: int, summary: str, *parts: str) -> str:
    return f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(summary)}">{"".join(parts)}</svg>'


def _axes(x: Axis, y: Axis, x_label: Callable[[float], str], y_label: Callable[[float], str]) -> str:
    parts = [f'<line class="axis" x1="{x.begin}" x2="{x.end}" y1="{y.begin}" y2="{y.begin}"/>']
    for value in x.ticks():
        at = x.at(value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{y.end}" y2="{y.begin + 4}"/>')
        parts.append(f'<text class="label" x="{at:.1f}" y="{y.begin + 17}">{x_label(value)}</text>')
    for value in y.ticks():
        at = y.at(value)
        parts.append(f'<line class="grid" x1="{x.begin}" x2="{x.end}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="label count" x="{x.begin - 6}" y="{at + 3:.1f}">{y_label(value)}</text>')
    return "".join(parts)


def _count(value: float) -> str:
    return f"{value:,.0f}" if value < 1e5 else f"1e{math.log10(value):.0f}"


def _time(ns: float) -> str:
    return format_duration(ns, 3)


def _across(width: int, low: float, high: float, is_log: bool) -> Axis:
    return Axis(low, high, LEFT, width - RIGHT, is_log)


def _up(low: float, high: float, is_log: bool) -> Axis:
    return Axis(low, high, HEIGHT - BOTTOM, TOP, is_log)


# --- histograms -----------------------------------------------------------------------------------------------------------


def columns(spread: Spread, edges: Floats) -> Floats:
    """Counts between edges. A bin with few samples stays whole, in the column of its middle; others are spread over theirs."""
    found = np.zeros(len(edges) - 1)
    for low, high, count in spread.bars:
        high = min(high, spread.max + 1)
        first = int(np.searchsorted(edges, low, side="right")) - 1
        last = max(int(np.searchsorted(edges, high, side="left")) - 1, first)
        if last > first and count >= 4 * (last - first + 1):
            inside = np.clip(edges[first : last + 2], low, high)
            found[max(first, 0) : last + 1] += (count * np.diff(inside) / (high - low))[: len(found) - max(first, 0)]
        else:
            middle = int(np.searchsorted(edges, (low + high) / 2, side="right")) - 1
            found[min(max(middle, 0), len(found) - 1)] += count
    return found


def latency_plot(series: Sequence[tuple[str, Spread]]) -> str:
    """Counts of latencies, a line for each series (a core, a task)."""
    some = [(name, spread) for name, spread in series if spread.count]
    if not some:
        return '<p class="none">nothing was measured</p>'
    longest = max(spread.max for _, spread in some)
    is_log = longest > FAR * max(spread.percentile(99) for _, spread in some)
    low = max(min(spread.min for _, spread in some) * 0.8, 100.0) if is_log else 0.0
    x = _across(WIDTH, low, max(longest * 1.05, low * 2, 1000.0), is_log)
    edges = np.array([x.value(pixel) for pixel in np.arange(x.begin, x.end + COLUMN, COLUMN)])
    counts = [columns(spread, edges) for _, spread in some]
    y = _up(0.5, max(float(found.max()) for found in counts) * 1.5, True)
    lines = []
    for number, ((name, spread), found) in enumerate(zip(some, counts, strict=True)):
        path = "".join(
            f"M{x.begin + COLUMN * i:.0f} {y.begin}V{y.at(max(count, 0.7)):.1f}h{COLUMN}V{y.begin}"
            for i, count in enumerate(found)
            if count > 0
        )
        ink = colour(number, len(some))
        told = f"{name}: {spread.count:,} cycles, longest {format_duration(spread.max, 3)}"
        lines.append(
            f'<path d="{path}" style="fill:{ink};fill-opacity:.25;stroke:{ink};stroke-width:1"><title>{escape(told)}</title></path>'
        )
        at = x.at(spread.max)
        lines.append(f'<path d="M{at:.1f} {y.begin}V{y.end}" style="stroke:{ink};stroke-dasharray:3 3"/>')
    summary = "latencies: " + ", ".join(f"{name} at most {format_duration(s.max, 3)}" for name, s in some)
    return _svg(WIDTH, summary, _axes(x, y, _time, _count), *lines)


# --- over time ------------------------------------------------------------------------------------------------------------


def over_time(subjects: Sequence[Subject], interval_ns: int) -> str:
    """The longest reaction of each interval by the time of day; where intervals are many, the longest of those in a column."""
    points = [(s, list(_points(s, interval_ns))) for s in subjects]
    every = [point for _, some in points for point in some]
    if not every:
        return '<p class="none">nothing was measured</p>'
    begin, end = min(at for at, _ in every), max(at for at, _ in every)
    seconds = max((end - begin).total_seconds(), 1e-3)
    x = _across(WIDTH, 0.0, seconds, False)
    values = [ns for _, ns in every]
    y = _up(max(min(values) * 0.8, 1.0), max(max(values) * 1.3, min(values) * 2), True)
    lines = []
    for number, (subject, some) in enumerate(points):
        columns: dict[int, int] = {}
        for at, ns in some:
            pixel = round(x.at((at - begin).total_seconds()))
            columns[pixel] = max(columns.get(pixel, 0), ns)
        path = "".join(f"M{pixel} {y.at(ns):.1f}h1.5" for pixel, ns in sorted(columns.items()))
        ink = colour(number, len(points))
        lines.append(f'<path d="{path}" style="stroke:{ink};stroke-width:3;fill:none"/>')
        if subject.longest:
            top = subject.longest[0]
            across, height = x.at((top.at - begin).total_seconds()), y.at(top.reaction_ns)
            told = f"{top.at.astimezone():%H:%M:%S} {format_duration(top.reaction_ns, 3)}: {top.why[0].words if top.why else ''}"
            lines.append(
                f'<circle cx="{across:.1f}" cy="{height:.1f}" r="5" style="fill:none;stroke:{ink};stroke-width:1.5">'
                f"<title>{escape(told)}</title></circle>"
            )
    return _svg(
        WIDTH,
        f"longest of each interval over {seconds:.0f} s",
        _axes(x, y, lambda s: _clock(begin, s, seconds), _time),
        *lines,
    )


def _points(subject: Subject, interval_ns: int) -> Iterator[tuple[datetime, int]]:
    for stretch in subject.stretches:
        for number, (ns, cycles) in enumerate(zip(stretch.reaction.tolist(), stretch.cycles.tolist(), strict=True)):
            if cycles:
                yield stretch.began + timedelta(seconds=number * interval_ns / 1e9), ns


def _clock(begin: datetime, seconds: float, whole: float) -> str:
    return format(begin.astimezone() + timedelta(seconds=seconds), "%H:%M" if whole > 600 else "%H:%M:%S")


# --- the fit --------------------------------------------------------------------------------------------------------------


def quantiles(fitted: Gev, blocks: Floats) -> str:
    """Each block's longest against what the fit expects there (a QQ plot): on the line where the fit is right."""
    ordered = np.sort(blocks)
    expected = fitted.quantile((np.arange(len(ordered)) + 0.56) / (len(ordered) + 0.12))
    low, high = _ends(ordered, np.maximum(expected, ordered[0] / 2))
    is_log = high > FAR * low
    x, y = _across(SMALL, low, high, is_log), _up(low, high, is_log)
    dots = "".join(
        f'<circle cx="{x.at(float(e)):.1f}" cy="{y.at(float(o)):.1f}" r="2.2" class="bar"/>'
        for e, o in zip(expected, ordered, strict=True)
    )
    line = f'<line class="mark" x1="{x.begin}" y1="{y.begin}" x2="{x.end}" y2="{y.end}"/>'
    return _svg(SMALL, "maxima against the fit", _axes(x, y, _time, _time), line, dots)


def _ends(*values: Floats) -> tuple[float, float]:
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    room = 0.04 * (high - low) or 1.0
    return max(low - room, 1.0), high + room


def levels_plot(verdict: Verdict, blocks: Floats, curve: Sequence[Level]) -> str:
    """Which time is exceeded once in so many cycles: the fit with its 95 % interval, and the blocks that were measured."""
    ordered, n = np.sort(blocks), len(blocks)
    seen = verdict.block_cycles / -np.log((np.arange(n) + 0.56) / (n + 0.12))
    low, high = _ends(
        ordered, np.array([level.high_ns for level in curve]), np.array([level.low_ns for level in curve])
    )
    x = _across(SMALL, float(seen.min()), verdict.cycles * BEYOND * 1.2, True)
    y = _up(low, high, high > FAR * low)
    there = "L".join(f"{x.at(level.cycles):.1f} {y.at(level.high_ns):.1f}" for level in curve)
    back = "L".join(f"{x.at(level.cycles):.1f} {y.at(level.low_ns):.1f}" for level in reversed(curve))
    middle = "L".join(f"{x.at(level.cycles):.1f} {y.at(level.ns):.1f}" for level in curve)
    dots = "".join(
        f'<circle cx="{x.at(float(s)):.1f}" cy="{y.at(float(o)):.1f}" r="2.2" class="bar"/>'
        for s, o in zip(seen, ordered, strict=True)
    )
    measured = x.at(verdict.cycles)
    return _svg(
        SMALL,
        "time exceeded once in so many cycles",
        _axes(x, y, _count, _time),
        f'<path class="old band" d="M{there}L{back}Z"/><path class="old line" d="M{middle}"/>',
        f'<line class="limit" x1="{measured:.1f}" x2="{measured:.1f}" y1="{y.begin}" y2="{y.end}"><title>measured</title></line>',
        dots,
    )
