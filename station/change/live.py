"""What a change does in the tasks of a running station."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rt_engine import Model, ModelSlot, UpdateResult
from scheduler.errors import SchedulerError
from scheduler.scheduler import Scheduler
from station.change.parts import Change, Found, Taken
from station.file.config import StationConfig


class LiveTasks:
    """See `station.change.parts.Tasks`.

    Args:
        is_served: are there servers, whose clients call models that no task runs?
    """

    def __init__(
        self, config: StationConfig, slots: Mapping[str, ModelSlot], scheduler: Scheduler, is_served: Callable[[], bool]
    ) -> None:
        self._config, self._slots, self._scheduler, self._is_served = config, slots, scheduler, is_served
        self._before: dict[str, Model] = {}

    def has_task(self, slot: str) -> bool:
        """Does a task run it?"""
        return any(table.model == slot for table in self._config.tasks.values())

    def replace(self, change: Change) -> Mapping[str, Taken]:
        """Gate, then live."""
        return {slot: self._replace(slot, model) for slot, model in change.models.items()}

    def shadow(self, change: Change) -> None:
        """The new ones compute behind the live ones."""
        raise SchedulerError("shadows are not there yet")

    def trial(self, change: Change) -> Mapping[str, Taken]:
        """The new ones are live."""
        raise SchedulerError("trials are not there yet")

    def commit(self, change: Change) -> Mapping[str, Taken]:
        """The new ones stay."""
        raise SchedulerError("trials are not there yet")

    def withdraw(self, change: Change) -> None:
        """The old ones alone."""

    def back(self, change: Change) -> Mapping[str, Taken]:
        """The ones before."""
        return {slot: self._replace(slot, self._before[slot]) for slot in change.candidates}

    def found(self, change: Change) -> Found:
        """Nothing yet."""
        return Found()

    def _replace(self, slot: str, model: Model) -> Taken:
        """In all tasks that run it, and for all clients that call it."""
        before = self._slots[slot].model
        if not self.has_task(slot) and self._is_served():
            taken = self._slots[slot].update(model)
        else:
            taken = self._scheduler.update(self._slots[slot], model)
        self._before[slot] = before
        return in_words(taken)


def in_words(result: UpdateResult) -> Taken:
    """How a version was taken."""
    tick = "taken by all tasks at the same tick" if result.same_tick else "taken by each task at its own next tick"
    if not result.taken_ns:
        tick = "taken by the next call of each client"
    state = (
        "" if result.state == "none" else "carried over" if result.state == "carried" else f"reset: {result.why_reset}"
    )
    return Taken(result.version, tick, state)
