"""`rt-engine replay --model NEW` over many recordings: a line for each station, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rt_native.text import print_json
from station.commands.shared.explaining import say
from station.commands.shared.many_replays import MOST_WORDS, whole_paths, with_bar
from station.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from rt_native.terminal import Sheet, Terminal
    from station.replay.asking import Asked
    from station.replay.many import Step
    from station.replay.many_whatif import Fleet
    from station.replay.pool import Pool


def what_if_on(
    console: Terminal, errors: Terminal, where: Sequence[str], model: Path, asked: Asked, pool: Pool, as_json: bool
) -> ExitCode:
    """Run, print, and say with which code to end; the pool is closed."""
    try:
        found = _found(errors, where, model, asked, pool)
    finally:
        pool.close()
    if as_json:
        print_json(found.to_json())
    else:
        _show(console, found)
    return ExitCode.OK if found.passes else ExitCode.FAILED


def _found(errors: Terminal, where: Sequence[str], model: Path, asked: Asked, pool: Pool) -> Fleet:
    from station.replay.many_whatif import what_if_many

    def run(step: Step | None) -> Fleet:
        return what_if_many(whole_paths(where), pool, model, asked, step)

    return with_bar(errors, "stations", run)


def _show(console: Terminal, found: Fleet) -> None:
    from station.replay.judging import CAVEAT

    console.print(_stations(found))
    console.print(_together(found))
    for kind, texts, style in (
        ("not compared", found.failed, "red"),
        ("not read", found.unread, "red"),
        ("a worker went away", found.lost, "yellow"),
        ("tried again elsewhere", found.again, "yellow"),
    ):
        for text in texts[:MOST_WORDS]:
            say(console, f"{kind}: {text}", style)
        if len(texts) > MOST_WORDS:
            say(console, f"{kind}: {len(texts) - MOST_WORDS:,} more; --json has all", style)
    say(console, CAVEAT, "dim")


def _stations(found: Fleet) -> Sheet:
    from rt_native.terminal import Column, Sheet
    from station.replay.judging import judged
    from station.replay.whatif_table import STYLES

    numbers = (("cycles", 2), ("compared", 1), ("beyond", 0))
    sheet = Sheet(
        (
            Column("station"),
            Column("task"),
            *(Column(n, rank, right=True) for n, rank in numbers),
            Column("", folds=True),
        )
    )
    for station, one in found.parts:
        remark = judged(one)[0]
        figures = f"{one.cycles:,}", f"{one.compared:,}", f"{one.beyond:,}"
        sheet.add(station, one.terms.task, *figures, remark.text, style=STYLES[remark.level])
    return sheet


def _together(found: Fleet) -> Sheet:
    from rt_native.terminal import Column, Sheet

    columns = (
        *(Column("task"), Column("output"), Column("unit", 4), Column("stations", 2, True)),
        *(Column("compared", 3, True), Column("furthest\napart", 0, True), Column("at", 1)),
        *(Column("beyond", 0, True), Column("half\nwithin", 3, True), Column("99 %\nwithin", 1, True)),
        Column("not finite\nor outside", 1, True),
    )
    sheet = Sheet(columns, title="all stations together")
    for one in found.together:
        within = [f"{one.quantiles[name]:.3g}" if one.quantiles else "-" for name in ("p50", "p99")]
        sheet.add(
            one.task,
            one.name,
            one.unit,
            f"{one.stations:,}",
            f"{one.compared:,}",
            f"{one.largest:.6g}",
            one.station if one.largest > 0 else "-",
            f"{one.beyond:,}",
            *within,
            f"{one.not_finite + one.outside:,}",
        )
    return sheet
