"""The one sentence: which cycle time this computer holds, at which probability; or why only what was seen is told. Pure."""

from __future__ import annotations

import math
from typing import Final, Literal

from station.latency.doubts import BEYOND, Verdict, examine
from station.latency.result import Result, Subject
from station.terms.durations import format_duration, long_words

Grade = Literal["ok", "warn", "bad"]
_WORDS: Final = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))


def verdicts(result: Result) -> dict[str, Verdict]:
    """Task -> what may be said of its rare cycles."""
    return {s.name: examine(s.maxima(), s.cycles) for s in result.subjects}


def many(count: float) -> str:
    """4512000 -> `4.5 million`."""
    for size, word in _WORDS:
        if count >= size:
            return f"{float(f'{count / size:.2g}'):g} {word}"
    return f"{count:,.0f}"


def rounded_up(ns: float) -> int:
    """To two digits: what somebody would write into a station file."""
    unit = int(10 ** max(math.floor(math.log10(max(ns, 1.0))) - 1, 0))
    return math.ceil(ns / unit) * unit


def sentence(subject: Subject, verdict: Verdict, result: Result) -> tuple[Grade, str]:
    """(how good it is for the task's own cycle, the sentence)."""
    loads = ", ".join(load.name for load in result.loads)
    under = f"under {loads}" if loads else "without a load"
    with_what = f"with {subject.about}" if subject.about.startswith("model") else f"for {subject.about}"
    cycle = format_duration(subject.period_ns)
    seen = (
        f"{many(verdict.cycles)} cycles of {cycle} {under} in {long_words(result.measured_s)}, "
        f"the longest {format_duration(verdict.longest_ns, 3)}"
    )
    if not verdict.levels:
        doubts = "; ".join(f"{check.name}: {check.found}" for check in verdict.doubts) or "nothing was measured"
        fits = verdict.longest_ns <= subject.period_ns and not subject.missed
        return ("warn" if fits else "bad"), (
            f"{subject.name}: only what was seen can be told: {seen}. Nothing is extrapolated, as these do not hold: {doubts}"
        )
    last = verdict.levels[-1]
    holds = rounded_up(max(last.high_ns, verdict.longest_ns))
    grade: Grade = "ok" if holds <= subject.period_ns else "bad"
    return grade, (
        f"{subject.name}: {with_what} this computer holds a cycle time of {format_duration(holds)}: one cycle in {many(last.cycles)} "
        f"takes longer than {format_duration(last.ns, 3)} (99 %: {format_duration(last.low_ns, 3)} to "
        f"{format_duration(last.high_ns, 3)}), if it goes on as it was. Measured: {seen}; told up to {BEYOND:g} times that"
    )
