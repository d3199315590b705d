"""A comparison with a new model on a terminal."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from rt_native.terminal import Column, Sheet
from station.replay.judging import clock, judged
from station.replay.whatif import WhatIf

STYLES: Final = {"ok": "green", "warn": "yellow", "bad": "red"}


def outputs_sheet(found: WhatIf) -> Sheet:
    """One row for each output; what was found, in words, below."""
    columns = (
        Column("output"),
        Column("unit", rank=5),
        Column("furthest\napart", right=True),
        Column("at", rank=3),
        Column("tolerance", rank=4, right=True),
        Column("beyond", rank=1, right=True),
        Column("half\nwithin", rank=6, right=True),
        Column("99 %\nwithin", rank=2, right=True),
        Column("not finite\nor outside", rank=2, right=True),
        Column("clamped\nold, new", rank=7, right=True),
        Column("limited\nold, new", rank=8, right=True),
    )
    sheet = Sheet(columns, title=f"task {found.terms.task}: {counted(found)}")
    for one in found.outputs:
        wrong, terms = one.not_finite + one.outside, one.terms
        sheet.add(
            Text(terms.name, style="bold"),
            terms.unit,
            f"{one.largest:.6g}",
            clock(found.terms, one.largest_ns) if one.largest_ns else "-",
            "-" if terms.tolerance is None else f"{terms.tolerance:.6g}",
            Text(f"{one.beyond:,}", style="red" if one.beyond else "green") if terms.tolerance is not None else "-",
            *(f"{one.quantiles[name]:.3g}" if one.quantiles else "-" for name in ("p50", "p99")),
            Text(f"{wrong:,}", style="red" if wrong else "green"),
            *(f"{old:,}, {new:,}" for old, new in (one.clamped, one.limited)),
        )
    return sheet


def behaviour_sheet(found: WhatIf) -> Sheet:
    """What guard and monitor said to both, in all cycles."""
    sheet = Sheet((Column(""), Column("recorded", right=True), Column("new model", right=True)))
    for kind, old, new in (("", found.old.actions, found.new.actions), ("", found.old.statuses, found.new.statuses)):
        for name in dict.fromkeys([*old, *new]):
            sheet.add(f"{kind}{name}", f"{old.get(name, 0):,}", f"{new.get(name, 0):,}")
    if found.terms.monitor_limit is not None:
        sheet.add("monitor over its limit", f"{found.old.over_limit:,}", f"{found.new.over_limit:,}")
        values = ["-" if who.monitor is None else f"{who.monitor:.6g}" for who in (found.old, found.new)]
        sheet.add(f"monitor, largest (limit {found.terms.monitor_limit:.6g})", *values)
    return sheet


def remarks(found: WhatIf) -> list[Text]:
    """What the whole comes to, a line each, the worst first; then what a reader has to know besides."""
    lines = [Text(remark.text, style=STYLES[remark.level]) for remark in judged(found)]
    return lines + [Text(note, style="dim") for note in found.notes]


def counted(found: WhatIf) -> str:
    """`9,980 of 10,000 cycles can be compared (recorded: 102 BAD_INPUT 20)`."""
    why = ", ".join(f"{reason} {count:,}" for reason, count in found.apart.items())
    return f"{found.compared:,} of {found.cycles:,} cycles can be compared" + (f" ({why})" if why else "")
