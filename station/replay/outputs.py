"""What is known of each value that a task puts out: its name and unit, the guard's limits, the contract's, a tolerance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rt_engine.contract.terms import Contract
from scheduler.checks import limits_of as guard_limits
from scheduler.errors import ReplayError
from scheduler.task import Task
from scheduler.watch import names_of
from station.change.terms import limits_of as contract_limits
from station.replay.whatif import OutputTerms
from station.terms.findings import unknown


def outputs_of(
    task: Task, contract: Contract | None, tolerance: float | None, tolerances: Mapping[str, float]
) -> tuple[OutputTerms, ...]:
    """The values of a task, in the order of its record.

    Args:
        contract: of the new model. Behind a step nobody knows what the model's own outputs were: then it limits nothing.
        tolerance: of all outputs that `tolerances`, by tag or by value (`force[2]`), does not name; None: none.

    Raises:
        ReplayError: a tolerance is of no output.
    """
    names, tags = names_of(task.outputs), _tags(task)
    for name in tolerances.keys() - {*names, *(tag for tag, _ in tags)}:
        raise ReplayError(f"task {task.name}: {unknown('output', name, dict.fromkeys(tag for tag, _ in tags))}")
    pairs = [(str(i), output) for i, output in enumerate(task.outputs)]
    least, most = contract_limits(None if task.step is not None else contract, pairs)
    entries = [(str(i), guard_limits(output)) for i, output in enumerate(task.outputs) for _ in range(output.count)]
    return tuple(
        OutputTerms(
            name=name,
            unit=unit,
            low=low,
            high=high,
            least=least.get(entry, -math.inf),
            most=most.get(entry, math.inf),
            tolerance=tolerances.get(name, tolerances.get(tag, tolerance)),
        )
        for name, (tag, unit), (entry, (low, high, _)) in zip(names, tags, entries, strict=True)
    )


def _tags(task: Task) -> Sequence[tuple[str, str]]:
    """Of each value, its tag and the unit."""
    found = (entry.channel.tag_at(entry.cell + i)[0] for entry in task.outputs for i in range(entry.count))
    return [(tag.name, tag.unit) for tag in found]
