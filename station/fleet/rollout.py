"""A rollout: which stations are next, when the next wave may begin, and whether one gives reason to stop. Pure.

    plan, members --> advance --> the plan as it is now, stations to be given an order
                                  wave 1: one station; good for as long as it soaks --> wave 2: a tenth --> wave 3: all

Who was ordered stands in the orders themselves (`Desired.rollout`), so a plan stays small and a commander that begins anew knows it.
"""

from __future__ import annotations

import fnmatch
import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from station.fleet.documents import (
    BAD,
    Count,
    Desired,
    Document,
    Name,
    Reported,
    Slot,
    Stage,
    Wanted,
    Words,
)
from station.terms.tables import Labels

WAVE: Final = r"^([1-9][0-9]{0,6}|(100|[1-9][0-9]?)%|all)$"
WAVES: Final = ("1", "10%", "all")
SOAK_S: Final = 600.0
PATIENCE_S: Final = 1800.0


class RolloutState(StrEnum):
    """Where a rollout is."""

    RUNNING = "running"
    PAUSED = "paused"
    """By a person: no order is given, what is under way goes on."""
    STOPPED = "stopped"
    """By a doubt; `why` names the station."""
    ABORTED = "aborted"
    DONE = "done"


OPEN: Final = frozenset({RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.STOPPED})
"""States in which no other rollout may begin."""


class Plan(Document):
    """A rollout, and how far it is. `term`, `revision`: which of two is newer. `word`: the number of the newest word that was obeyed.

    `select`, `labels`: which stations. `soak_s`: so long all of a wave must have been good. `patience_s`: so long one may take.
    `excused`: stations that were bad when somebody said resume: they stop it no more.
    """

    id: str = Field(max_length=100)
    term: Count
    revision: Count = 0
    who: str = Field(default="", max_length=100)
    begun: str = Field(default="", max_length=40)
    slots: dict[Name, Wanted] = Field(min_length=1, max_length=64)
    select: tuple[Annotated[str, Field(max_length=100)], ...] = ("*",)
    labels: Labels = Field(default={})
    waves: tuple[Annotated[str, Field(pattern=WAVE)], ...] = Field(default=WAVES, min_length=1, max_length=20)
    soak_s: Annotated[float, Field(ge=0, le=1e7)] = SOAK_S
    patience_s: Annotated[float, Field(gt=0, le=1e7)] = PATIENCE_S
    state: RolloutState = RolloutState.RUNNING
    why: Words = ""
    wave: Count = 0
    word: Count = 0
    total: Count = 0
    ordered: Count = 0
    good: Count = 0
    excused: tuple[Name, ...] = Field(default=(), max_length=1000)

    @property
    def order(self) -> tuple[int, int]:
        """Which of two is newer."""
        return self.term, self.revision

    def with_(self, **changes: object) -> Plan:
        """The same with some of it changed: a revision more."""
        return self.model_copy(update={**changes, "revision": self.revision + 1})


@dataclass(slots=True)
class Member:
    """A station, as a commander knows it."""

    name: str
    online: bool = False
    reported: Reported | None = None
    desired: Desired | None = None
    report_bytes: int = 0


class Standing(StrEnum):
    """How a station stands in a rollout."""

    TODO = "to do"
    AWAY = "away"
    """It has its order at the broker, and has not come for it."""
    SENT = "sent"
    WORKING = "working"
    GOOD = "good"
    BAD = "bad"


def selected(member: Member, patterns: Sequence[str], labels: Mapping[str, str]) -> bool:
    """Is it meant by these patterns of names (any), and these labels (all)?"""
    said = member.reported.labels if member.reported is not None else {}
    return any(fnmatch.fnmatchcase(member.name, one) for one in patterns or ("*",)) and labels.items() <= said.items()


def fits(plan: Plan, member: Member) -> bool:
    """Is it selected, and has it the slots? What has never reported is not known to."""
    has = member.reported.slots if member.reported is not None else {}
    return selected(member, plan.select, plan.labels) and plan.slots.keys() <= has.keys()


def standing(plan: Plan, member: Member) -> tuple[Standing, str]:
    """How a station stands, and why. One that says it was ordered, and was not, is good for nothing: it is no canary."""
    if member.desired is not None and member.desired.rollout == plan.id:
        return _ordered_standing(plan, member)
    if member.desired is None or member.reported is None or member.reported.rollout != plan.id:
        return Standing.TODO, ""
    stands, why = _ordered_standing(plan, member)
    return (stands, why) if stands == Standing.BAD else (Standing.TODO, "")


def _ordered_standing(plan: Plan, member: Member) -> tuple[Standing, str]:
    desired, reported = member.desired, member.reported
    if reported is None or (desired is not None and reported.generation < desired.generation):
        why = reported.refusal if reported is not None else ""
        return (Standing.SENT if member.online else Standing.AWAY), why
    for slot, wanted in plan.slots.items():
        stands, why = _slot_standing(wanted, reported.slots.get(slot))
        if stands != Standing.GOOD:
            return stands, f"{slot} {why}"
    return _health_standing(reported)


def _slot_standing(wanted: Wanted, slot: Slot | None) -> tuple[Standing, str]:
    if slot is None or (slot.wanted, slot.serial) != (wanted.sha256, wanted.serial):
        return Standing.BAD, "is wanted otherwise: another order has come since"
    words = f"{slot.stage.value}{f': {slot.why}' if slot.why else ''}"
    if slot.stage in BAD:
        return Standing.BAD, words
    return (Standing.GOOD if slot.stage == Stage.COMMITTED else Standing.WORKING), words


def _health_standing(reported: Reported) -> tuple[Standing, str]:
    health = reported.health
    if not health.monitor_quiet:
        return Standing.BAD, "its monitor speaks"
    if not health.reacts:
        return Standing.BAD, f"it reacts in {health.reaction_ns / 1e6:.3f} ms, {health.limit_ns / 1e6:.3f} may be"
    return Standing.GOOD, "committed"


@dataclass(slots=True)
class Timers:
    """Since when, on the commander's own monotonic clock. Who begins anew begins them anew: it waits longer, never less."""

    standing: dict[str, tuple[Standing, float]] = field(default_factory=dict)
    good_since: float | None = None

    def since(self, name: str, stands: Standing, now: float) -> float:
        """How long it has stood so."""
        known = self.standing.get(name)
        if known is None or known[0] != stands:
            known = self.standing[name] = (stands, now)
        return now - known[1]


@dataclass(frozen=True, slots=True)
class Step:
    """What follows: the plan as it is now, and who is to be given an order."""

    plan: Plan
    orders: tuple[str, ...] = ()


def advance(plan: Plan, members: Mapping[str, Member], timers: Timers, now: float) -> Step:
    """One look at all stations."""
    if plan.state != RolloutState.RUNNING:
        timers.standing.clear()
        timers.good_since = None
        return Step(plan)
    mine = [member for member in members.values() if fits(plan, member)]
    stands = {member.name: standing(plan, member) for member in mine}
    counts = Counter(stand for stand, _ in stands.values())
    ordered = len(mine) - counts[Standing.TODO]
    counted = plan
    if (plan.total, plan.ordered, plan.good) != (figures := (len(mine), ordered, counts[Standing.GOOD])):
        counted = plan.with_(total=figures[0], ordered=figures[1], good=figures[2])
    doubt = next(_doubts(plan, members, stands, timers, now), "")
    if doubt:
        return Step(counted.with_(state=RolloutState.STOPPED, why=doubt[:500]))
    missing = _target(plan, mine, stands) - ordered
    if missing > 0:
        timers.good_since = None
        return Step(counted, tuple(_next(plan, mine, stands, missing)))
    return _waited(counted, stands, counts, timers, now)


def _waited(
    plan: Plan, stands: Mapping[str, tuple[Standing, str]], counts: Counter[Standing], timers: Timers, now: float
) -> Step:
    """All of this wave were ordered: are they good, and have they been for long enough?"""
    excused = Counter(stands[name][0] for name in plan.excused if name in stands)
    is_open = any(counts[stand] > excused[stand] for stand in _under_way(plan))
    if is_open or not (counts[Standing.GOOD] or excused.total()):
        timers.good_since = None
        return Step(plan)
    if timers.good_since is None:
        timers.good_since = now
    if now - timers.good_since < plan.soak_s:
        return Step(plan)
    timers.good_since = None
    for wave in range(plan.wave + 1, len(plan.waves)):
        if size_of(plan.waves[wave], plan.total) > plan.ordered:  # in a small fleet some waves reach nobody else
            return Step(plan.with_(wave=wave))
    away = counts[Standing.AWAY]
    follows = f"; {away} away: they follow when they are back" if away else ""
    return Step(plan.with_(state=RolloutState.DONE, why=f"{counts[Standing.GOOD]} committed{follows}"))


def _doubts(
    plan: Plan,
    members: Mapping[str, Member],
    stands: Mapping[str, tuple[Standing, str]],
    timers: Timers,
    now: float,
) -> Iterator[str]:
    """What speaks against going on."""
    late = _under_way(plan)
    for name, (stand, why) in stands.items():
        since = timers.since(name, stand, now)
        if name in plan.excused:
            continue
        if stand == Standing.BAD:
            yield f"{name}: {why}"
        elif stand in late and since > plan.patience_s:
            where = "" if members[name].online else ", and it is away"
            said = "its order waits at the broker" if stand == Standing.AWAY else stand.value
            yield f"{name}: not done within {plan.patience_s:g} s{where}: {why or said}"


def _is_last(plan: Plan) -> bool:
    return plan.wave + 1 == len(plan.waves)


def _under_way(plan: Plan) -> set[Standing]:
    """Whom a wave waits for. Before the last one only who is there is ordered: who is away then may be so because of it."""
    return {Standing.SENT, Standing.WORKING, *(() if _is_last(plan) else (Standing.AWAY,))}


def size_of(wave: str, total: int) -> int:
    """How many stations a wave reaches, with those before it: "1", "10%", "all"."""
    if wave == "all":
        return total
    return min(total, math.ceil(total * int(wave[:-1]) / 100) if wave.endswith("%") else int(wave))


def _target(plan: Plan, mine: Sequence[Member], stands: Mapping[str, tuple[Standing, str]]) -> int:
    """How many must have been ordered in this wave. Only the last one counts on stations that are away."""
    target = size_of(plan.waves[plan.wave], len(mine))
    if _is_last(plan):
        return target
    return min(target, sum(member.online or stands[member.name][0] != Standing.TODO for member in mine))


def _next(plan: Plan, mine: Sequence[Member], stands: Mapping[str, tuple[Standing, str]], count: int) -> Iterator[str]:
    """Those who are next: who is there before who is away, who runs something else before who has it already; else by chance, the
    same for every commander."""
    todo = (member for member in mine if stands[member.name][0] == Standing.TODO)
    ranked = sorted((not member.online, _has_it(plan, member), _chance(plan, member), member.name) for member in todo)
    yield from (name for *_, name in ranked[:count])


def _has_it(plan: Plan, member: Member) -> bool:
    has = member.reported.slots if member.reported is not None else {}
    return all(has[slot].sha256 == wanted.sha256 for slot, wanted in plan.slots.items())


def _chance(plan: Plan, member: Member) -> bytes:
    return hashlib.sha256(f"{plan.id} {member.name}".encode()).digest()


def ordered(plan: Plan, member: Member, generation: int) -> Desired:
    """The order for a station: what it was ordered before in other slots stays wanted."""
    before = member.desired.slots if member.desired is not None else {}
    has = member.reported.slots if member.reported is not None else {}
    own = {
        slot: wanted.model_copy(update={"before": has[slot].sha256 if slot in has else ""})
        for slot, wanted in plan.slots.items()
    }
    return Desired(station=member.name, generation=generation, rollout=plan.id, slots={**before, **own})


def is_reached(plan: Plan, member: Member) -> bool:
    """Was it ordered by this rollout, or by its taking back, as the newest of order and report says?"""
    return _newest(member)[1] in (plan.id, _back(plan))


def _back(plan: Plan) -> str:
    return f"{plan.id} back"[:100]


def taken_back(plan: Plan, member: Member) -> Desired | None:
    """The order that takes back what the rollout brought, without a generation; None: there is nothing to take back.

    Where its order is lost, the station's own report says what it was, and what ran before.
    """
    if _newest(member)[1] != plan.id:
        return None
    slots = dict(member.desired.slots) if member.desired is not None else {}
    back = {slot: wanted for slot, wanted in _ordered_slots(plan, member).items() if slot in plan.slots}
    back = {
        slot: wanted.model_copy(
            update={"sha256": wanted.before, "serial": 0, "back": True, "sources": (), "before": wanted.sha256}
        )
        for slot, wanted in back.items()
        if wanted.before and wanted.before != wanted.sha256
    }
    if not back:
        return None
    return Desired(station=member.name, generation=0, rollout=_back(plan), slots={**slots, **back})


def _newest(member: Member) -> tuple[int, str]:
    """(generation, rollout) of the newest order that is known of a station."""
    said = (one for one in (member.desired, member.reported) if one is not None)
    return max(((one.generation, one.rollout) for one in said), default=(0, ""))


def _ordered_slots(plan: Plan, member: Member) -> Mapping[str, Wanted]:
    """What the station was ordered in this rollout."""
    if member.desired is not None and member.desired.rollout == plan.id:
        return member.desired.slots
    said = member.reported.slots if member.reported is not None else {}
    return {
        slot: wanted.model_copy(update={"before": said[slot].before})
        for slot, wanted in plan.slots.items()
        if slot in said and (said[slot].wanted, said[slot].serial) == (wanted.sha256, wanted.serial)
    }
