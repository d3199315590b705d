"""Changes of models: as a table, as sentences, as pictures of how far two versions lay apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.text import Text

from plc_bindings.data.changes import ChangeView, Difference
from rt_engine.change import ChangeState, Verdict
from rt_native.terminal import Column, Sheet
from rt_native.text import in_html as escape
from station.terms.durations import format_duration

NS_PER_H: Final = 3_600_000_000_000
STATES: Final = {
    ChangeState.NONE: "no change",
    ChangeState.STAGED: "staged",
    ChangeState.GATE: "in the gate",
    ChangeState.SHADOW: "in shadow",
    ChangeState.TRIAL: "on trial",
    ChangeState.COMMITTED: "committed",
    ChangeState.REJECTED: "rejected",
    ChangeState.ROLLED_BACK: "rolled back",
}
VERDICTS: Final = {
    Verdict.NONE: "nothing was found",
    Verdict.NOT_FINITE: "its outputs were not finite (NaN or infinity)",
    Verdict.OUT_OF_LIMITS: "its outputs left the limits of its contract",
    Verdict.TOO_SLOW: "it took longer than its budget",
    Verdict.FAILED: "it ended with a fault",
    Verdict.MONITOR: "the task's monitor spoke",
}


def duration(ns: float) -> str:
    """The largest units that give a short number."""
    if ns >= 2 * 24 * NS_PER_H:
        return f"{ns / (24 * NS_PER_H):.3g} days"
    if ns >= NS_PER_H:
        return f"{ns / NS_PER_H:.3g} h"
    return f"{ns / (NS_PER_H / 60):.3g} min" if ns >= NS_PER_H / 60 else format_duration(ns, 3)


def difference(one: Difference) -> str:
    """`force lay up to 0.31 apart (tolerance 0.2; 214 of 5,000 values beyond)`."""
    limit = f"tolerance {one.tolerance:.4g}; {one.beyond:,}" if one.tolerance is not None else ""
    beyond = f" ({limit} of {one.compared:,} values beyond)" if limit else f" (of {one.compared:,} values)"
    not_finite = f", and in {one.not_finite:,} cycles one of the two was not finite" if one.not_finite else ""
    return f"{one.output} lay up to {one.largest:.4g} apart{beyond}{not_finite}"


_STYLES: Final = {
    **dict.fromkeys((ChangeState.STAGED, ChangeState.GATE, ChangeState.SHADOW, ChangeState.TRIAL), "yellow"),
    ChangeState.COMMITTED: "green",
    **dict.fromkeys((ChangeState.REJECTED, ChangeState.ROLLED_BACK), "red"),
}


def seen(changes: Sequence[ChangeView]) -> tuple[ChangeView, ...]:
    """Those of slots that had a change since the start."""
    return tuple(view for view in changes if view.state != ChangeState.NONE)


def changes_sheet(changes: Sequence[ChangeView]) -> Sheet:
    """One row for each slot that had a change."""
    sheet = Sheet(
        (
            Column("model"),
            Column("new version", rank=2),
            Column("change"),
            Column("left", rank=1, right=True),
            Column("compared", rank=3, right=True),
            Column("skipped", rank=4, right=True),
            Column("disagree", rank=2, right=True),
            Column("furthest apart", rank=3),
        )
    )
    for view in seen(changes):
        far = view.largest
        sheet.add(
            Text(f"{view.slot} v{view.version}", style="bold"),
            view.file,
            Text(STATES[view.state], style=_STYLES[view.state]),
            duration(view.left_ns) if view.left_ns >= 0 else "-",
            f"{view.cycles:,}",
            f"{view.skipped:,}",
            Text(f"{view.disagreements:,}", style="red" if view.disagreements else "green"),
            f"{far.output} {far.largest:.4g}" if far is not None else "-",
        )
    return sheet


def notes(changes: Sequence[ChangeView]) -> Iterator[tuple[str, str]]:
    """(slot, why its change is where it is)."""
    for view in seen(changes):
        yield view.slot, f"{view.file} is {STATES[view.state]}: {view.reason}"


# --- the report -------------------------------------------------------------------------------------------------------

CHANGE_COLUMNS: Final = ("model", "new version", "state", "since", "why", ">compared", ">skipped", ">disagree", "found")
DIFFERENCE_COLUMNS: Final = ("task", "output", ">compared", ">furthest apart", ">tolerance", ">beyond", ">not finite")


def change_row(view: ChangeView) -> Sequence[str]:
    """One slot's newest change, in HTML."""
    level = {"green": "ok", "yellow": "warn", "red": "bad"}[_STYLES[view.state]]
    found = VERDICTS[view.verdict] if view.verdict != Verdict.NONE else "-"
    if view.verdict_task:
        found += f", in task {view.verdict_task}, tick {view.verdict_ns / 1e9:.6f} s"
    since = datetime.fromtimestamp(view.since, UTC).astimezone()
    new = f'{escape(view.file)}<br><span class="soft">{view.sha256[:12]}, by {escape(view.who)}</span>'
    state = f'<span class="{level}">{STATES[view.state]}</span>'
    counts = (f"{count:,}" for count in (view.cycles, view.skipped, view.disagreements))
    when = f"{since:%Y-%m-%d %H:%M:%S}"
    return f"<b>{escape(view.slot)}</b> v{view.version}", new, state, when, escape(view.reason), *counts, escape(found)


def difference_row(one: Difference) -> Sequence[str]:
    """One output, in HTML."""
    tolerance = "-" if one.tolerance is None else f"{one.tolerance:.6g}"
    bad = [f'<span class="{"warn" if count else "ok"}">{count:,}</span>' for count in (one.beyond, one.not_finite)]
    return escape(one.task), f"<b>{escape(one.output)}</b>", f"{one.compared:,}", f"{one.largest:.6g}", tolerance, *bad


WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 460, 150, 14, 12, 26


def difference_picture(one: Difference) -> str:
    """How often two versions lay how far apart, as inline SVG: bars over |difference|, both on log scales."""
    bars = [(low, count) for low, count in zip(one.edges, one.counts, strict=True) if count]
    if not bars:
        return '<p class="none">nothing was compared</p>'
    places = [math.log10(low) if low > 0 else None for low, _ in bars]
    known = [place for place in places if place is not None]
    limit = math.log10(one.tolerance) if one.tolerance else None
    ends = [*known, *([limit] if limit is not None else [])]
    first = (min(ends) if ends else 0.0) - 0.6  # what was exactly equal stands at the left
    last = max((max(ends) if ends else 0.0) + 0.3, first + 1.0)
    most = math.log10(max(count for _, count in bars)) + 0.3
    ground = HEIGHT - BOTTOM

    def x(place: float) -> float:
        return LEFT + (place - first) / (last - first) * (WIDTH - 2 * LEFT)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(difference(one))}">']
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - LEFT}" y1="{ground}" y2="{ground}"/>')
    for place, (low, count) in zip(places, bars, strict=True):
        high = (math.log10(count) + 0.3) / (most + 0.3) * (ground - TOP)
        left = x(first + 0.1 if place is None else place)
        parts.append(
            f'<rect class="bar" x="{left:.1f}" y="{ground - high:.1f}" width="4" height="{high:.1f}">'
            f"<title>from {low:.4g}: {count:,}</title></rect>"
        )
    for decade in range(math.ceil(first + 0.3), math.floor(last) + 1):
        parts.append(f'<text class="label" x="{x(decade):.1f}" y="{ground + 17}">1e{decade}</text>')
    if limit is not None:
        parts.append(f'<line class="mark" x1="{x(limit):.1f}" x2="{x(limit):.1f}" y1="{TOP}" y2="{ground}"/>')
    return "".join([*parts, "</svg>"])
