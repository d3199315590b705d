"""What a station file may say and rarely means: warnings. What only concerns a link its kind knows (`station.links`)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Final

from scheduler.rights import MORE_CORES
from station.file.view import View
from station.machine.computer import Computer
from station.terms.durations import format_duration
from station.terms.findings import Finding
from station.terms.spans import sharing

MUCH_FASTER: Final = 10
"""A task so many times as fast as its link works on the same values again and again."""


def _cores(view: View) -> Iterator[Finding]:
    """A core that this computer does not have, or that the control group does not leave to a station started here."""
    computer = Computer()
    for name, task in view.config.tasks.items():
        if task.cpu is not None and task.cpu not in computer.cores:
            has = ", ".join(map(str, computer.cores))
            message = f"this computer has core {has}: the task can run only where there is a core {task.cpu}"
            yield Finding(("tasks", name, "cpu"), message, "warning")
        elif task.cpu is not None and task.cpu not in computer.allowed:
            left = ", ".join(map(str, computer.allowed))
            message = (
                f"the control group that this runs in leaves core {left}; there the task is refused core {task.cpu}: "
                f"name one of those, or {MORE_CORES}"
            )
            yield Finding(("tasks", name, "cpu"), message, "warning")


def _much_faster(view: View) -> Iterator[Finding]:
    """A task much faster than a link that it reads or drives; where its inputs would be bad meanwhile, that is told."""
    for name, task in view.config.tasks.items():
        tags = [view.config.tags[e.tag] for e in (*task.inputs, *task.outputs) if e.tag in view.config.tags]
        for link in sorted({view.link_of(tag) or "" for tag in tags} & set(view.config.links)):
            cycle = view.config.links[link].cycle_ns
            known = view.knows("tasks", name, "cycle") and view.knows("links", link, "cycle")
            is_told = task.guard.max_age_ns is not None and cycle > task.guard.max_age_ns
            if known and not is_told and cycle > MUCH_FASTER * task.cycle_ns:
                message = (
                    f"link {link} goes to its device every {format_duration(cycle)}: {cycle // task.cycle_ns:,} cycles of "
                    f"{format_duration(task.cycle_ns)} work on the same values; make the link's `cycle` shorter, or this longer"
                )
                yield Finding(("tasks", name, "cycle"), message, "warning")


def _without_turns(view: View) -> Iterator[Finding]:
    """What is said of the cycles between two turns of a model, where there are none; and of a bool, which has no way to go."""
    for name, task in view.config.tasks.items():
        if task.model is None and task.every > 1:
            message = "has no effect without a model: the step runs in each cycle"
            yield Finding(("tasks", name, "every"), message, "warning")
        if "between" in task.model_fields_set and not task.has_turns:
            message = 'has no effect without the key "every" or the key "slice"'
            yield Finding(("tasks", name, "between"), message, "warning")
        for index, entry in enumerate(task.outputs):
            tag = view.config.tags.get(entry.tag)
            is_line = task.has_turns and (entry.between or task.between) == "linear"
            if is_line and tag is not None and tag.type == "bool":
                write = f'{{ tag = "{entry.tag}", between = "hold" }}'
                message = f"tag {entry.tag} is a bool, and in a line it changes half way; write {write}"
                yield Finding(("tasks", name, "outputs", index), message, "warning")


def _held_alone(view: View) -> Iterator[Finding]:
    """Two links that want what only one can have."""
    holders: dict[Hashable, str] = {}
    for name, link in view.config.links.items():
        held = link.held_alone()
        first = holders.setdefault(held, name)
        said = link.second(first, view.config.links[first]) if held is not None and first != name else None
        if said is not None:
            yield Finding(("links", name), *said)


def _same_places(view: View) -> Iterator[Finding]:
    """Two links that write one place of one device: which of them wins is chance."""
    written: dict[Hashable, list[tuple[range, str, str]]] = {}
    for name, tag in view.config.tags.items():
        link = view.link_of(tag) or ""
        table = view.config.links.get(link)
        place = table.place(tag) if table is not None and tag.direction == "out" else None
        if place is None:
            continue
        where, span = place
        written.setdefault(where, []).append((span, name, link))
    for places in written.values():
        for first, second in sharing([span for span, _, _ in places]):
            (_, other, other_link), (_, name, link) = places[first], places[second]
            if other_link != link:
                message = f"tag {other} is written to the same place of the same device, through link {other_link}"
                yield Finding(("tags", name, "address"), f"{message}: the two overwrite each other", "warning")


ADVICE: Final[tuple[Callable[[View], Iterator[Finding]], ...]] = (
    _cores,
    _much_faster,
    _without_turns,
    _held_alone,
    _same_places,
)
