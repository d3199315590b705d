"""What people read of a result in a terminal: a table, the longest with its cause, what goes with long cycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from rt_native.terminal import Column, Sheet
from station.latency.result import KINDS, Peer, Result, Spread, Subject
from station.latency.said import sentence, verdicts
from station.terms.durations import format_duration, long_words

TITLES: Final = {
    "wakeup": "wake-up",
    "execution": "execution",
    "reaction": "reaction",
}
MEANS: Final = "wake-up: from the tick to the first instruction; execution: from there to the outputs; reaction: both"


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence, and how good it is ("": neither)."""

    text: str
    level: Literal["ok", "warn", "bad", ""] = ""


def row(spread: Spread) -> list[str]:
    """p50, p99, p99.9, p99.99, longest."""
    if not spread.count:
        return ["-"] * 5
    return [*(format_duration(spread.percentile(p), 3) for p in (50, 99, 99.9, 99.99)), format_duration(spread.max, 3)]


def sheet(result: Result) -> Sheet:
    """A row for each task and time."""
    figures = [
        Column(name, rank=rank, right=True) for name, rank in (("p50", 0), ("p99", 0), ("p99.9", 1), ("p99.99", 2))
    ]
    columns = (Column("task", folds=True), Column("time"), *figures, Column("longest", right=True))
    table = Sheet((*columns, Column("cycles", rank=3, right=True)), caption=MEANS)
    for subject in result.subjects:
        core = "" if subject.cpu is None else f", core {subject.cpu}"
        name = f"{subject.name} ({format_duration(subject.period_ns)}{core})"
        for kind in KINDS:
            spread = subject.spreads[kind]
            table.add(name if kind == KINDS[0] else "", TITLES[kind], *row(spread), f"{spread.count:,}")
    for peer in result.peers:
        table.add(f"{peer.name}, core of {peer.where}", "wake-up", *row(peer.spread), f"{peer.spread.count:,}")
    return table


def lines(result: Result) -> Iterator[Line]:
    """Sentences, the most telling first."""
    judged = verdicts(result)
    for subject in result.subjects:
        level, text = sentence(subject, judged[subject.name], result)
        yield Line(text, level)
    for subject in result.subjects:
        yield from _longest(subject)
        if subject.missed:
            yield Line(
                f"{subject.name}: {subject.missed:,} ticks were missed of {subject.cycles + subject.missed:,}", "bad"
            )
        for tie in subject.ties[:3]:
            yield Line(
                f"{subject.name}: where the counter `{tie.source}` ({tie.name}) stood out, the longest reaction was above "
                f"{format_duration(tie.with_ns, 2)} in half of the intervals, elsewhere above {format_duration(tie.without_ns, 2)} "
                f"(p {tie.p:.1g})"
            )
    yield from (Line(against(peer)) for peer in result.peers)
    loads = ", ".join(load.name for load in result.loads) or "none"
    whole = "" if result.complete else "; it had not ended when this was written"
    yield Line(f"measured {long_words(result.measured_s)} of {long_words(result.asked_s)}, loads: {loads}{whole}")
    for note in result.notes:
        yield Line(f"note: {note}")
    for right in result.rights:
        if right["level"] != "ok":
            yield Line(f"not granted: {right['name']} ({right['meaning']}); {right['fix']}", "warn")
    for source in result.sources:
        if not source["told"]:
            yield Line(f"not told: {source['what']}: {source['lacks']}")


def _longest(subject: Subject) -> Iterator[Line]:
    if not subject.longest:
        return
    top = subject.longest[0]
    known = top.why[0].kind != "unknown" if top.why else False
    causes = (
        f"probably {'; '.join(cause.words for cause in top.why)}"
        if known
        else "cause unknown: nothing that is counted stood out"
    )
    yield Line(
        f"{subject.name}: the longest, {format_duration(top.reaction_ns, 3)}, at {top.at.astimezone():%Y-%m-%d %H:%M:%S.%f}"
        f" (wake-up {format_duration(top.wakeup_ns, 3)}): {causes}"
    )


def against(peer: Peer) -> str:
    """Ours and theirs, turn by turn: medians of the turns, so that their number does not matter."""
    from statistics import median

    parts = []
    for number, name in enumerate(("p50", "p99", "p99.9", "longest")):
        ours, theirs = (median(turn[number] for turn in turns) for turns in (peer.ours, peer.turns))
        parts.append(f"{name} {format_duration(ours, 3)} against {format_duration(theirs, 3)}")
    return f"wake-up of {peer.where} against {peer.name}, median of {len(peer.ours)} and {len(peer.turns)} turns: {', '.join(parts)}"
