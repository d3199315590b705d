"""An explanation in a terminal."""

import math
from collections.abc import Iterator

from rt_engine.explain.explanation import Explanation
from rt_engine.explain.influence import Influence
from rt_native.terminal import Column, Sheet

TOP = 8
"""Inputs of each output that are shown."""
MOST_OUTPUTS = 8


def figure(value: float | None) -> str:
    """Five digits; `-`: there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.5g}"


def with_unit(value: float, unit: str) -> str:
    """`3.2 m/s`."""
    return f"{figure(value)} {unit}".strip()


def influence_row(found: Influence, target: int, source: int) -> tuple[str, str, str, str, str, str]:
    """Name, value, base, effect, slope, step of one input, with their units."""
    s, t = found.sources[source], found.targets[target]
    below = f"({s.label.unit})" if "/" in s.label.unit or " " in s.label.unit else s.label.unit
    ratio = f"{t.label.unit or '1'}/{below or '1'}" if t.label.unit or s.label.unit else ""
    return (
        str(s.label),
        with_unit(s.value, s.label.unit),
        with_unit(s.base, s.label.unit),
        with_unit(float(found.effects[target, source]), t.label.unit),
        with_unit(float(found.slopes[target, source]), ratio),
        figure(s.step),
    )


def tensors(found: Explanation) -> Sheet:
    """A line for each tensor, in the order in which they were made."""
    columns = (
        Column("tensor", folds=True),
        Column("operator", 1),
        Column("value", 2),
        Column("least", 0, True),
        Column("mean", 3, True),
        Column("greatest", 0, True),
        Column("deviation", 4, True),
        Column("zeros", 5, True),
        Column("NaN, inf", 1, True),
    )
    ended = f"the run ended with status {found.status} in {found.ended_at}" if found.status else ""
    made = Sheet(columns, title=found.model, caption=ended)
    for t in found.tensors:
        s = t.statistics
        bad = f"{s.nan:,}, {s.infinite:,}" if s.nan or s.infinite else "-"
        what = t.operator if t.runs == 1 else f"{t.operator}, {t.runs} times"
        numbers = figure(s.least), figure(s.mean), figure(s.greatest), figure(s.deviation)
        made.add(t.name, what, f"{t.values.dtype}{list(t.shape)}", *numbers, f"{s.zeros:.0%}", bad,
                 style="red" if s.nan or s.infinite else "")  # fmt: skip
    return made


def influences(found: Influence, most: int = TOP) -> Iterator[Sheet]:
    """For each output, the inputs that moved it most."""
    numbers = (("value", 1), ("base", 2), ("effect", 0), ("slope", 1), ("step", 3))
    columns = (Column("input", folds=True), *(Column(name, rank, True) for name, rank in numbers))
    for at, target in enumerate(found.targets[:MOST_OUTPUTS]):
        title = f"{target.label} = {with_unit(target.value, target.label.unit)}"
        left = len(found.sources) - most
        caption = f"and {left:,} inputs that did less" if left > 0 else ""
        made = Sheet(columns, title=title, caption=caption)
        for source in found.ranked(at, most):
            made.add(*influence_row(found, at, source))
        yield made
