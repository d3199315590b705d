"""Which task exchanges with a link in its cycle. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from station.file.config import StationConfig
from station.file.view import View, tags_of
from station.links import NativeLinkTable
from station.terms.durations import format_duration
from station.terms.findings import Finding, unknown
from station.terms.tasks import TaskTable


def owner_of(config: StationConfig, link: str) -> str | None:
    """The task that exchanges with this link in its cycle; None: a thread of its own does, or it is not clear which."""
    table = config.links.get(link)
    if not isinstance(table, NativeLinkTable) or table.exchange != "in-cycle":
        return None
    if table.task is not None:
        return table.task if table.task in config.tasks else None
    users, writers = _users(config, link)
    chosen = users if len(users) == 1 else writers
    if len(chosen) != 1 and table.is_the_fastest_tasks:
        fastest = min((config.tasks[name].cycle_ns for name in users), default=0)
        chosen = [name for name in users if config.tasks[name].cycle_ns == fastest]
    return chosen[0] if len(chosen) == 1 else None


def _users(config: StationConfig, link: str) -> tuple[list[str], list[str]]:
    """(tasks that read or write tags of a link, those that write)."""
    mine = tags_of(config, link)
    readers = [name for name, task in config.tasks.items() if any(entry.tag in mine for entry in task.inputs)]
    writers = [name for name, task in config.tasks.items() if any(entry.tag in mine for entry in task.outputs)]
    return list(dict.fromkeys([*readers, *writers])), writers


def owner_findings(view: View) -> Iterator[Finding]:
    """Links whose task is not clear, and keys that say nothing there."""
    yield from _deadlines(view)
    config = view.config
    for name, link in config.links.items():
        if not isinstance(link, NativeLinkTable):
            continue
        if link.exchange != "in-cycle":
            if link.task is not None:
                yield Finding(("links", name, "task"), 'only with exchange = "in-cycle" a task exchanges with the link')
            continue
        for key in sorted({"priority", "cpu"} & link.model_fields_set):
            message = (
                f'only a link with a thread of its own has it; with exchange = "in-cycle" the task\'s {key} counts'
            )
            yield Finding(("links", name, key), message)
        if link.task is not None and link.task not in view.names("tasks"):
            yield Finding(("links", name, "task"), unknown("task", link.task, view.names("tasks")))
        elif owner_of(config, name) is None and not any(where == "tasks" for where, _ in view.broken):
            users, _ = _users(config, name)
            who = f"{', '.join(users)} use it" if users else "no task uses it"
            message = f'exchange = "in-cycle" needs one task that reads and writes the device: {who}; say which: task = "NAME"'
            yield Finding(("links", name, "exchange"), message)
        elif getattr(link, "fc23", False):
            message = (
                "in a task's cycle inputs are read before the model runs and outputs are written after it: fc23, which writes "
                "and reads at once, would send each output a cycle later; leave it out"
            )
            yield Finding(("links", name, "fc23"), message)


def _deadlines(view: View) -> Iterator[Finding]:
    """I/O deadlines that no cycle has room for, or that nothing is awaited until."""
    for name, task in view.config.tasks.items():
        if task.io_deadline_ns is None or not view.knows("tasks", name, "io_deadline", "cycle"):
            continue
        path = ("tasks", name, "io_deadline")
        if not 0 < task.io_deadline_ns <= task.cycle_ns:
            has = f"{format_duration(task.io_deadline_ns)}, and the cycle is {format_duration(task.cycle_ns)}"
            yield Finding(path, f"must be above 0 and at most the cycle: it is {has}")
        elif all(owner_of(view.config, link) != name for link in view.config.links):
            message = (
                'no link is exchanged with in this task\'s cycle (exchange = "in-cycle"): there is nothing to wait for'
            )
            yield Finding(path, message, "warning")


def waits_ns(task: TaskTable) -> int:
    """How long each half of a task's cycle waits for devices."""
    return task.cycle_ns // 4 if task.io_deadline_ns is None else task.io_deadline_ns
