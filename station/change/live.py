"""What a change does in the tasks of a running station, and what they have seen (`scheduler.second`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from plc_bindings.data.changes import Difference
from rt_engine import UpdateResult
from rt_engine.change import ChangeState, Verdict
from rt_engine.slot_change import SlotChange
from scheduler import second
from scheduler.errors import SchedulerError
from scheduler.scheduler import Scheduler
from scheduler.task import Output
from station.change.machine import Evidence, Policy
from station.change.parts import Candidate, Change, Found, Taken
from station.change.terms import limits_of
from station.file.config import StationConfig
from station.wiring.parts import Parts


class LiveTasks:
    """See `station.change.parts.Tasks`.

    Args:
        is_served: are there servers, whose clients call models that no task runs?
    """

    def __init__(
        self, config: StationConfig, parts: Parts, scheduler: Scheduler, is_served: Callable[[], bool]
    ) -> None:
        self._config, self._parts, self._scheduler, self._is_served = config, parts, scheduler, is_served
        self._made: dict[Change, SlotChange] = {}
        """What the scheduler knows of each change that can still be taken back."""

    def has_task(self, slot: str) -> bool:
        """Does a task run it?"""
        return bool(self._tasks(slot))

    def replace(self, change: Change) -> Mapping[str, Taken]:
        """Gate, then live."""
        for slot in change.candidates:
            if not self._parts.slots[slot].readers and not self._is_served():  # nor as a monitor, or to fall back on
                raise SchedulerError(f"no task of this scheduler runs the model slot '{slot}'")
        return _taken(change, self._begun(change, SlotChange.commit))

    def shadow(self, change: Change) -> None:
        """The new ones compute behind the live ones."""
        self._begun(change, SlotChange.shadow)

    def trial(self, change: Change) -> Mapping[str, Taken]:
        """The new ones are live, the old ones their shadows."""
        return _taken(change, self._begun(change, SlotChange.trial))

    def commit(self, change: Change) -> Mapping[str, Taken]:
        """The new ones stay."""
        return _taken(change, self._of(change).commit())

    def withdraw(self, change: Change) -> None:
        """The old ones alone."""
        if (made := self._made.pop(change, None)) is not None:
            made.roll_back()

    def back(self, change: Change) -> Mapping[str, Taken]:
        """The ones before; they are prepared."""
        return _taken(change, self._made.pop(change).roll_back())

    def is_prepared(self, change: Change) -> bool:
        """Does the scheduler still have the contexts before?"""
        made = self._made.get(change)
        return made is not None and all(slot.committed is made for slot in made.slots)

    def found(self, change: Change) -> Found:
        """What shadow or trial have shown since it began."""
        made = self._made.get(change)
        if made is None:
            return Found()
        seen = {slot: self._seen(slot) for slot in change.candidates}
        stats = [one for of_slot in seen.values() for one in of_slot.values()]
        is_trial = any(one.mode == "trial" for one in stats)
        fate = made.fate
        evidence = Evidence(
            cycles=min((one.judged.count if is_trial else one.ran for one in stats), default=0),
            skipped=max((one.skipped for one in stats), default=0),
            disagreements=sum(map(_disagreements, stats)),
            verdict=Verdict.NONE if fate is None else fate.verdict,
            never=next((one.never for one in stats if one.never), ""),
        )
        differences = {slot: tuple(_differences(of_slot)) for slot, of_slot in seen.items()}
        if fate is None:
            return Found(evidence, differences)
        return Found(evidence, differences, fate.task, fate.tick_ns, fate.output)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _tasks(self, slot: str) -> list[str]:
        return [name for name, table in self._config.tasks.items() if table.model == slot]

    def _seen(self, slot: str) -> dict[str, second.SecondStats]:
        found = {name: self._scheduler.second(name) for name in self._tasks(slot)}
        return {name: stats for name, stats in found.items() if stats is not None}

    def _of(self, change: Change) -> SlotChange:
        """What the scheduler knows of it; made, with contexts prepared, when it is asked first."""
        made = self._made.get(change)
        if made is None:
            slots = self._parts.slots
            models = {slots[slot]: model for slot, model in change.models.items()}
            numbers = {slots[slot]: one.number for slot, one in change.candidates.items() if one.number}
            made = self._scheduler.change(models, self._terms(change), versions=numbers)
            known = {id(one) for slot in slots.values() for one in (slot.change, slot.committed)}
            self._made = {n: one for n, one in self._made.items() if id(one) in known} | {change: made}
        return made

    def _begun(
        self, change: Change, step: Callable[[SlotChange], tuple[UpdateResult, ...]]
    ) -> tuple[UpdateResult, ...]:
        """A step that may be the first. A first one that was not taken leaves nothing behind: its slots are free."""
        made = self._of(change)
        try:
            return step(made)
        except BaseException:
            if made.state == ChangeState.STAGED:
                self.withdraw(change)
            raise

    def _terms(self, change: Change) -> dict[str, second.Terms]:
        return {
            task: self._terms_of(task, candidate, change.policies[slot])
            for slot, candidate in change.candidates.items()
            for task in self._tasks(slot)
        }

    def _outputs(self, task: str) -> list[tuple[str, Output]]:
        """The task's outputs that its model gives, with their tags."""
        entries = self._config.tasks[task].outputs
        made = next(one for one in self._parts.tasks if one.name == task)
        both = zip(entries, made.outputs, strict=True)
        return [(entry.tag, output) for entry, output in both if output.tensor is not None]

    def _terms_of(self, task: str, candidate: Candidate, policy: Policy) -> second.Terms:
        """What the new version has to keep to in a task: the gate's times, the contract's limits, the policy's tolerances."""
        report, contract = candidate.report, candidate.loaded.contract
        outputs = self._outputs(task)
        low, high = limits_of(contract, outputs)
        return second.Terms(
            new_ns=report.timing.need_ns or None if report is not None else None,
            budget_ns=candidate.budgets.get(task),
            low=low,
            high=high,
            tolerance={tag: policy.tolerance_of(tag) for tag, _ in outputs},
        )


def _disagreements(stats: second.SecondStats) -> int:
    """Values beyond their tolerance; in a shadow, also runs that would have been no good. In a trial the second is the old one."""
    beyond = sum(one.beyond for one in stats.differences)
    return beyond + (stats.failed + stats.not_finite + stats.outside if stats.mode == "shadow" else 0)


def _differences(seen: Mapping[str, second.SecondStats]) -> list[Difference]:
    return [_difference(task, one) for task, stats in seen.items() for one in stats.differences]


def _difference(task: str, one: second.Difference) -> Difference:
    bins = one.histogram.nonzero()[0]
    return Difference(
        task=task,
        output=one.name,
        compared=int(one.histogram.sum()) + one.not_finite,
        largest=one.largest,
        largest_ns=one.largest_tick_ns,
        tolerance=one.tolerance if one.tolerance != float("inf") else None,
        beyond=one.beyond,
        not_finite=one.not_finite,
        edges=tuple(float(second.EDGES[bin_]) for bin_ in bins),
        counts=tuple(int(one.histogram[bin_]) for bin_ in bins),
    )


def _taken(change: Change, results: Sequence[UpdateResult]) -> dict[str, Taken]:
    return {slot: in_words(result) for slot, result in zip(change.candidates, results, strict=True)}


def in_words(result: UpdateResult) -> Taken:
    """How a version was taken."""
    tick = "taken by all tasks at the same tick" if result.same_tick else "taken by each task at its own next tick"
    if not result.taken_ns:
        tick = "taken by the next call of each client"
    state = (
        "" if result.state == "none" else "carried over" if result.state == "carried" else f"reset: {result.why_reset}"
    )
    return Taken(result.version, tick, state)
