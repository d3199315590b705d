"""A comparison with a new model as one HTML page: verdict, tables, trends of both, the moments in which they lay furthest apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rt_native.text import in_html as escape
from station.replay.judging import CAVEAT, clock, judged, moment_of
from station.replay.trends import Moment, Trend
from station.replay.whatif import OutputFound, WhatIf
from station.replay.whatif_table import counted
from station.show.identity import Rows
from station.show.paper import folded, page, section, table
from station.show.trend import Band, Frame, Line, bands_picture, lines_picture
from station.show.verdict import Remark

PICTURED: Final = 24
"""Outputs of a task with pictures: those that lie furthest apart."""
_COLUMNS: Final = (
    *("output", ">furthest apart", "at", ">tolerance", ">beyond", "first beyond", ">50 / 90 / 99 / 99.9 % within"),
    *(">not finite, outside its contract", ">clamped, old / new", ">limited, old / new", ">published: furthest apart"),
)
_KEY: Final = (
    '<p class="soft"><span class="key old"></span>recorded <span class="key new"></span>new model; before the guard, '
    "in the cycles in which both models have computed. A column holds the least and the greatest of all its cycles.</p>"
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What was replayed: a heading, and rows (what, found) on recording and models."""

    title: str
    rows: Rows


def to_html(subject: Subject, tasks: Sequence[WhatIf]) -> str:
    """The page: no script, nothing fetched."""
    remarks = [
        Remark(remark.level, f"{found.terms.task}: {remark.text}" if len(tasks) > 1 else remark.text)
        for found in tasks
        for remark in judged(found)
    ]
    rows = [*((escape(what), escape(said)) for what, said in subject.rows)]
    sections = [
        section("What this is not", f'<div class="card">{escape(CAVEAT)}</div>'),
        section("What was replayed", table(("what", "found"), rows)),
        *(part for found in tasks for part in _task(found)),
    ]
    first = tasks[0].terms if tasks else None
    under = "what another model would have put out" + (f"; from {clock(first, first.first_ns)}" if first else "")
    return page(f"What if: {subject.title}", subject.title, under, remarks, sections)


def _task(found: WhatIf) -> Iterator[str]:
    outputs = sorted(found.outputs, key=lambda one: one.rank, reverse=True)
    rows = table(_COLUMNS, (_output_row(found, one) for one in outputs))
    notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in found.notes)
    said = f'<p class="soft">{escape(counted(found))}</p>{notes}'
    yield section(f"{found.terms.task}: outputs", said + folded(rows, len(outputs), "outputs"))
    yield section(
        f"{found.terms.task}: guard and monitor, in all cycles", table(("", ">recorded", ">new model"), _counts(found))
    )
    pairs = [(f"recorded {old}, new {new}", f"{count:,}") for (old, new), count in found.both.items() if old != new]
    if pairs:
        yield section(
            f"{found.terms.task}: cycles in which they did otherwise", table(("what was published", ">cycles"), pairs)
        )
    places = {one.terms.name: i for i, one in enumerate(found.outputs)}
    drawn = [one for one in outputs if places[one.terms.name] < len(found.trends)][:PICTURED]
    for one in drawn:
        yield from _pictures(found, one, places[one.terms.name])
    if left := len(outputs) - len(drawn):
        yield f'<p class="soft">{left:,} more outputs lie less far apart, and have no picture.</p>'


def _output_row(found: WhatIf, one: OutputFound) -> Sequence[str]:
    terms, known = one.terms, one.quantiles
    unit = f' <span class="soft">{escape(terms.unit)}</span>' if terms.unit else ""
    within = " / ".join(f"{value:.3g}" for value in known.values()) or "-"
    tolerance = "-" if terms.tolerance is None else f"{terms.tolerance:.6g}"
    first, at = (_at(found, tick_ns) for tick_ns in (one.first_beyond_ns, one.largest_ns))
    beyond = "-" if terms.tolerance is None else _counted(one.beyond)
    bad = f"{_counted(one.not_finite)}, {_counted(one.outside)}"
    guards = [f"{old:,} / {new:,}" for old, new in (one.clamped, one.limited)]
    name = f"<b>{escape(terms.name)}</b>{unit}"
    return (
        *(name, f"{one.largest:.6g}", at, tolerance, beyond, first, within, bad, *guards),
        f"{one.published.largest:.6g}",
    )


def _at(found: WhatIf, tick_ns: int) -> str:
    """A tick in a cell: seconds, the time of day below."""
    since, _, day = clock(found.terms, tick_ns).partition(" (") if tick_ns else ("-", "", "")
    return f'{since}<br><span class="soft">{day.partition(" ")[2][:-5]}</span>' if day else since


def _counted(count: int) -> str:
    return f'<span class="{"bad" if count else "ok"}">{count:,}</span>'


def _counts(found: WhatIf) -> Iterator[Sequence[str]]:
    old, new = found.old, found.new
    for mine, other in ((old.actions, new.actions), (old.statuses, new.statuses)):
        for name in dict.fromkeys([*mine, *other]):
            yield escape(name), f"{mine.get(name, 0):,}", f"{other.get(name, 0):,}"
    if (limit := found.terms.monitor_limit) is not None:
        yield f"monitor over its limit ({limit:.6g})", f"{old.over_limit:,}", f"{new.over_limit:,}"
        largest = ("-" if who.monitor is None else f"{who.monitor:.6g}" for who in (old, new))
        yield "monitor, largest value", *largest


def _pictures(found: WhatIf, one: OutputFound, i: int) -> Iterator[str]:
    """The whole span, and the worst moments."""
    cards = [_card("the whole recording", _trend(found, one, found.trends[i]))]
    cards.append(_card("how far apart, at most", _apart(found, one, found.trends[i])))
    cards += [
        _card(f"{moment.apart:.4g} {one.terms.unit} apart at {clock(found.terms, moment.at_ns)}", _moment(one, moment))
        for moment in found.moments[i]
    ]
    yield section(f"{found.terms.task}: {one.terms.name}", f'{_KEY}<div class="pair">{"".join(cards)}</div>')


def _card(title: str, picture: str) -> str:
    return f'<div class="card"><h3>{escape(title)}</h3>{picture}</div>'


def _limits(one: OutputFound) -> tuple[tuple[str, float], ...]:
    return ("limit", one.terms.low), ("limit", one.terms.high)


def _trend(found: WhatIf, one: OutputFound, trend: Trend) -> str:
    bands = [Band("old", *trend.old), Band("new", *trend.new)]
    begin, end = 0.0, (trend.last_ns - trend.first_ns) / 1e9
    summary = f"{one.terms.name} over the whole recording, recorded and with the new model"
    return bands_picture(bands, Frame(begin, end, _clock_of(found, trend.first_ns), summary, _limits(one)))


def _apart(found: WhatIf, one: OutputFound, trend: Trend) -> str:
    """The greatest difference of each column, over 0."""
    band = Band("new", np.where(np.isnan(trend.apart), np.nan, 0.0), trend.apart)
    marks = () if one.terms.tolerance is None else (("limit", one.terms.tolerance),)
    summary = f"how far {one.terms.name} of the new model lies from the recorded one, over the whole recording"
    end = (trend.last_ns - trend.first_ns) / 1e9
    return bands_picture([band], Frame(0.0, end, _clock_of(found, trend.first_ns), summary, marks))


def _moment(one: OutputFound, moment: Moment) -> str:
    times = (moment.tick_ns - moment.at_ns) / 1e6
    lines = [Line("old", times, moment.old), Line("new", times, moment.new)]
    summary = f"{one.terms.name}, every cycle around the moment"
    frame = Frame(float(times[0]), float(times[-1]), lambda ms: f"{ms:g} ms", summary, _limits(one), at=0.0)
    return lines_picture(lines, frame)


def _clock_of(found: WhatIf, first_ns: int) -> Callable[[float], str]:
    """Seconds of the trend -> a label: the time of day, or the seconds."""
    if moment_of(found.terms, first_ns) is None or moment_of(found.terms, found.terms.last_ns) is None:
        return lambda seconds: f"{seconds:g} s"
    return lambda seconds: f"{moment_of(found.terms, first_ns + seconds * 1e9):%H:%M:%S}"
