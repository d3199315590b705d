"""The helper cores of a task: are there so many, are they there, and does nobody else run on them?"""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.rights import MORE_CORES
from station.file.view import View
from station.links import NativeLinkTable
from station.machine.computer import Computer
from station.terms.findings import Finding
from station.terms.tasks import TaskTable

_LOWEST = "of 1 leaves none for the helpers, which have one less: every other program may delay them; 2 or more does"


def helper_findings(view: View) -> Iterator[Finding]:
    """What is wrong with the helpers, by task."""
    for name, task in view.config.tasks.items():
        if view.knows("tasks", name, "threads", "helper_cpus", "cpu"):
            for key, message in (*_numbers(task), *_taken(view, name, task)):
                yield Finding(("tasks", name, key), message)
            if task.threads > 1 and task.priority == 1:
                yield Finding(("tasks", name, "priority"), _LOWEST, "warning")
            for key, message in _missing(task):  # no error: the file may be for another computer, or replayed on one
                yield Finding(("tasks", name, key), message, "warning")


def _numbers(task: TaskTable) -> Iterator[tuple[str, str]]:
    """So many as there are helpers, each once, and not the task's own."""
    cpus, wanted = task.helper_cpus, task.threads - 1
    if wanted and task.model is None:
        yield "threads", "is of no use without a model; leave it out"
    if cpus and len(cpus) != wanted:
        names = "1 core" if wanted == 1 else f"{wanted} cores"
        yield "helper_cpus", f"names {len(cpus)}; with threads = {task.threads} it names {names}, or is left out"
    if len(set(cpus)) != len(cpus):
        yield "helper_cpus", "names a core twice; each helper needs its own"
    if task.cpu is not None and task.cpu in cpus:
        yield "helper_cpus", f"names core {task.cpu}, on which the task itself runs; give the helper another"


def _taken(view: View, name: str, task: TaskTable) -> Iterator[tuple[str, str]]:
    """A helper spins: whoever shares its core waits."""
    for other_name, other in view.config.tasks.items():
        taken = {*other.helper_cpus, *([] if other.cpu is None else [other.cpu])}
        if other_name != name and (shared := sorted(set(task.helper_cpus) & taken)):
            yield (
                "helper_cpus",
                f"names core {shared[0]}, which task {other_name} uses; a helper needs a core for itself",
            )
    for link_name, link in view.config.links.items():
        if not isinstance(link, NativeLinkTable) or not view.knows("links", link_name, "cpu", "exchange"):
            continue
        if link.exchange == "own-thread" and link.cpu in task.helper_cpus:
            yield (
                "helper_cpus",
                f"names core {link.cpu}, on which the thread of link {link_name} runs; a helper needs a core for itself",
            )


def _missing(task: TaskTable) -> Iterator[tuple[str, str]]:
    """A core that this computer has not, or that is switched off, or not left to a station started here."""
    computer = Computer()
    left = ", ".join(map(str, computer.allowed))
    if task.threads > len(computer.allowed):
        yield (
            "threads",
            f"asks for {task.threads} cores; this process is left core {left}: {MORE_CORES}, or ask for fewer threads",
        )
    for core in task.helper_cpus:
        if core not in computer.cores:
            has = ", ".join(map(str, computer.cores))
            yield (
                "helper_cpus",
                f"names core {core}, which is offline or not there: this computer has core {has}; name one of them, or switch it on: "
                f"echo 1 | sudo tee /sys/devices/system/cpu/cpu{core}/online",
            )
        elif core not in computer.allowed:
            yield (
                "helper_cpus",
                f"names core {core}; the control group that this runs in leaves core {left}, so there the helper is refused it: "
                f"name one of those, or {MORE_CORES}",
            )
