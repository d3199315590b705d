"""A container around this process: what its engine withholds of what a control task needs, and the options that give it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from scheduler import groups
from station.machine.computer import Computer, Fact, Level
from station.machine.container import KUBERNETES, is_rootless
from station.machine.probes.allowed import CAP_IPC_LOCK, CAP_SYS_NICE
from station.machine.rights import runner

LATENCY: Final = "/dev/cpu_dma_latency"
_HIGHEST: Final = 99
_FILTER: Final = "2"
"""Of `Seccomp:` in /proc/self/status: system calls pass a filter."""
_REFUSED: Final = "Operation not permitted"


@dataclass(frozen=True, slots=True)
class _Option:
    """What is withheld, the option of `docker run` and `podman run` that gives it, and the same in a compose file."""

    what: str
    option: str
    compose: str


def place(m: Computer) -> Iterator[Fact]:
    """Which engine, which user, what filters?"""
    if not m.engine:
        return
    status = m.read("/proc/self/status") or ""
    user = re.search(r"^Uid:\s*\d+\s+(\d+)", status, re.MULTILINE)
    words = [m.engine, "rootless" if is_rootless(m.read) else "", f"user {user[1]}" if user else ""]
    words += ["system calls filtered"] if _state(m, "Seccomp") == _FILTER else []
    words += ["no new privileges"] if _state(m, "NoNewPrivs") == "1" else []
    meaning = "rights, cores and devices are those that its engine was told to give"
    yield Fact("container", "ok", ", ".join(filter(None, words)), meaning)


def options(m: Computer) -> Iterator[Fact]:
    """Which options of its start are missing for real time?"""
    if not m.engine:
        return
    missing = list(_missing(m))
    if not missing:
        yield Fact(
            "container options", "ok", "none missing", "priority, memory, time, core and filter are as a task needs"
        )
        return
    level: Level = "warn" if {one.what for one in missing} <= {"sleep of cores"} else "bad"
    meaning = f"in a compose file: {'; '.join(dict.fromkeys(one.compose for one in missing))}{_remark(m)}"
    fix = f"{runner(m)} {' '.join(dict.fromkeys(one.option for one in missing))} ..."
    if m.engine == KUBERNETES:
        meaning = "a pod has no limits of its own to set: capabilities serve, and only root has them there"
        fix = (
            "kubectl edit ...   # securityContext: {runAsUser: 0, capabilities: {add: [SYS_NICE, IPC_LOCK]}}, "
            "and the static CPU manager for cores"
        )
    yield Fact("container options", level, f"missing for {', '.join(one.what for one in missing)}", meaning, fix)


def _missing(m: Computer) -> Iterator[_Option]:
    has_priority = m.has_capability(CAP_SYS_NICE) or m.soft_limit("Max realtime priority") >= _HIGHEST
    has_memory = m.has_capability(CAP_IPC_LOCK) or m.soft_limit("Max locked memory") == float("inf")
    share = groups.realtime_share(m.root)
    if not has_priority:
        yield _Option("priority", "--ulimit rtprio=99", "ulimits: {rtprio: 99}")
    if not has_memory:
        yield _Option("locked memory", "--ulimit memlock=-1", "ulimits: {memlock: -1}")
    if share is not None and share.percent == 0:
        yield _Option("time of real-time threads", "--cpu-rt-runtime=950000", "cpu_rt_runtime: 950000")
    elif _is_filtered(m, "SCHED_FIFO", has_priority) or _is_filtered(m, "locked memory", has_memory):
        yield _Option(
            "system calls (sched_setscheduler, mlockall)",
            "--security-opt seccomp=unconfined",
            "security_opt: [seccomp=unconfined]",
        )
    left = groups.cores(m.root)
    if m.wanted_cpu is not None and left is not None and m.wanted_cpu not in m.allowed:
        yield _Option(f"core {m.wanted_cpu}", f"--cpuset-cpus={m.wanted_cpu}", f'cpuset: "{m.wanted_cpu}"')
    if not m.exists(LATENCY):
        yield _Option("sleep of cores", f"--device {LATENCY}", f"devices: [{LATENCY}]")


def _is_filtered(m: Computer, name: str, may: bool) -> bool:
    """Has it the right, and was refused all the same, with a filter there?"""
    answer = m.answer(name)
    refused = answer is not None and not answer.granted and _REFUSED in answer.why
    return refused and may and _state(m, "Seccomp") == _FILTER


def _remark(m: Computer) -> str:
    """Why an option that was given may not have served."""
    if is_rootless(m.read):
        return "; a rootless engine gives no more than its user has: mend the user's limits on the host first"
    given = m.has_capability(CAP_SYS_NICE, "CapBnd") and not m.has_capability(CAP_SYS_NICE)
    return (
        "; --cap-add was given, but its engine gives capabilities to root alone: limits serve every user"
        if given
        else ""
    )


def _state(m: Computer, name: str) -> str:
    found = re.search(rf"^{name}:\s*(\S+)", m.read("/proc/self/status") or "", re.MULTILINE)
    return found[1] if found else ""


FAMILY = "container"
ORDER = 22
PROBES = (place, options)
