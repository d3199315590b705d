"""Tasks whose models several cores run together: how much of a model is cut for them, as far as its sizes say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rt_engine import Model
from station.file.config import StationConfig


@dataclass(frozen=True, slots=True)
class Together:
    """Of one task."""

    task: str
    model: str
    threads: int
    share: float
    """Of the work, what is cut; 0: the model stays on one core."""

    def __str__(self) -> str:
        return f"task {self.task}: {self.threads} cores run model {self.model} together, {self.share:.0%} of its work is cut"

    @property
    def complaint(self) -> str:
        """What is said of a model for which helpers are no use; else empty."""
        if self.share:
            return ""
        why = "takes less than about 50 us, or nothing of it can be cut"
        return f"model {self.model} {why}: it stays on one core; leave `threads` out"


def together(config: StationConfig, models: Mapping[str, Model]) -> Iterator[Together]:
    """Of all tasks with helpers; nothing is run."""
    for name, table in config.tasks.items():
        if table.threads > 1 and table.model is not None:
            laid = models[table.model]._executable.fanned(table.threads)
            yield Together(name, table.model, table.threads, laid.share if laid else 0.0)
