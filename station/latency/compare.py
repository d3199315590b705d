"""Two results against each other: what got worse, and is that more than chance? Pure.

The longest of blocks of equal length are compared by ranks (Mann and Whitney, two-sided, Holm over all rows; blocks that follow from
each other count as fewer), and how far apart they are by the ratio of their medians with a bootstrap's interval. Worse is what is
both: no chance, and by more than `LEAST_RATIO`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from rt_native.terminal import Column, Sheet
from rt_native.text import in_html as escape
from station.latency import pictures
from station.latency.doubts import independent
from station.latency.findings import TITLES
from station.latency.fit import Floats
from station.latency.result import KINDS, LatencyFileError, Result, Spread, Subject
from station.latency.ties import longer, ranks
from station.show.paper import page, section, table
from station.show.verdict import Remark
from station.terms.durations import format_duration, long_words

BLOCKS: Final = 60
LEAST_BLOCKS: Final = 10
LAGS: Final = 10
LEVEL: Final = 0.01
LEAST_RATIO: Final = 1.05
UNEQUAL: Final = 0.02
"""So much of their length blocks may differ."""
DRAWS: Final = 2000
Judgement = Literal["worse", "better", "no difference", "too short to tell"]


@dataclass(frozen=True, slots=True)
class Row:
    """A time of a task in both. `ratio`: of the medians of block maxima, b to a, with its interval; `doubt`: about `p`."""

    task: str
    kind: str
    a: Spread
    b: Spread
    ratio: float
    low: float
    high: float
    p: float
    judgement: Judgement
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """All rows; and what is not alike in how the two were measured."""

    a: Result
    b: Result
    rows: tuple[Row, ...]
    unlike: tuple[str, ...]

    @property
    def worse(self) -> tuple[Row, ...]:
        """What got worse."""
        return tuple(row for row in self.rows if row.judgement == "worse")


def compare(a: Result, b: Result) -> Compared:
    """Tasks of one name in both.

    Raises:
        LatencyFileError: there is none.
    """
    theirs = {subject.name: subject for subject in b.subjects}
    pairs = [(subject, theirs[subject.name]) for subject in a.subjects if subject.name in theirs]
    if not pairs:
        names = [", ".join(s.name for s in r.subjects) for r in (a, b)]
        raise LatencyFileError(
            f"nothing can be compared: one has {names[0]}, the other {names[1]}; expected a task in both"
        )
    rows = [_row(one, other, kind, a.interval_ns, b.interval_ns) for one, other in pairs for kind in KINDS]
    return Compared(a, b, tuple(_judged(rows)), tuple(_unlike(a, b, pairs)))


def _row(a: Subject, b: Subject, kind: str, a_ns: int, b_ns: int) -> Row:
    sizes = block_sizes(a_ns, b_ns, min(len(a.maxima()) * a_ns, len(b.maxima()) * b_ns) // BLOCKS)
    one, other = (_blocks(subject, kind, size) for subject, size in zip((a, b), sizes, strict=True))
    row = Row(a.name, kind, a.spreads[kind], b.spreads[kind], 1.0, 1.0, 1.0, 1.0, "too short to tell")
    if min(len(one), len(other)) < LEAST_BLOCKS:
        return row
    fewer = (_fewer(one) + _fewer(other)) / 2
    p = min(1.0, 2 * min(longer(other, one, fewer)[0], longer(one, other, fewer)[0]))
    rng = np.random.default_rng(16)
    draws = [np.median(rng.choice(blocks, (DRAWS, len(blocks))), axis=1) for blocks in (one, other)]
    low, high = np.percentile(draws[1] / draws[0], [2.5, 97.5])
    depends = not all(independent(blocks).holds for blocks in (one, other))
    return replace(
        row,
        ratio=float(np.median(other) / np.median(one)),
        low=float(low),
        high=float(high),
        p=p,
        judgement="no difference",
        doubt="blocks follow from each other, and count as fewer" if depends else "",
    )


def block_sizes(a_ns: int, b_ns: int, wanted_ns: int) -> tuple[int, int]:
    """How many intervals of each make blocks of about the wanted length, as equal as they can be: the longer has the longer maxima."""
    least = max(1, -(-max(wanted_ns, b_ns) // a_ns))
    pairs = [(n, max(1, round(n * a_ns / b_ns))) for n in range(least, 2 * least + 1)]
    return min(pairs, key=lambda pair: (abs(pair[0] * a_ns / (pair[1] * b_ns) - 1) > UNEQUAL, pair))


def _blocks(subject: Subject, kind: str, size: int) -> Floats:
    maxima, size = subject.maxima(kind), max(size, 1)
    count = len(maxima) // size
    return maxima[: count * size].reshape(count, size).max(axis=1).astype(np.float64) if count else np.zeros(0)


def _fewer(blocks: Floats) -> float:
    """Blocks that follow from each other count as so many times fewer: by their correlations, up to the first that is none."""
    r = ranks(blocks)
    r -= r.mean()
    whole, total = float(r @ r), 1.0
    for lag in range(1, min(LAGS, len(r) - 1) + 1):
        share = float(r[lag:] @ r[:-lag]) / whole if whole else 0.0
        if share <= 0:
            break
        total += 2 * share
    return total


def _judged(rows: list[Row]) -> Iterator[Row]:
    """With Holm's correction, in their order."""
    ordered, least, corrected = sorted(range(len(rows)), key=lambda i: rows[i].p), 0.0, {}
    for number, i in enumerate(ordered):
        least = max(least, min(1.0, rows[i].p * (len(rows) - number)))
        corrected[i] = least
    for i, row in enumerate(rows):
        row = replace(row, p=corrected[i])
        if row.judgement == "no difference" and row.p < LEVEL:
            if row.low > 1 and row.ratio > LEAST_RATIO:
                row = replace(row, judgement="worse")
            elif row.high < 1 and row.ratio < 1 / LEAST_RATIO:
                row = replace(row, judgement="better")
        yield row


def _unlike(a: Result, b: Result, pairs: list[tuple[Subject, Subject]]) -> Iterator[str]:
    loads = [", ".join(load.name for load in result.loads) or "none" for result in (a, b)]
    if loads[0] != loads[1]:
        yield f"loads: {loads[0]}; {loads[1]}"
    for one, other in pairs:
        for what, first, second in (
            ("cycle", format_duration(one.period_ns), format_duration(other.period_ns)),
            ("core", one.cpu, other.cpu),
            ("what it is", one.about, other.about),
        ):
            if first != second:
                yield f"{what} of {one.name}: {first}; {second}"
    for result, name in ((a, "first"), (b, "second")):
        if not result.complete:
            yield f"the {name} was killed before it had ended"


def summary(compared: Compared) -> Remark:
    """In a sentence."""
    if worse := compared.worse:
        told = ", ".join(
            f"{TITLES[r.kind]} of {r.task} ({r.ratio:.2f} times, 95 %: {r.low:.2f} to {r.high:.2f}, p {r.p:.1g}"
            f"{f'; {r.doubt}' if r.doubt else ''})"
            for r in worse
        )
        return Remark("bad", f"worse: {told}")
    if all(row.judgement == "too short to tell" for row in compared.rows):
        return Remark("warn", f"too short to tell: {LEAST_BLOCKS} blocks at least are needed in both")
    better = [f"{TITLES[r.kind]} of {r.task}" for r in compared.rows if r.judgement == "better"]
    return Remark(
        "ok", f"better: {', '.join(better)}; nothing worse" if better else "no difference that is more than chance"
    )


COLUMNS: Final = ("task", "time", "p50", "p99.9", "longest", "longest of blocks", "")


def _cells(row: Row) -> tuple[str, ...]:
    def both(a: float, b: float) -> str:
        return f"{format_duration(a, 3)} -> {format_duration(b, 3)}"

    ratio = f"x {row.ratio:.2f} ({row.low:.2f} to {row.high:.2f}), p {row.p:.1g}"
    return (
        row.task,
        TITLES[row.kind],
        both(row.a.percentile(50), row.b.percentile(50)),
        both(row.a.percentile(99.9), row.b.percentile(99.9)),
        both(row.a.max, row.b.max),
        "-" if row.judgement == "too short to tell" else ratio,
        f"{row.judgement}{f' ({row.doubt})' if row.doubt else ''}",
    )


def sheet(compared: Compared) -> Sheet:
    """For a terminal."""
    found = Sheet(
        [Column(name, rank=rank, folds=not rank) for name, rank in zip(COLUMNS, (0, 0, 3, 2, 1, 0, 0), strict=True)]
    )
    for row in compared.rows:
        style = {"worse": "red", "better": "green"}.get(row.judgement, "")
        found.add(*_cells(row), style=style)
    return found


def to_html(compared: Compared) -> str:
    """A page: the table, and both histograms over each other."""
    sections = [section("Before and after", table(COLUMNS, [tuple(map(escape, _cells(row))) for row in compared.rows]))]
    names = [f"{r.started.astimezone():%Y-%m-%d %H:%M}" for r in (compared.a, compared.b)]
    labels = [f"first, {names[0]}", f"second, {names[1]}"]
    for row in compared.rows:
        plot = pictures.latency_plot(list(zip(labels, (row.a, row.b), strict=True)))
        title = f"{row.task}: {TITLES[row.kind]}, {row.judgement}"
        sections.append(section(title, f'<div class="card"><p>{pictures.key(labels)}</p>{plot}</div>'))
    if compared.unlike:
        sections.append(section("Not alike", "".join(f"<p>{escape(words)}</p>" for words in compared.unlike)))
    times = " and ".join(long_words(r.measured_s) for r in (compared.a, compared.b))
    under = f"{names[0]} and {names[1]}, {times}"
    return page("latencies compared", f"{compared.a.title}: before and after", under, [summary(compared)], sections)
