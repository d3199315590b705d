"""A fleet on a terminal, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rt_native.terminal import Column, Sheet
from station.fleet.documents import Reported
from station.fleet.known import Fleet
from station.fleet.rollout import OPEN, Member, Plan, RolloutState, Standing, fits, size_of, standing
from station.terms.counting import many

if TYPE_CHECKING:
    from rt_native.terminal import Terminal

SHORT = 12
_COLUMNS = (
    Column("station"),
    Column("there", rank=4),
    Column("model"),
    Column("runs"),
    Column("wanted", rank=3),
    Column("stage"),
    Column("p99\nreaction", rank=5, right=True),
    Column("late", rank=6, right=True),
    Column("what to know", rank=2, folds=True),
)


def stations_sheet(members: Iterable[Member]) -> Sheet:
    """A line for each slot of each station."""
    sheet = Sheet(_COLUMNS)
    for member in sorted(members, key=lambda one: one.name):
        there, reported = "yes" if member.online else "no", member.reported
        if reported is None:
            sheet.add(member.name, there, "", "", "", "unknown", "", "", "it has not reported yet", style="yellow")
            continue
        health = reported.health
        reaction = f"{health.reaction_ns / 1e6:.3f} ms" if health.reaction_ns else ""
        for slot, one in reported.slots.items():
            words = "; ".join(filter(None, (_doubt(reported), one.why, _behind(member))))
            cells = (member.name, there, slot, one.sha256[:SHORT], one.wanted[:SHORT], one.stage.value)
            style = "red" if _doubt(reported) else "" if member.online else "dim"
            sheet.add(*cells, reaction, f"{health.late:,}", words, style=style)
    return sheet


def _doubt(reported: Reported) -> str:
    health = reported.health
    words = [] if health.monitor_quiet else ["its monitor speaks"]
    if not health.reacts:
        words.append(f"it reacts slower than {health.limit_ns / 1e6:.3f} ms")
    if reported.refused:
        words.append(f"refused {reported.refused} orders: {reported.refusal}")
    return "; ".join([*words, health.words] if health.words else words)


def _behind(member: Member) -> str:
    desired, reported = member.desired, member.reported
    if desired is None or reported is None or reported.generation >= desired.generation:
        return ""
    return f"order {desired.generation} is not taken yet"


def plan_words(plan: Plan) -> str:
    """One line on a rollout."""
    why = f": {plan.why}" if plan.why else ""
    figures = f"{plan.good:,} of {plan.total:,} good, {plan.ordered:,} ordered"
    return f"rollout {plan.id} is {plan.state.value}, wave {plan.wave + 1} of {len(plan.waves)}, {figures}{why}"


def plan_help(plan: Plan) -> str:
    """What a person may say to a rollout that nobody commands; empty: nothing."""
    if plan.state not in OPEN:
        return ""
    spite = " in spite of that" if plan.state == RolloutState.STOPPED else ""
    return f"`rt-engine fleet resume` goes on{spite}; `rt-engine fleet abort --back` takes the version back"


def waves_words(plan: Plan, fleet: Fleet) -> str:
    """What a plan would do."""
    total = sum(fits(plan, member) for member in fleet.members.values())
    reached = sorted({size_of(wave, total) for wave in plan.waves})
    sizes = ", ".join(f"{size:,}" for size in reached)
    waves = f"{many(total, 'station')}; so many have it after each wave: {sizes}"
    return f"{waves}; all are good for {plan.soak_s:g} s before the next wave"


def to_json(fleet: Fleet, members: Iterable[Member]) -> dict[str, Any]:
    """For programs."""
    plan, present = fleet.plan, fleet.present
    return {
        "commander": present.model_dump(mode="json") if present.online else None,
        "rollout": plan.model_dump(mode="json", exclude_none=True) if plan is not None else None,
        "stations": {member.name: _member_json(member, plan) for member in sorted(members, key=lambda one: one.name)},
    }


def _member_json(member: Member, plan: Plan | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "online": member.online,
        "reported": member.reported.model_dump(mode="json") if member.reported is not None else None,
        "generation": member.desired.generation if member.desired is not None else 0,
    }
    if plan is not None and fits(plan, member):
        stands, why = standing(plan, member)
        found["standing"], found["why"] = stands.value, why
    return found


class Watched:
    """A rollout as it goes: a bar for each wave on a terminal, else a line for each change."""

    def __init__(self, console: Terminal, say: Callable[[str], None]) -> None:
        self._say, self._told = say, ""
        self._bars: Any = None
        self._tasks: list[Any] = []
        if console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bars = Progress(*columns, console=console)

    def __enter__(self) -> Watched:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, fleet: Fleet, plan: Plan) -> None:
        """The newest."""
        words = f"wave {plan.wave + 1} of {len(plan.waves)}: {counts_words(plan, fleet.members)}"
        if self._bars is None and words != self._told and plan.state == RolloutState.RUNNING:
            self._say(words)
        self._told = words
        if self._bars is not None:
            self._draw(plan)

    def _draw(self, plan: Plan) -> None:
        if not self._tasks:
            self._tasks = [self._bars.add_task(f"wave {n} ({w})", total=None) for n, w in enumerate(plan.waves, 1)]
        before = 0
        for task, wave in zip(self._tasks, plan.waves, strict=True):
            size = size_of(wave, plan.total)
            self._bars.update(
                task, total=max(size - before, 0), completed=min(max(plan.good - before, 0), size - before)
            )
            before = size


def counts_words(plan: Plan, members: Mapping[str, Member]) -> str:
    """`3 good, 1 working, 12 to do`."""
    counts = Counter(standing(plan, one)[0] for one in members.values() if fits(plan, one))
    return ", ".join(f"{counts[stand]:,} {stand.value}" for stand in reversed(Standing) if counts[stand])
