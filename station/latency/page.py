"""A result as a page for people: one file, no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rt_native.text import in_html as escape
from station.latency import pictures
from station.latency.doubts import BEYOND, SEED, Verdict
from station.latency.findings import MEANS, TITLES, against, row
from station.latency.fit import Level, blocks_of, level, redrawn
from station.latency.result import KINDS, Result, Subject
from station.latency.said import many, sentence, verdicts
from station.show.paper import folded, page, section, table
from station.show.verdict import Remark
from station.terms.durations import format_duration, long_words

CURVE: int = 24
SPREAD = ("task", "time", ">p50", ">p99", ">p99.9", ">p99.99", ">longest", ">cycles")


def to_html(result: Result) -> str:
    """The whole page."""
    judged = verdicts(result)
    remarks = [Remark(*sentence(s, judged[s.name], result)) for s in result.subjects]
    whole = "" if result.complete else ", and ran on when this was written; what is killed keeps this file"
    return page(
        f"latency of {result.title}, {result.started.astimezone():%Y-%m-%d %H:%M}",
        f"Latency of {result.title}",
        f"{result.started.astimezone():%Y-%m-%d %H:%M:%S}, {long_words(result.measured_s)} of {long_words(result.asked_s)}{whole}",
        remarks,
        [*_measured(result), *_why(result), *_fits(result, judged), *_around(result)],
    )


def _measured(result: Result) -> Iterator[str]:
    names = [_name(s) for s in result.subjects]
    for kind in KINDS:
        series = [(_name(s), s.spreads[kind]) for s in result.subjects]
        extra = [(f"{p.name}, core of {p.where}", p.spread) for p in result.peers] if kind == "wakeup" else []
        every = [*series, *extra]
        body = f"<p>{pictures.key([name for name, _ in every])}</p>{pictures.latency_plot(every)}"
        yield section(f"{TITLES[kind]}: cycles of each latency", f'<div class="card">{body}</div>')
    over = pictures.over_time(result.subjects, result.interval_ns)
    yield section(
        f"The longest reaction of each {format_duration(result.interval_ns)}, by the time of day",
        f'<div class="card"><p>{pictures.key(names)}</p>{over}</div>',
    )
    rows = [
        (
            escape(_name(s)) if kind == KINDS[0] else "",
            TITLES[kind],
            *row(s.spreads[kind]),
            f"{s.spreads[kind].count:,}",
        )
        for s in result.subjects
        for kind in KINDS
    ]
    rows += [(escape(f"{p.name}, {p.where}"), "wake-up", *row(p.spread), f"{p.spread.count:,}") for p in result.peers]
    said = "".join(f"<p>{escape(against(peer))}</p>" for peer in result.peers)
    yield section("In figures", table(SPREAD, rows) + f'<p class="soft">{escape(MEANS)}</p>' + said)


def _name(subject: Subject) -> str:
    return (
        subject.name
        if subject.cpu is None or subject.name == f"cpu{subject.cpu}"
        else f"{subject.name}, core {subject.cpu}"
    )


def _why(result: Result) -> Iterator[str]:
    longest = [
        (
            escape(subject.name),
            f"{one.at.astimezone():%Y-%m-%d %H:%M:%S.%f}",
            *(format_duration(ns, 3) for ns in (one.reaction_ns, one.wakeup_ns, one.execution_ns)),
            "<br>".join(f"<b>{escape(cause.kind)}</b> {escape(cause.words)}" for cause in one.why),
        )
        for subject in result.subjects
        for one in subject.longest
    ]
    columns = (
        "task",
        "when",
        ">reaction",
        ">wake-up",
        ">execution",
        "probable cause, from what the kernel counted then",
    )
    yield section("The longest, and why", table(columns, longest))
    ties = [
        (
            escape(subject.name),
            escape(f"{tie.source}: {tie.name}"),
            f"{tie.intervals:,}",
            format_duration(tie.with_ns, 3),
            format_duration(tie.without_ns, 3),
            f"{tie.p:.1g}",
        )
        for subject in result.subjects
        for tie in subject.ties
    ]
    columns = ("task", "counter", ">intervals with much of it", ">median of their longest", ">of the others", ">p")
    words = '<p class="soft">What goes together need not be cause and effect: a load makes both.</p>'
    yield section("What goes with long cycles", table(columns, ties) + words)


def _fits(result: Result, judged: Mapping[str, Verdict]) -> Iterator[str]:
    for subject in result.subjects:
        verdict = judged[subject.name]
        checks = [
            (
                escape(check.name),
                f'<span class="{"ok" if check.holds else "bad"}">{"holds" if check.holds else "does not hold"}</span>',
                escape(check.found),
                escape(check.means),
            )
            for check in verdict.checks
        ]
        body = table(("assumption", "", "found", "what it means"), checks)
        if verdict.fitted is not None:
            body = _about(verdict) + body + _pictures(subject, verdict)
        if verdict.levels:
            rows = [
                (many(one.cycles), *(format_duration(ns, 3) for ns in (one.ns, one.low_ns, one.high_ns)))
                for one in verdict.levels
            ]
            body += table((">one cycle in", ">takes longer than", ">99 % from", ">to"), rows)
        yield section(f"{subject.name}: extreme values of the reaction", body)


def _about(verdict: Verdict) -> str:
    fitted = verdict.fitted
    assert fitted is not None
    told = "" if verdict.levels else " It is shown, and nothing is told from it."
    return (
        f"<p>A generalised extreme value distribution of {verdict.blocks} block maxima ({many(verdict.block_cycles)} cycles each), by "
        f"L-moments: location {format_duration(fitted.location, 3)}, scale {format_duration(fitted.scale, 3)}, shape "
        f"{fitted.shape:+.2f} (95 %: {verdict.shape_low:+.2f} to {verdict.shape_high:+.2f}).{told}</p>"
    )


def _pictures(subject: Subject, verdict: Verdict) -> str:
    assert verdict.fitted is not None
    blocks, _ = blocks_of(subject.maxima())
    cards = f'<div class="card"><h3>Longest of each block, against the fit</h3>{pictures.quantiles(verdict.fitted, blocks)}</div>'
    if verdict.levels:
        curve = _curve(verdict, len(blocks))
        cards += (
            '<div class="card"><h3>Time that one of so many cycles exceeds; dashed: as many as were measured</h3>'
            f"{pictures.levels_plot(verdict, blocks, curve)}</div>"
        )
    return f'<div class="pair">{cards}</div>'


def _curve(verdict: Verdict, count: int) -> list[Level]:
    """From a block to the last level that is told."""
    assert verdict.fitted is not None
    _, fits = redrawn(verdict.fitted, count, np.random.default_rng(SEED))
    return [
        level(verdict.fitted, fits, float(cycles), verdict.block_cycles)
        for cycles in np.geomspace(1.2 * verdict.block_cycles, BEYOND * verdict.cycles, CURVE)
    ]


def _around(result: Result) -> Iterator[str]:
    loads = [(escape(load.name), escape(load.what), str(load.processes), escape(load.failed)) for load in result.loads]
    yield section("Loads", table(("load", "what it did", ">processes", ""), loads))
    told = [
        (
            escape(s["name"]),
            escape(s["what"]),
            "read" if s["told"] else f'<span class="soft">{escape(s["lacks"])}</span>',
        )
        for s in result.sources
    ]
    yield section("What the kernel was asked", table(("", "what it counts", ""), told))
    columns = ("", "found", "what it means, and what mends it")
    for title, facts in (("Rights", result.rights), ("Machine", result.machine)):
        rows: Sequence[Sequence[str]] = [
            (
                escape(f["name"]),
                f'<span class="{escape(f["level"])}">{escape(f["value"])}</span>',
                escape(f["meaning"]) + _fix(f),
            )
            for f in facts
        ]
        yield section(title, folded(table(columns, rows), len(rows), "facts"))
    if result.notes:
        yield section("Notes", "".join(f"<p>{escape(note)}</p>" for note in result.notes))


def _fix(fact: Mapping[str, str]) -> str:
    return f"<br><code>{escape(fact['fix'])}</code>" if fact["fix"] else ""
