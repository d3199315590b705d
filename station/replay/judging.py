"""What a comparison with a new model comes to: remarks, the worst first, and whether it may pass. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from station.machine.computer import Level
from station.replay.whatif import OutputFound, Terms, WhatIf
from station.show.verdict import Remark
from station.terms.counting import many

CAVEAT: Final = (
    "The recorded inputs are those that the old model's outputs led to. Where the two differ, the machine would have moved "
    "otherwise, and its sensors would have said something else from then on: after the first difference this is what the new "
    "model makes of the old one's world, not what would have happened."
)
"""A closed loop cannot be replayed open; said wherever the figures are shown."""
_RANK: Final[dict[Level, int]] = {"bad": 0, "warn": 1, "ok": 2}
_SHOWN: Final = 3


def judged(found: WhatIf) -> tuple[Remark, ...]:
    """All remarks; never empty; the first has the level of the whole."""
    remarks = [remark for part in (_whole, _faults, _values, _apart, _published, _monitors) for remark in part(found)]
    return tuple(sorted(remarks, key=lambda remark: _RANK[remark.level]))


def passes(found: WhatIf) -> bool:
    """Is every value finite, within the contract, near enough where a tolerance was given, and is there one at all?"""
    return judged(found)[0].level != "bad"


def clock(terms: Terms, tick_ns: int) -> str:
    """A tick for people: seconds since the first, and the time of day where it is known."""
    since, moment = f"{(tick_ns - terms.first_ns) / 1e9:,.3f} s", moment_of(terms, tick_ns)
    if moment is None:
        return since
    return f"{since} ({moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} UTC)"


def moment_of(terms: Terms, tick_ns: float) -> datetime | None:
    """The time of day of a tick; None: it is not known, or none (a recording may say anything)."""
    if not terms.utc_ns:
        return None
    try:
        return datetime.fromtimestamp((tick_ns + terms.utc_ns) / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _whole(found: WhatIf) -> Iterator[Remark]:
    if not found.compared:
        why = next(iter((*found.apart, *found.notes)), "the recording has no cycle of this task")
        yield Remark("bad", f"nothing could be compared, in {found.cycles:,} cycles: {why}")
    elif found.is_equal:
        yield Remark("ok", f"the same bits in all {found.cycles:,} cycles")


def _faults(found: WhatIf) -> Iterator[Remark]:
    if found.faults:
        new = ", ".join(name for name in found.new.statuses if name not in found.old.statuses)
        said = f" ({new})" if new else ""
        at = clock(found.terms, found.fault_ns)
        yield Remark(
            "bad", f"it fails in {many(found.faults, 'cycle')} in which the old one does not{said}, first at {at}"
        )


def _values(found: WhatIf) -> Iterator[Remark]:
    for outputs, count, what in (
        (
            [one for one in found.outputs if one.not_finite],
            "not_finite",
            "NaN or infinite where the old one's are numbers",
        ),
        ([one for one in found.outputs if one.outside], "outside", "beyond the limits of its contract"),
    ):
        for one in outputs[:_SHOWN]:
            at = clock(found.terms, one.first_bad_ns)
            yield Remark("bad", f"{one.terms.name}: {many(getattr(one, count), 'value')} {what}, first at {at}")
        if len(outputs) > _SHOWN:
            yield Remark("bad", f"and of {len(outputs) - _SHOWN} more outputs values {what}")


def _apart(found: WhatIf) -> Iterator[Remark]:
    """How far they lie apart, judged by tolerances where there are some."""
    if not found.compared or found.is_equal:
        return
    judged_, allowed = [one for one in found.outputs if one.terms.tolerance is not None], found.terms.disagreements
    beyond = sorted((one for one in judged_ if one.beyond), key=lambda one: one.rank, reverse=True)
    if beyond:
        level: Level = "bad" if found.beyond > allowed else "warn"
        may = f", {allowed:,} may" if allowed else ""
        values = sum(one.compared for one in judged_)
        figures = "; ".join(_furthest(found.terms, one) for one in beyond[:_SHOWN])
        more = f"; and {len(beyond) - _SHOWN} more outputs" if len(beyond) > _SHOWN else ""
        yield Remark(level, f"{found.beyond:,} of {values:,} values lie beyond their tolerance{may}: {figures}{more}")
    elif judged_:
        which = "every output" if len(judged_) == len(found.outputs) else ", ".join(one.terms.name for one in judged_)
        yield Remark("ok", f"{which} is within its tolerance in all {found.compared:,} cycles that can be compared")
    rest = [one for one in found.outputs if one.terms.tolerance is None and one.largest > 0]
    if rest:
        most = max(rest, key=lambda one: one.rank)
        unit = f" {most.terms.unit}" if most.terms.unit else ""
        at = clock(found.terms, most.largest_ns)
        yield Remark(
            "warn",
            f"{most.terms.name} differs by up to {most.largest:.4g}{unit}, at {at}; no tolerance was given for it, so "
            "nothing is judged by that",
        )


def _furthest(terms: Terms, one: OutputFound) -> str:
    by = f"{one.largest:.4g} {one.terms.unit}".rstrip()
    first = clock(terms, one.first_beyond_ns)
    return f"{one.terms.name} by up to {by} (tolerance {one.terms.tolerance:.4g}), {many(one.beyond, 'time')}, first at {first}"


def _published(found: WhatIf) -> Iterator[Remark]:
    """Cycles with outputs that are not the model's own."""
    old, new = (
        sum(count for action, count in who.actions.items() if action != "LIVE") for who in (found.old, found.new)
    )
    if new > old:
        yield Remark("warn", f"held, safe or from a fallback in {new:,} cycles, with the old one in {old:,}")


def _monitors(found: WhatIf) -> Iterator[Remark]:
    if found.new.over_limit > found.old.over_limit:
        old, new = found.old.over_limit, found.new.over_limit
        yield Remark("warn", f"the monitor is over its limit in {new:,} cycles, with the old one in {old:,}")
