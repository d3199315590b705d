"""Histograms as pictures: inline SVG for the report, bars of text for the terminal. Times and counts on log scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rt_native.histogram import Histogram
from rt_native.text import in_html as escape
from scheduler.stats import Latency
from station.terms.durations import format_duration

WIDTH: Final = 460
HEIGHT: Final = 210
LEFT: Final = 44
RIGHT: Final = 14
TOP: Final = 54
BOTTOM: Final = 26
FINE_BINS_PER_BAR: Final = 4
LETTER: Final = 6.0
"""Width of a letter of a label, at most."""
ROW: Final = 12
"""Height of a row of labels."""


@dataclass(frozen=True, slots=True)
class Bar:
    """`count` samples from `low_ns` to below `high_ns`."""

    low_ns: int
    high_ns: int
    count: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A histogram, copied: its title, its numbers, and its non-empty bins."""

    title: str
    timing: Latency
    bars: tuple[Bar, ...]

    @classmethod
    def of(cls, title: str, histogram: Histogram) -> Picture:
        """Copy a histogram that may still be counting."""
        edges, counts = histogram.bins()
        bars = tuple(Bar(int(edges[i]), int(edges[i + 1]), int(counts[i])) for i in counts.nonzero()[0])
        return cls(title, Latency.of(histogram), bars)

    @property
    def marks(self) -> tuple[tuple[str, float], ...]:
        """Name and time of what a reader looks for."""
        t = self.timing
        return ("p50", t.p50_ns), ("p99", t.p99_ns), ("p99.9", t.p99_9_ns), ("max", t.max_ns)


def octave_bars(bars: Sequence[Bar], per_octave: int) -> list[Bar]:
    """Bars of equal width on a log scale, `per_octave` for each doubling; empty ones between the others included."""
    counts: dict[int, int] = {}
    for bar in bars:
        slot = math.floor(math.log2(math.sqrt(max(bar.low_ns, 1) * max(bar.high_ns, 1))) * per_octave)
        counts[slot] = counts.get(slot, 0) + bar.count
    return [
        Bar(round(2 ** (slot / per_octave)), round(2 ** ((slot + 1) / per_octave)), counts.get(slot, 0))
        for slot in (range(min(counts), max(counts) + 1) if counts else ())
    ]


def text_picture(picture: Picture, width: int = 44, rows: int = 16) -> str:
    """Bars of text, one row for a range of times, longest bar `width`; a line with the marks below."""
    if not picture.bars:
        return f"{picture.title}: nothing was measured"
    bars = next(b for b in (octave_bars(picture.bars, n) for n in (16, 8, 4, 2, 1)) if len(b) <= rows or b[1:2] == [])
    longest = math.log10(max(bar.count for bar in bars)) + 1
    lines = [f"{picture.title} ({picture.timing.count:,} samples, count on a log scale)"]
    for bar in bars:
        length = round(width * (math.log10(bar.count) + 1) / longest) if bar.count else 0
        times = f"{format_duration(bar.low_ns, 3):>8} .. {format_duration(bar.high_ns, 3):<8}"
        lines.append(f"  {times} {'█' * length}{' ' if length else ''}{bar.count:,}")
    lines.append("  " + "   ".join(f"{name} {format_duration(ns, 3)}" for name, ns in picture.marks))
    return "\n".join(lines)


def svg_picture(picture: Picture) -> str:
    """An inline SVG element; colours come from the page's style sheet (classes bar, axis, mark, label)."""
    if not picture.bars:
        return '<p class="none">nothing was measured</p>'
    scale = _Scale.of(picture)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_summary(picture))}">',
        *_time_axis(scale),
        *_count_axis(scale),
        *(_bar(scale, bar) for bar in octave_bars(picture.bars, 32 // FINE_BINS_PER_BAR) if bar.count),
        *_marks(scale, picture),
        "</svg>",
    ]
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Nanoseconds and counts to pixels, both logarithmic."""

    low: float
    high: float
    most: float

    @classmethod
    def of(cls, picture: Picture) -> _Scale:
        low = math.log10(max(picture.bars[0].low_ns, 1))
        high = math.log10(max(picture.bars[-1].high_ns, picture.timing.max_ns, 2))
        room = max(0.35, 0.04 * (high - low))  # never so narrow that one bar fills the picture
        most = max(bar.count for bar in octave_bars(picture.bars, 32 // FINE_BINS_PER_BAR))
        return cls(low - room / 2, high + room / 2, math.log10(most) + 0.3)

    def x(self, ns: float) -> float:
        share = (math.log10(max(ns, 1)) - self.low) / (self.high - self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, count: float) -> float:
        """One sample stands a little above the ground, so that a single outlier is seen."""
        share = (math.log10(count) + 0.3) / (self.most + 0.3)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _bar(scale: _Scale, bar: Bar) -> str:
    left, right, top = scale.x(bar.low_ns), scale.x(bar.high_ns), scale.y(bar.count)
    title = f"{format_duration(bar.low_ns)} .. {format_duration(bar.high_ns)}: {bar.count:,}"
    return (
        f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" width="{max(right - left - 0.6, 0.8):.1f}" '
        f'height="{HEIGHT - BOTTOM - top:.1f}"><title>{title}</title></rect>'
    )


def _time_axis(scale: _Scale) -> list[str]:
    ground = HEIGHT - BOTTOM
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{ground}" y2="{ground}"/>']
    steps = (1, 2, 5) if scale.high - scale.low < 3.2 else (1,)
    for decade in range(math.floor(scale.low), math.ceil(scale.high) + 1):
        for step in steps:
            ns = step * 10.0**decade
            if scale.low <= math.log10(ns) <= scale.high:
                x = scale.x(ns)
                parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{ground + 4}"/>')
                parts.append(f'<text class="label" x="{x:.1f}" y="{ground + 17}">{format_duration(ns)}</text>')
    return parts


def _count_axis(scale: _Scale) -> list[str]:
    parts = []
    for decade in range(0, math.floor(scale.most) + 1):
        y = scale.y(10**decade)
        label = f"{10**decade:,}" if decade < 5 else f"1e{decade}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="label count" x="{LEFT - 6}" y="{y + 3:.1f}">{label}</text>')
    return parts


def _marks(scale: _Scale, picture: Picture) -> list[str]:
    """A line for each mark; its label moves to the next row when it would cover one before."""
    lines, labels, free_from = [], [], [0.0] * 4
    for name, ns in picture.marks:
        x, label = scale.x(ns), f"{name} {format_duration(ns, 3)}"
        half = LETTER / 2 * len(label)
        middle = min(max(x, LEFT + half), WIDTH - half - 2)
        row = next((row for row in range(4) if middle - half >= free_from[row]), 3)
        free_from[row] = middle + half + 4
        y = 10 + ROW * row
        lines.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 2}" y2="{HEIGHT - BOTTOM}"/>')
        labels.append(f'<text class="label mark-label" x="{middle:.1f}" y="{y}">{label}</text>')
    return lines + labels


def _summary(picture: Picture) -> str:
    return f"{picture.title}: " + ", ".join(f"{name} {format_duration(ns, 3)}" for name, ns in picture.marks)
