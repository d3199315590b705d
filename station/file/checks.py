"""Relations between the tables of a station file: does this tag exist, who writes it, is the link fast enough.

Each check is a generator of findings over a `View`; `CHECKS` is their list. What only concerns a link, and the addresses
of its tags, its kind knows (`station.links`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from fieldbus.tags import TYPES, as_held
from station.file.advice import ADVICE
from station.file.change_checks import CHANGE_CHECKS
from station.file.helper_checks import helper_findings
from station.file.instead_checks import instead_findings
from station.file.owners import owner_findings
from station.file.recorder_checks import recorder_findings
from station.file.server_checks import SERVER_CHECKS
from station.file.slice_checks import slice_findings
from station.file.view import View
from station.terms.durations import format_duration
from station.terms.findings import Finding, Step, no_file, no_function, unknown
from station.terms.steps import FunctionStep
from station.terms.tables import TagTable
from station.terms.tasks import TaskTable, surroundings


def check_relations(view: View) -> list[Finding]:
    """All findings of all checks."""
    return [finding for check in CHECKS for finding in check(view)]


def _something_to_do(view: View) -> Iterator[Finding]:
    if view.names("tasks") or (view.names("servers") and view.names("models")):
        return
    if view.names("tags") and all(tag.direction == "in" for tag in view.config.tags.values()):
        yield Finding((), "there is no [tasks.NAME] yet: the station only reads its tags", "warning")
    else:
        yield Finding(
            (), "a station needs at least one [tasks.NAME], or a [servers.NAME] whose clients call its models"
        )


def _files_exist(view: View) -> Iterator[Finding]:
    for name, model in view.config.models.items():
        for finding in no_file(("models", name, "file"), view.folder, model.file):
            yield (
                replace(finding, message=f"{finding.message}; {_KEPT}", severity="warning")
                if _is_kept(view)
                else finding
            )
    for name, task in view.config.tasks.items():
        if isinstance(task.step, FunctionStep):
            yield from no_function(("tasks", name, "step", "function"), view.folder, task.step.function)


def _tag_links(view: View) -> Iterator[Finding]:
    for name, tag in view.config.tags.items():
        if tag.link is not None and not view.declares("links", tag.link):
            yield Finding(("tags", name, "link"), unknown("link", tag.link, view.names("links")))
        elif view.link_of(tag) is None:
            links = ", ".join(sorted(view.names("links"))) or "none is declared"
            yield Finding(("tags", name), f'needs the key "link"; allowed: {links}')


def _tag_values(view: View) -> Iterator[Finding]:
    for name, tag in view.config.tags.items():
        path: tuple[Step, ...] = ("tags", name)
        if not view.knows("tags", name, "scale", "low", "high", "safe", "direction"):
            continue
        if tag.scale == 0 or not math.isfinite(tag.scale):
            yield Finding((*path, "scale"), f"must be a finite number other than 0, got {tag.scale}")
        if tag.low > tag.high:
            yield Finding((*path, "low"), f"low {tag.low:g} is above high {tag.high:g}")
        elif tag.direction == "out" and not tag.low <= tag.safe <= tag.high:
            yield Finding((*path, "safe"), f"safe value {tag.safe:g} is outside low {tag.low:g} .. high {tag.high:g}")
        if tag.not_available and view.knows("tags", name, "not_available", "type"):
            yield from (Finding((*path, "not_available"), message) for message in _not_available_faults(tag))


def _not_available_faults(tag: TagTable) -> Iterator[str]:
    """Numbers that the device's type does not have would have no effect."""
    if tag.direction == "out" or tag.type == "bool":
        kind = "an output" if tag.direction == "out" else "a bool"
        yield f'{kind} has no numbers that mean "no value"; leave it out'
        return
    number = TYPES[tag.type]
    for raw in tag.not_available:
        if as_held(number, raw) is None:
            yield f"{raw:.17g} is no number of {tag.type}, which has {number.low:.17g} to {number.high:.17g}"


def _addresses(view: View) -> Iterator[Finding]:
    for name, tag in view.config.tags.items():
        link = view.config.links.get(view.link_of(tag) or "")
        if not view.knows("tags", name, "type", "count", "direction", "address"):
            continue
        if link is not None and link.address_form and not tag.address:
            yield Finding(("tags", name), f'needs the key "address": {link.address_form}')
        elif link is not None:
            yield from (Finding(("tags", name, "address"), message) for message in link.address_faults(tag))


def _links(view: View) -> Iterator[Finding]:
    for name, link in view.config.links.items():
        tags = {tag: table for tag, table in view.config.tags.items() if view.link_of(table) == name}
        yield from link.findings(name, tags, view.folder)


def _life_signs(view: View) -> Iterator[Finding]:
    """An input of the same link, and time enough to see it change."""
    for name, link in view.config.links.items():
        path = ("links", name, "life_sign")
        if link.life_sign is None:
            if "life_sign_timeout_ns" in link.model_fields_set:
                yield Finding(
                    ("links", name, "life_sign_timeout"), 'has no effect without the key "life_sign"', "warning"
                )
            continue
        inputs = [tag for tag, one in view.config.tags.items() if view.link_of(one) == name and one.direction == "in"]
        if not view.declares("tags", link.life_sign):
            yield Finding(path, unknown("tag", link.life_sign, inputs))
        elif link.life_sign in view.config.tags and link.life_sign not in inputs:
            yield Finding(
                path, f"tag {link.life_sign} is no input of this link; allowed: {', '.join(inputs) or 'none'}"
            )
        elif link.life_sign in view.config.tags and view.config.tags[link.life_sign].count != 1:
            yield Finding(
                path, f"tag {link.life_sign} has {view.config.tags[link.life_sign].count} values; a life sign is one"
            )
        if link.life_sign_timeout_ns < 2 * link.cycle_ns and view.knows("links", name, "life_sign_timeout", "cycle"):
            least, each = format_duration(link.life_sign_timeout_ns), format_duration(link.cycle_ns)
            yield Finding(
                ("links", name, "life_sign_timeout"), f"{least} is shorter than two cycles of the link, each {each}"
            )


def _task_models(view: View) -> Iterator[Finding]:
    for name, task in view.config.tasks.items():
        if task.model is None:
            if task.step is None:
                yield Finding(("tasks", name), 'needs the key "model", or "step"')
        elif not view.declares("models", task.model):
            yield Finding(("tasks", name, "model"), unknown("model", task.model, view.names("models")))


def _task_steps(view: View) -> Iterator[Finding]:
    """A step fits its task; not asked where a tag of the task is not known."""
    for name, task in view.config.tasks.items():
        entries = (*task.inputs, *task.outputs)
        if task.step is not None and all(entry.tag in view.config.tags for entry in entries):
            guessed = {place[3] for place in view.guessed if place[:3] == ("tasks", name, "step") and len(place) > 3}
            for key, message in task.step.faults(surroundings(task, view.config.tags)):
                if not key and any(f'"{one}"' in message for one in guessed):
                    continue  # what is said of it already
                yield Finding(("tasks", name, "step", *([key] if key else [])), message)


def _task_tags(view: View) -> Iterator[Finding]:
    for name, task in view.config.tasks.items():
        for key, entries, direction in (("inputs", task.inputs, "in"), ("outputs", task.outputs, "out")):
            for index, entry in enumerate(entries):
                path = ("tasks", name, key, index)
                tag = view.config.tags.get(entry.tag)
                if not view.declares("tags", entry.tag):
                    yield Finding(path, unknown("tag", entry.tag, view.names("tags")))
                elif tag is not None and tag.direction != direction:
                    yield Finding(path, f'tag {entry.tag} has direction "{tag.direction}"; {key} need "{direction}"')
                elif tag is not None and entry.cell is not None and entry.cell >= tag.count:
                    counted = f"tag {entry.tag} has {tag.count} values, the first is 0"
                    yield Finding((*path, "cell"), f"{counted}; there is no value {entry.cell}")
        yield from _task_reset(view, name, task)


def _task_reset(view: View, name: str, task: TaskTable) -> Iterator[Finding]:
    """The tag that resets a task is one value of a device; and there is something that can be reset."""
    path, tag = ("tasks", name, "reset"), view.config.tags.get(task.reset or "")
    model = view.config.models.get(task.model or "")
    if task.reset is None:
        return
    if not view.declares("tags", task.reset):
        yield Finding(path, unknown("tag", task.reset, view.names("tags")))
    elif tag is not None and tag.direction != "in":
        yield Finding(path, f'tag {task.reset} has direction "{tag.direction}"; a reset comes from an input, "in"')
    elif tag is not None and tag.count != 1:
        yield Finding(path, f"tag {task.reset} has {tag.count} values; a reset is one")
    elif task.step is None and model is not None and not model.state and model.file.endswith(".onnx"):
        yield Finding(path, f"model {task.model} has no state, and there is no step: nothing can be reset", "warning")


def _task_outputs(view: View) -> Iterator[Finding]:
    for name, task in view.config.tasks.items():
        for index, entry in enumerate(task.outputs):
            tag = view.config.tags.get(entry.tag)
            if tag is None or (entry.low, entry.high, entry.safe) == (None, None, None):
                continue
            low = tag.low if entry.low is None else entry.low
            high = tag.high if entry.high is None else entry.high
            safe = tag.safe if entry.safe is None else entry.safe
            path = ("tasks", name, "outputs", index)
            if low > high:
                yield Finding(path, f"low {low:g} is above high {high:g}")
            elif not low <= safe <= high:
                yield Finding(path, f"safe value {safe:g} is outside low {low:g} .. high {high:g}")


def _one_writer(view: View) -> Iterator[Finding]:
    writers: dict[tuple[str, int], str] = {}
    for name, task in view.config.tasks.items():
        for index, entry in enumerate(task.outputs):
            count = view.config.tags[entry.tag].count if entry.tag in view.config.tags else 1
            cells = range(count) if entry.cell is None else [entry.cell]
            other = next((writers[entry.tag, cell] for cell in cells if (entry.tag, cell) in writers), None)
            if other is not None:
                by = "this task" if other == name else f"task {other}"
                message = f"tag {entry.tag} is already written by {by}; an output has one writer"
                yield Finding(("tasks", name, "outputs", index), message)
            for cell in cells:
                writers.setdefault((entry.tag, cell), name)


def _unused_tags(view: View) -> Iterator[Finding]:
    used = {entry.tag for task in view.config.tasks.values() for entry in (*task.inputs, *task.outputs)}
    used |= {task.reset for task in view.config.tasks.values() if task.reset is not None}
    if any(section == "tasks" for section, _ in view.broken):
        return  # what a task that could not be read uses is not known
    if view.names("servers") or not view.names("tasks"):
        return  # their clients see it; without any task that is told once
    used |= {link.life_sign for link in view.config.links.values() if link.life_sign is not None}
    for name in view.config.tags:
        if name not in used | view.own_tags:
            yield Finding(("tags", name), "no task uses this tag", "warning")


def _unused_links(view: View) -> Iterator[Finding]:
    used = {view.link_of(tag) for tag in view.config.tags.values()}
    if any(section == "tags" for section, _ in view.broken):
        return
    for name in view.config.links:
        if name not in used:
            yield Finding(("links", name), "no tag is on this link; it will not be started", "warning")


def _ages(view: View) -> Iterator[Finding]:
    """A link too slow for the age that a task accepts would make every input bad between two reads."""
    for name, link in view.config.links.items():
        if link.timeout_ns < 2 * link.cycle_ns and view.knows("links", name, "timeout", "cycle"):
            timeout, each = format_duration(link.timeout_ns), format_duration(link.cycle_ns)
            yield Finding(("links", name, "timeout"), f"{timeout} is shorter than two cycles of the link, each {each}")
    for name, task in view.config.tasks.items():
        yield from _output_ages(view, name, task)
        max_age = task.guard.max_age_ns
        tags = [view.config.tags[entry.tag] for entry in task.inputs if entry.tag in view.config.tags]
        for link_name in sorted({view.link_of(tag) or "" for tag in tags} & set(view.config.links)):
            cycle = view.config.links[link_name].cycle_ns
            known = view.knows("links", link_name, "cycle") and view.knows("tasks", name, "guard.max_age")
            if max_age is not None and cycle > max_age and known:
                message = (
                    f"link {link_name} is read every {format_duration(cycle)}, slower than the "
                    f"{format_duration(max_age)} that an input may be old: inputs will be bad between two reads"
                )
                yield Finding(("tasks", name, "guard", "max_age"), message, "warning")


def _output_ages(view: View, name: str, task: TaskTable) -> Iterator[Finding]:
    """An output older than its link's timeout is sent as its safe value: a slow task's would flap between the two."""
    tags = [view.config.tags[entry.tag] for entry in task.outputs if entry.tag in view.config.tags]
    for link_name in sorted({view.link_of(tag) or "" for tag in tags} & set(view.config.links)):
        link = view.config.links[link_name]
        timeout = link.timeout_ns
        known = view.knows("tasks", name, "cycle") and view.knows("links", link_name, "cycle", "timeout")
        if 2 * link.cycle_ns <= timeout <= task.cycle_ns and known:
            message = (
                f"{format_duration(task.cycle_ns)} is not shorter than the timeout of link {link_name}, "
                f"{format_duration(timeout)}: between two cycles the outputs would go to their safe values"
            )
            yield Finding(("tasks", name, "cycle"), message)


def _priorities(view: View) -> Iterator[Finding]:
    """A shorter cycle needs a higher priority, or the slower task delays the faster one."""
    for name, task in view.config.tasks.items():
        for other_name, other in view.config.tasks.items():
            if not all(view.knows("tasks", one, "cycle", "priority", "cpu") for one in (name, other_name)):
                continue
            same_core = task.cpu is None or other.cpu is None or task.cpu == other.cpu
            if same_core and task.cycle_ns < other.cycle_ns and task.priority < other.priority:
                message = (
                    f"priority {task.priority} is below the {other.priority} of the slower task {other_name} "
                    f"({format_duration(other.cycle_ns)}), which can delay it"
                )
                yield Finding(("tasks", name, "priority"), message, "warning")


def _threads(view: View) -> Iterator[Finding]:
    """Tasks of one thread tick together, on one core."""
    first: dict[str, str] = {}
    for name, task in view.config.tasks.items():
        if task.thread is None or not view.knows("tasks", name, "cycle", "cpu", "thread"):
            continue
        other_name = first.setdefault(task.thread, name)
        other = view.config.tasks[other_name]
        for key, mine, its in (("cycle", task.cycle_ns, other.cycle_ns), ("cpu", task.cpu, other.cpu)):
            if mine != its:
                message = (
                    f'task {other_name} names the same thread "{task.thread}" and has another {key}; it must be equal'
                )
                yield Finding(("tasks", name, "thread"), message)


CHECKS: Final[tuple[Callable[[View], Iterator[Finding]], ...]] = (
    _something_to_do,
    _files_exist,
    _tag_links,
    _tag_values,
    _addresses,
    _links,
    _life_signs,
    _task_models,
    _task_steps,
    instead_findings,
    slice_findings,
    helper_findings,
    _task_tags,
    _task_outputs,
    _one_writer,
    _unused_tags,
    _unused_links,
    _ages,
    owner_findings,
    _priorities,
    _threads,
    *SERVER_CHECKS,
    *CHANGE_CHECKS,
    recorder_findings,
    *ADVICE,
)


_KEPT: Final = "what the store has committed runs"


def _is_kept(view: View) -> bool:
    """Is there a store, so that the station may run without the files of its models?"""
    store = view.config.station.store
    return bool(store) and (view.folder / store / "journal").is_file()
