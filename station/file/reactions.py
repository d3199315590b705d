"""How long an input takes to become an output that is sent: what a station file lets expect. Pure.

    in the cycle     read, compute, write in one cycle: the model and the device's answers, within the cycle
    own thread       an input waits for the task's tick, its output for the link's next exchange: at most one cycle of each

From the moment an input arrives here, as `Reaction` in the statistics counts it; the sensor itself waits for its link's cycle before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from station.file.config import StationConfig
from station.file.owners import owner_of
from station.file.view import link_of
from station.links import LinkTable, NativeLinkTable
from station.terms.durations import format_duration
from station.terms.tasks import TaskTable


@dataclass(frozen=True, slots=True)
class Reaction:
    """Of one task, over one link that it writes to.

    `most_ns`: from the arrival of an input to the sending of the output, in the worst case, when no cycle is missed.
    `advice`: what would make it shorter; empty: nothing in the file would.
    """

    task: str
    link: str
    most_ns: int
    how: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.task} -> {self.link}: at most {format_duration(self.most_ns)}: {self.how}"


def expected(config: StationConfig, runs: Mapping[str, int] | None = None) -> Iterator[Reaction]:
    """The reactions of all tasks, link by link.

    Args:
        runs: task -> cycles that a run of its model takes, where it runs in slices.
    """
    for name, task in config.tasks.items():
        links, readers = (
            dict.fromkeys(link_of(config, config.tags[entry.tag]) for entry in entries if entry.tag in config.tags)
            for entries in (task.outputs, task.inputs)
        )
        for link in links:
            table = config.links.get(link or "")
            if link is None or table is None:
                continue
            found = _reaction(config, name, link, table, readers)
            yield found if name not in (runs or {}) else _over_cycles(found, task, (runs or {})[name])


def _over_cycles(reaction: Reaction, task: TaskTable, cycles: int) -> Reaction:
    """The reaction of the model, not of the step: an input waits for the next run to begin, and for that to be done."""
    waits = max(task.every, cycles)
    how = f"{reaction.how}; by way of the model, which takes {cycles:,} cycles, after up to {waits:,} until its next run begins"
    return replace(reaction, most_ns=reaction.most_ns + (waits + cycles - 1) * task.cycle_ns, how=how)


def _reaction(
    config: StationConfig, name: str, link: str, table: LinkTable, readers: Collection[str | None]
) -> Reaction:
    cycle_ns = config.tasks[name].cycle_ns
    tick = f"the task's cycle, {format_duration(cycle_ns)}"
    if owner_of(config, link) == name:
        own = all(owner_of(config, reader or "") == name for reader in readers)
        return Reaction(
            name, link, cycle_ns, f"read, computed and written within {tick}" if own else f"{tick}, and written at once"
        )
    if not table.cycle_ns:
        return Reaction(name, link, cycle_ns, f"{tick}; its clients read when they like")
    how = f"{tick}, and the link's, {format_duration(table.cycle_ns)}"
    is_threaded = isinstance(table, NativeLinkTable) and table.exchange == "own-thread"
    can_be_native = is_threaded and table.cycle_ns <= cycle_ns and set(readers) == {link}
    advice = (
        f'a value waits for both clocks; exchange = "in-cycle" in [links.{link}] makes it one cycle'
        if can_be_native
        else ""
    )
    return Reaction(name, link, cycle_ns + table.cycle_ns, how, advice)
