"""Relations between [recorder] and the rest of a station file: its tasks, the tags of its conditions, what has to be installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from station.file.view import View
from station.terms.expressions import Condition, ExpressionError, parse
from station.terms.findings import Finding, unknown
from station.terms.recorder import RecorderTable
from station.terms.tasks import TaskTable

INSTALL: Final = 'pip install "rt-engine[recording]"'


def recorder_findings(view: View) -> Iterator[Finding]:
    """What is wrong with `[recorder]`, if there is one."""
    table = view.config.recorder
    if table is None:
        return
    if table.compression == "zstd" and not _is_there("zstandard"):
        yield Finding(
            ("recorder", "compression"),
            f'"zstd" needs the Python package zstandard, which is not installed: {INSTALL}; or write compression = "none"',
        )
    for index, task in enumerate(table.tasks):
        if not view.declares("tasks", task):
            yield Finding(("recorder", "tasks", index), unknown("task", task, view.names("tasks")))
    if not view.names("tasks"):
        yield Finding(("recorder",), "there is no [tasks.NAME]: nothing can be recorded")
    yield from _conditions(view, table)
    if table.mode == "trigger" and not table.on and not table.when:
        yield Finding(
            ("recorder", "on"), "there is no trigger: only `rt-engine record` makes a recording", severity="warning"
        )


def conditions(table: RecorderTable, counts: dict[str, int]) -> list[Condition]:
    """The conditions of `when`; raises `ExpressionError` where the file was not checked. `counts`: tag -> its values."""
    return [parse(text, counts) for text in table.when]


def _conditions(view: View, table: RecorderTable) -> Iterator[Finding]:
    """Each is one, and about tags that one recorded task has."""
    counts = {name: tag.count for name, tag in view.config.tags.items()}
    if view.names("tags") != set(counts) or view.names("tasks") != set(view.config.tasks):
        return  # what could not be read is told already
    recorded = {name: task for name, task in view.config.tasks.items() if not table.tasks or name in table.tasks}
    for index, text in enumerate(table.when):
        try:
            condition = parse(text, counts)
        except ExpressionError as error:
            yield Finding(("recorder", "when", index), str(error))
            continue
        tags = dict.fromkeys(value.tag for value in condition.values)
        if not any(set(tags) <= _tags(task) for task in recorded.values()):
            which = ", ".join(tags)
            yield Finding(
                ("recorder", "when", index),
                f"no recorded task has {which} among its inputs and outputs"
                + ("; a condition is about one task's cycle: make two of it" if len(tags) > 1 else ""),
            )


def _tags(task: TaskTable) -> set[str]:
    return {entry.tag for entry in (*task.inputs, *task.outputs)} | ({task.reset} if task.reset else set())


def _is_there(package: str) -> bool:
    return find_spec(package) is not None
