"""Percentiles, ratios to the C program, tables and a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.reaction_time.rivals import percentiles

MEASURES: Final = ("exchange", "register")
RATIOS: Final = (50.0, 99.9)
US: Final = 1e3
COLUMNS: Final = ("measure", "", "p50", "p99", "p99.9", "max", "x p50", "x p99.9", "CPU ms/s", "safe", "wrong", "lost")
COLORS: Final = ("#555", "#c60", "#06c", "#083", "#909")
WIDTH: Final = 520
HEIGHT: Final = 190
LEFT: Final = 60
TOP: Final = 40
"""Of each part of the picture, with room at its left and above."""
LOWEST_NS: Final = 1e3
HIGHEST_NS: Final = 1e8
RAREST: Final = 1e-4
"""Ends of its axes."""


@dataclass(frozen=True, slots=True)
class Result:
    """One run: times by kind, the device's counts, its length, processor time of the process (of threads) in ns per second."""

    times: Mapping[str, NDArray[np.int64]]
    counts: Mapping[str, int]
    seconds: float
    cpu_ns_per_s: float
    threads_ns_per_s: Mapping[str, float]
    round_trips_us: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One run as plain numbers: {measure: {"p50": us, ...}}."""

    load: str
    rival: str
    round: int
    times_us: dict[str, dict[str, float]]
    counts: dict[str, int]
    seconds: float
    cpu_ms_per_s: float
    cpu_us_per_exchange: float
    threads_ms_per_s: dict[str, float]
    round_trips_us: dict[str, float]


@dataclass(slots=True)
class Figures:
    """All runs, and who could not be measured, with the reason."""

    runs: dict[str, dict[str, list[Result]]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, load: str, rival: str, result: Result) -> None:
        """One run more."""
        self.runs.setdefault(load, {}).setdefault(rival, []).append(result)

    def rows(self) -> Iterator[Row]:
        """Each run."""
        for load, of_rivals in self.runs.items():
            for rival, results in of_rivals.items():
                for number, result in enumerate(results, 1):
                    yield row(load, rival, number, result)


def row(load: str, rival: str, number: int, result: Result) -> Row:
    """A run as plain numbers."""
    times = {name: percentiles(ns) for name, ns in result.times.items()}
    cpu_ms, exchanges = result.cpu_ns_per_s / 1e6, max(result.counts["writes"], 1)
    per_exchange = result.cpu_ns_per_s * result.seconds / exchanges / US
    threads = {name: ns / 1e6 for name, ns in result.threads_ns_per_s.items()}
    trips = dict(result.round_trips_us)
    return Row(load, rival, number, times, dict(result.counts), result.seconds, cpu_ms, per_exchange, threads, trips)


def ratio(ours: Sequence[Result], theirs: Sequence[Result], measure: str, percentile: float) -> float:
    """Median over the rounds of ours to theirs."""
    pairs = [(a.times[measure], b.times[measure]) for a, b in zip(ours, theirs, strict=False)]
    found = [np.percentile(a, percentile) / np.percentile(b, percentile) for a, b in pairs if a.size and b.size]
    return float(np.median(found)) if found else math.nan


def table(load: str, figures: Figures, yardstick: str, targets: Mapping[str, Mapping[float, float]]) -> Table:
    """All rounds of a load together, in microseconds; ratios are medians over the rounds.

    `targets`: rival -> percentile -> the greatest ratio that we want of it; green or red.
    """
    shown = Table(title=f"{load}: reaction in us, all rounds together; ratio to the {yardstick}: median of the rounds")
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column in ("measure", "") else "right")
    runs = figures.runs.get(load, {})
    for measure in MEASURES:
        for rival, results in runs.items():
            found = percentiles(np.concatenate([result.times[measure] for result in results]))
            ratios = [ratio(results, runs.get(yardstick, []), measure, p) for p in RATIOS]
            goals = [targets.get(rival, {}).get(p, math.nan) for p in RATIOS]
            cpu = float(np.median([result.cpu_ns_per_s for result in results])) / 1e6
            counts = [sum(r.counts[name] for r in results) for name in ("safe", "wrong", "connections")]
            shown.add_row(
                measure, rival, *numbers(found), *map(colored, ratios, goals), f"{cpu:.1f}", *map(str, counts)
            )
        shown.add_section()
    for rival, results in runs.items():
        told = [result.round_trips_us for result in results if result.round_trips_us]
        trips = {name: float(np.median([one[name] for one in told])) for name in (told[0] if told else ())}
        ratios = [trip_ratio(results, runs.get(yardstick, []), f"p{p:g}") for p in RATIOS]
        shown.add_row("round trip", rival, *numbers(trips), *(colored(value, math.nan) for value in ratios))
    return shown


def trip_ratio(ours: Sequence[Result], theirs: Sequence[Result], name: str) -> float:
    """Of round trips by the rivals' own clocks, median over the rounds."""
    pairs = [(a.round_trips_us, b.round_trips_us) for a, b in zip(ours, theirs, strict=False)]
    found = [a[name] / b[name] for a, b in pairs if name in a and b.get(name)]
    return float(np.median(found)) if found else math.nan


def numbers(found: Mapping[str, float]) -> list[str]:
    """Percentiles and maximum, for a table."""
    return [f"{found[name]:,.1f}" if name in found else "-" for name in ("p50", "p99", "p99.9", "max")]


def colored(value: float, goal: float) -> str:
    """A ratio, green within its goal, red beyond."""
    if math.isnan(value):
        return "-"
    text = f"{value:.2f}"
    return text if math.isnan(goal) else f"[{'green' if value <= goal else 'red'}]{text}[/]"


def svg(figures: Figures, loads: Sequence[str]) -> str:
    """For each load and measure: the share of reactions (down, log scale) that took longer than a time (across, log scale)."""
    parts, names = [], list(dict.fromkeys(name for runs in figures.runs.values() for name in runs))
    for down, load in enumerate(loads):
        for across, measure in enumerate(MEASURES):
            x, y = across * (WIDTH + LEFT + 20), down * (HEIGHT + TOP + 30)
            parts.append(f'<g transform="translate({x + LEFT},{y + TOP})">{_frame(f"{load}: {measure}")}')
            parts += [
                f'<polyline points="{_curve(results, measure)}" fill="none" stroke="{COLORS[names.index(name)]}"/>'
                for name, results in figures.runs.get(load, {}).items()
            ]
            parts.append("</g>")
    bottom = len(loads) * (HEIGHT + TOP + 30)
    for place, name in enumerate(names):
        parts.append(f'<text x="{LEFT + 220 * place}" y="{bottom + 18}" fill="{COLORS[place]}">{name}</text>')
    size = f'width="{2 * (WIDTH + LEFT + 20)}" height="{bottom + 30}"'
    style = 'font-family="sans-serif" font-size="12" style="background:#fff"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>' + "".join(parts) + "</svg>\n"


def _frame(title: str) -> str:
    """A title, and lines at powers of ten."""
    parts = [f'<text y="-10" font-weight="bold">{title}</text>']
    for exponent in range(3, 9):
        x = _across(10.0**exponent)
        label = ("1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms")[exponent - 3]
        parts.append(f'<path d="M{x:.0f} 0v{HEIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 12:.0f}" y="{HEIGHT + 15}">{label}</text>')
    for exponent in range(5):
        y = _down(10.0**-exponent)
        label = ("all", "10 %", "1 %", "0.1 %", "0.01 %")[exponent]
        parts.append(f'<path d="M0 {y:.0f}h{WIDTH}" stroke="#ddd"/><text x="-48" y="{y + 4:.0f}">{label}</text>')
    return "".join(parts)


def _curve(results: Sequence[Result], measure: str) -> str:
    ns = np.sort(np.concatenate([result.times[measure] for result in results]))
    shares = np.geomspace(1.0, max(RAREST, 1.0 / max(ns.size, 1)), 120)
    if not ns.size:
        return ""
    return " ".join(f"{_across(float(np.quantile(ns, 1.0 - share))):.1f},{_down(float(share)):.1f}" for share in shares)


def _across(ns: float) -> float:
    span = math.log10(HIGHEST_NS / LOWEST_NS)
    return WIDTH * min(max(math.log10(max(ns, 1.0) / LOWEST_NS) / span, 0.0), 1.0)


def _down(share: float) -> float:
    return HEIGHT * math.log10(share) / math.log10(RAREST)
