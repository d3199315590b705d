"""Comparisons as a table, as JSON, as a plot."""

import importlib.util
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from rt_engine.errors import EngineError
from rt_engine.measure.compare import Comparison
from rt_engine.measure.engines import OURS
from rt_engine.measure.peaks import Peaks
from rt_native.terminal import Column, Sheet
from rt_native.text import in_html as escape


class PlotError(EngineError):
    """A plot cannot be written in that format."""


def _us(ns: float | None) -> str:
    if ns is None or math.isnan(ns):
        return "-"
    us = ns / 1000
    return f"{us:.2f}" if us < 100 else f"{us:,.0f}"


def _times(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}x" if value < 10 else f"{value:.1f}x"


def table(comparisons: Sequence[Comparison], facts: Peaks) -> Sheet:
    """One row per model: our percentiles, the peers' medians, the ratio against the best one, warm and cold."""
    peers = list(dict.fromkeys(n for c in comparisons for n in (*c.timings, *c.refused) if n != OURS.name))
    ranks = {"p50": 0, "p99": 3, "p99.9": 4, "cold": 4, **{f"{p}\np50": 1 for p in peers}, "ratio": 1, "target": 5}
    ranks |= {"cold\nratio": 4, "of\npeak": 3, "error": 2}
    columns = (Column("model", folds=True), *(Column(name, rank, right=True) for name, rank in ranks.items()))
    made = Sheet(columns, title="Microseconds, one thread", caption=str(facts))
    for c in comparisons:
        ours, ratio = c.timings.get(OURS.name), c.ratio()
        if ours is None:
            mine = [Text("refused", "red"), "", "", ""] if OURS.name in c.refused else ["-"] * 4
        else:
            mine = [_us(ours.p50), _us(ours.p99), _us(ours.p999), _us(ours.cold)]
        met = ratio is not None and c.target is not None and ratio >= c.target
        made.add(
            c.name,
            *mine,
            *(_peer(c, p) for p in peers),
            Text(_times(ratio), "green" if met or c.target is None else "red"),
            _times(c.target),
            _times(c.ratio(cold=True)),
            "-" if c.of_peak is None else f"{c.of_peak:.0%}",
            _error(c),
        )
    return made


def _error(comparison: Comparison) -> Text:
    ours = comparison.timings.get(OURS.name)
    if ours is None:
        return Text("")
    return Text(f"{ours.error:.0e} wrong", "red") if OURS.name in comparison.wrong else Text(f"{ours.error:.0e}")


def _peer(comparison: Comparison, peer: str) -> Text:
    if peer in comparison.refused:
        return Text("refused", "dim")
    timing, wrong = comparison.timings.get(peer), (" wrong", "red") if peer in comparison.wrong else ""
    return Text.assemble("-" if timing is None else _us(timing.p50), wrong if timing else "")


def notes(comparisons: Sequence[Comparison]) -> list[str]:
    """What was refused, and what is wrong, in sentences."""
    lines = [
        f"{c.title}: refused by {OURS.name}: {c.refused[OURS.name]}" for c in comparisons if OURS.name in c.refused
    ]
    lines += _refusals(comparisons)
    for c in comparisons:
        lines += [
            f"{c.title}: {engine} differs from what is expected by {error:.1e}" for engine, error in c.wrong.items()
        ]
    return lines


def _refusals(comparisons: Sequence[Comparison]) -> list[str]:
    """What the peers refuse; models that one refuses for one reason are told together."""
    told: dict[tuple[str, str], list[str]] = {}
    for c in comparisons:
        for engine, why in c.refused.items():
            if engine != OURS.name:
                told.setdefault((engine, why), []).append(c.title)
    return [
        f"{titles[0] if len(titles) == 1 else f'{len(titles)} models'}: refused by {engine}: {why}"
        for (engine, why), titles in told.items()
    ]


def as_dict(comparisons: Sequence[Comparison], facts: Peaks) -> dict[str, Any]:
    """Everything, for JSON; times in nanoseconds."""
    return {
        "machine": facts.as_dict(),
        "method": {
            "threads": 1,
            "p50": "median of the medians of interleaved rounds, nanoseconds",
            "ratio": "median of the rounds' ratios, against the best peer whose result is right",
            "cold": "median; before each run every line of a buffer of 1.5 times L2 and L3 is written",
        },
        "models": [
            {
                **asdict(c),
                "better_peer": c.better_peer,
                "ratio": c.ratio(),
                "cold_ratio": c.ratio(cold=True),
                "of_peak": c.of_peak,
            }
            for c in comparisons
        ],
    }


def json_text(value: Any) -> str:
    """JSON of plain values; NaN and infinities become null."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [clean(v) for v in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(clean(value), indent=1) + "\n"


def write_json(path: Path, comparisons: Sequence[Comparison], facts: Peaks) -> None:
    """Write `as_dict`."""
    path.write_text(json_text(as_dict(comparisons, facts)), encoding="utf-8")


def check_plot(path: Path) -> None:
    """See now whether a plot can be written later.

    Raises:
        PlotError: another ending, or matplotlib is missing.
    """
    if path.suffix not in (".svg", ".html", ".png"):
        raise PlotError(f"a plot is .svg, .html or .png, not '{path.suffix}': {path}")
    if path.suffix == ".png" and importlib.util.find_spec("matplotlib") is None:
        raise PlotError("a .png needs matplotlib: pip install matplotlib; .svg and .html need nothing")


def write_plot(path: Path, comparisons: Sequence[Comparison], facts: Peaks) -> None:
    """The ratios as bars, with the targets: .svg, .html (self-contained), or .png (needs matplotlib).

    Raises:
        PlotError: another ending, or matplotlib is missing.
    """
    check_plot(path)
    if path.suffix == ".svg":
        path.write_text(svg(comparisons), encoding="utf-8")
    elif path.suffix == ".html":
        path.write_text(_page(svg(comparisons), facts, notes(comparisons)), encoding="utf-8")
    else:
        _write_png(path, comparisons)


def _page(picture: str, facts: Peaks, remarks: list[str]) -> str:
    remarks_html = "".join(f"<li>{escape(line)}</li>" for line in remarks)
    return (
        "<!doctype html><meta charset='utf-8'><title>rt-engine bench</title>"
        "<style>body{font:14px system-ui,sans-serif;max-width:60rem;margin:2rem auto;color:#222}</style>"
        f"<h1>Against the best of all peers</h1>{picture}<p>{escape(str(facts))}</p><ul>{remarks_html}</ul>\n"
    )


_ROW, _LEFT, _WIDTH = 24, 330, 900


def svg(comparisons: Sequence[Comparison]) -> str:
    """Bars on a logarithmic axis: how many times faster than the best peer; a mark where the target is."""
    most = max([2.0, *(x for c in comparisons for x in (c.ratio(), c.target) if x)])
    low = 0.25

    def at(ratio: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 60) * math.log(max(ratio, low) / low) / math.log(most / low)

    height = _ROW * len(comparisons) + 40
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' font-family='system-ui,sans-serif' font-size='12'>"
    ]
    for tick in (x for x in (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100) if x <= most):
        parts.append(f"<line x1='{at(tick):.1f}' x2='{at(tick):.1f}' y1='10' y2='{height - 24}' stroke='#ddd'/>")
        parts.append(f"<text x='{at(tick):.1f}' y='{height - 8}' text-anchor='middle' fill='#666'>{tick:g}x</text>")
    for i, c in enumerate(comparisons):
        y, ratio = 14 + _ROW * i, c.ratio()
        parts.append(f"<text x='{_LEFT - 8}' y='{y + 13}' text-anchor='end'>{escape(c.title)}</text>")
        if ratio is None:
            words = "refused" if OURS.name in c.refused else "no peer runs it"
            parts.append(f"<text x='{_LEFT + 6}' y='{y + 13}' fill='#999'>{words}</text>")
        else:
            colour = "#2a7" if c.target is None or ratio >= c.target else "#c53"
            wide = max(at(ratio) - _LEFT, 1)
            parts.append(f"<rect x='{_LEFT}' y='{y}' width='{wide:.1f}' height='{_ROW - 7}' fill='{colour}'/>")
            parts.append(f"<text x='{at(ratio) + 5:.1f}' y='{y + 13}'>{_times(ratio)}</text>")
        if c.target is not None:
            x = at(c.target)
            parts.append(
                f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{y - 2}' y2='{y + _ROW - 5}' stroke='#000' stroke-width='2'/>"
            )
    return "".join(parts) + "</svg>\n"


def _write_png(path: Path, comparisons: Sequence[Comparison]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.3 * len(comparisons) + 1), layout="constrained")
    axes = figure.add_subplot()
    rows = range(len(comparisons))
    axes.barh(list(rows), [c.ratio() or 0.0 for c in comparisons], tick_label=[c.title for c in comparisons])
    axes.plot([c.target or math.nan for c in comparisons], list(rows), "k|", markersize=10)
    axes.set(xscale="log", xlabel="times faster than the best peer (mark: target)")
    axes.invert_yaxis()
    figure.savefig(path, dpi=150)
