"""Tasks whose models several cores run together: how much of a model is cut for them, as far as its sizes say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rt_engine import Model
from rt_engine.run.distance import farthest_ns
from scheduler.helpers import NEAR_CORES
from station.file.config import StationConfig


@dataclass(frozen=True, slots=True)
class Together:
    """Of one task."""

    task: str
    model: str
    threads: int
    share: float
    """Of the work, what is cut; 0: the model stays on one core."""
    line_ns: float | None = None
    """How long a cache line takes to the farthest helper's core and back, where it was measured: of a model that can be cut."""

    def __str__(self) -> str:
        if not self.share:
            return f"task {self.task}: one core runs model {self.model}, {self.threads} were asked for"
        return f"task {self.task}: {self.threads} cores run model {self.model} together, {self.share:.0%} of its work is cut"

    @property
    def complaint(self) -> str:
        """What is said of a model for which helpers are no use; else empty."""
        if self.share:
            return ""
        if self.line_ns is None:
            why = "takes less than about 50 us, or nothing of it can be cut"
            return f"model {self.model} {why}: it stays on one core; leave `threads` out"
        why = f"is too short for cores that far apart (a cache line takes {self.line_ns:,.0f} ns there and back)"
        return f"model {self.model} {why}: it stays on one core; {NEAR_CORES}, or leave `threads` out"


def together(config: StationConfig, models: Mapping[str, Model]) -> Iterator[Together]:
    """Of all tasks with helpers; no model is run, the distance of the cores is measured."""
    for name, table in config.tasks.items():
        if table.threads > 1 and table.model is not None:
            laid = models[table.model]._executable.fanned(table.threads)
            line_ns = farthest_ns(table.cpu, table.helper_cpus) if laid else None
            share = laid.share if laid and line_ns and laid.pays(line_ns) else 0.0
            yield Together(name, table.model, table.threads, share, line_ns)
