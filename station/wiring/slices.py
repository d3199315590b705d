"""Tasks whose models run in slices: how many cycles a run takes on this machine, measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rt_engine import Model
from rt_engine.run.distance import farthest_ns
from rt_engine.run.slicing import Sliced, slice_runs
from station.file.config import StationConfig
from station.machine.computer import Computer
from station.terms.durations import format_duration


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one task. `cycles`: that a run takes."""

    task: str
    model: str
    cycles: int
    latency_ns: int
    """From the inputs of a run to its result."""
    run_ns: int
    longest_ns: int
    slice_ns: int
    cores: str = ""
    """On how many it runs, if on several."""
    complaint: str = ""
    cores_left: int = 0
    """Of this computer, where that is fewer; else 0."""

    def __str__(self) -> str:
        took, longest, latency = (format_duration(ns) for ns in (self.run_ns, self.longest_ns, self.latency_ns))
        counted = f" (counted so: this computer leaves {self.cores_left})" if self.cores_left else ""
        cycles = f"{self.cycles:,} {'cycle' if self.cycles == 1 else 'cycles'}"
        return (
            f"task {self.task}: a run of model {self.model} takes {took}{self.cores}{counted}, in slices of "
            f"{format_duration(self.slice_ns)} {cycles}: a result is {latency} old; longest piece {longest}"
        )


def spread(config: StationConfig, models: Mapping[str, Model]) -> Iterator[Spread]:
    """Of all tasks whose models run in slices; each model runs a few times for that."""
    for name, table in config.tasks.items():
        if table.slice_ns is not None and table.model is not None:
            line_ns = farthest_ns(table.cpu, table.helper_cpus) if table.threads > 1 else 0.0
            found = slice_runs(models[table.model].context(), table.slice_ns, threads=table.threads, line_ns=line_ns)
            left = len(Computer().allowed)
            yield _of(name, table.model, table.cycle_ns, found, left if left < found.threads else 0)


def _of(task: str, model: str, cycle_ns: int, found: Sliced, cores_left: int) -> Spread:
    return Spread(
        task=task,
        model=model,
        cycles=found.cycles,
        latency_ns=found.cycles * cycle_ns,
        run_ns=found.run_ns,
        longest_ns=found.longest_ns,
        slice_ns=found.slice_ns,
        cores=found.cores,
        complaint=found.complaint,
        cores_left=cores_left,
    )
