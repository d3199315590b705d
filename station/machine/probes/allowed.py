"""What this process may have of the computer: priority, locked memory, time, cores.

Where the system was really asked (`Computer.grants`), its answer counts; else what its files say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from scheduler import groups
from scheduler.rights import ENOUGH_PERCENT, QUOTA_MEANS, throttled
from station.machine.computer import Computer, Fact, for_good, parse_cpus
from station.machine.rights import fix_for, rights_fix

CAP_IPC_LOCK: Final = 14
CAP_SYS_NICE: Final = 23
MIB: Final = 2**20
_FIRST: Final = "tasks run before everything else"
_BEHIND: Final = "tasks wait behind every other program on their core"
_GROUP_REFUSES: Final = "whatever right a process has, its control group gives real-time threads no time"


def priority(m: Computer) -> Iterator[Fact]:
    """May a task have real-time priority?"""
    answer, share, limit = m.answer("SCHED_FIFO"), groups.realtime_share(m.root), _priority_limit(m)
    if answer is not None:
        value = (
            f"{answer.name} tried: granted"
            if answer.granted
            else f"{answer.name} tried: {answer.why.partition(';')[0]}"
        )
        meaning, fix = (_FIRST, "") if answer.granted else (_BEHIND, fix_for(answer, m))
        yield Fact("real-time priority", "ok" if answer.granted else "bad", value, meaning, fix)
    elif share is not None and share.percent == 0:
        value = f"refused by control group {share.folder}"
        yield Fact("real-time priority", "bad", value, f"{_BEHIND}: {_GROUP_REFUSES}", share.fix)
    elif m.has_capability(CAP_SYS_NICE):
        yield Fact("real-time priority", "ok", "granted (cap_sys_nice)", _FIRST)
    elif may_be_realtime(m):
        yield Fact("real-time priority", "ok", f"granted up to {limit:g}", _FIRST)
    else:
        yield Fact("real-time priority", "bad", f"not granted (limit {limit:g})", _BEHIND, rights_fix(m))


def _priority_limit(m: Computer) -> float:
    return m.soft_limit("Max realtime priority")


def may_be_realtime(m: Computer, priority: int = 80) -> bool:
    """May this process have this SCHED_FIFO priority? As the system answered; else as its files say."""
    if (answer := m.answer("SCHED_FIFO")) is not None:
        return answer.granted
    share = groups.realtime_share(m.root)
    is_refused = share is not None and share.percent == 0
    return not is_refused and (m.has_capability(CAP_SYS_NICE) or _priority_limit(m) >= priority)


def locked_memory(m: Computer) -> Iterator[Fact]:
    """May a task keep its memory from being paged out?"""
    limit, answer = m.soft_limit("Max locked memory"), m.answer("locked memory")
    is_free = m.has_capability(CAP_IPC_LOCK) or limit == float("inf")
    beyond = "memory beyond the limit cannot be locked: a page fault may cost milliseconds"
    if answer is not None and not answer.granted:
        value = f"tried: {answer.why.partition(';')[0]}" + ("" if is_free else f" (limit {limit / MIB:g} MiB)")
        yield Fact("locked memory", "bad", value, answer.why.partition("; ")[2] or beyond, fix_for(answer, m))
    elif is_free:
        yield Fact("locked memory", "ok", "unlimited", "no page of a task is ever fetched from disk")
    elif answer is not None:
        meaning = f"granted to this process; {beyond}, and a station with large models may be refused all of it"
        yield Fact("locked memory", "warn", f"{limit / MIB:g} MiB", meaning, rights_fix(m))
    else:
        yield Fact("locked memory", "bad", f"{limit / MIB:g} MiB", beyond, rights_fix(m))


def awake_cores(m: Computer) -> Iterator[Fact]:
    """May a station keep the cores out of deep sleep? Known only where it was tried."""
    answer = m.answer("no deep core sleep")
    if answer is not None and answer.granted:
        yield Fact("no deep core sleep", "ok", "tried: granted", "a station that runs keeps the cores awake")
    elif answer is not None:
        meaning = "a core that sleeps deeply wakes late: see idle states"
        yield Fact("no deep core sleep", "warn", f"tried: {answer.why.partition(';')[0]}", meaning, fix_for(answer, m))


def throttling(m: Computer) -> Iterator[Fact]:
    """Does the kernel, or a control group, stop real-time threads that use much of a second?"""
    runtime, period = (m.number(f"/proc/sys/kernel/sched_rt_{name}_us") for name in ("runtime", "period"))
    if runtime is None or period is None:
        return
    if runtime < 0:
        yield Fact("RT throttling", "ok", "off", "the kernel never stops a real-time thread")
        return
    percent, group = 100 * runtime / max(period, 1), groups.realtime_share(m.root)
    fix = for_good("kernel.sched_rt_runtime_us", "-1")
    value = f"{percent:g} %"
    if group is not None and group.percent < percent:
        percent, value, fix = group.percent, f"{group.percent:g} % for control group {group.folder}", group.fix
    if percent >= ENOUGH_PERCENT:
        yield Fact("RT throttling", "ok", value, throttled(percent))
    else:
        yield Fact("RT throttling", "warn", value, throttled(percent), fix)


def fair_server(m: Computer) -> Iterator[Fact]:
    """How long does the kernel (6.12 or newer) run starved programs in the place of a task? Root alone may look."""
    folder = f"/sys/kernel/debug/sched/fair_server/cpu{m.task_cpu}"
    runtime, period = m.number(f"{folder}/runtime"), m.number(f"{folder}/period")
    if runtime is None or not period:
        return
    percent = 100 * runtime / period
    if percent <= 100 - ENOUGH_PERCENT:
        value = f"{percent:g} % of core {m.task_cpu}" if runtime else "off"
        yield Fact("fair server", "ok", value, "starved programs run in a task's place only where it leaves no air")
    else:
        meaning = "so much of the core's time starved programs get, in the place of a task"
        fix = f"echo 0 | sudo tee {folder}/runtime"
        yield Fact("fair server", "warn", f"{percent:g} % of core {m.task_cpu}", meaning, fix)


def cpu_quota(m: Computer) -> Iterator[Fact]:
    """Does a control group stop threads of this process when its share is used up?"""
    where, quota = "container" if m.in_container else "no container", groups.cpu_quota(m.root)
    if quota is not None:
        is_whole_container = m.in_container and quota.is_top
        fix = "docker update --cpu-quota -1 NAME" if is_whole_container else quota.fix
        realtime = may_be_realtime(m)
        spared = "tasks, with real-time priority, run on" if realtime else "tasks too, which get no such priority"
        yield Fact("CPU quota", "warn" if realtime else "bad", f"{where}, {quota}", f"{QUOTA_MEANS}; {spared}", fix)
    elif groups.sees_topmost(m.root):
        yield Fact("CPU quota", "ok", f"{where}, no quota", "no control group stops a thread")
    else:
        meaning = "no control group that can be seen from here stops a thread; those above may: ask the host"
        yield Fact("CPU quota", "ok", f"{where}, no quota seen", meaning)


def cores(m: Computer) -> Iterator[Fact]:
    """Does the control group leave the task its core?"""
    group, answer = groups.cores(m.root), None if m.wanted_cpu is None else m.answer(f"core {m.wanted_cpu}")
    left = parse_cpus(group.text) if group is not None else []
    where = f"{group.text} of control group {group.folder}" if group is not None else f"{m.cores}"
    if answer.granted is False if answer is not None else bool(left) and m.task_cpu not in left:
        meaning = f"a task with cpu = {m.task_cpu} is refused its core, and moves between those"
        fix = f"sudo systemctl set-property UNIT AllowedCPUs={m.task_cpu}   # or docker --cpuset-cpus=, or another core"
        yield Fact("cores", "bad", where, meaning, fix)
    elif left and not set(m.cores) <= set(left):
        yield Fact("cores", "ok", where, "tasks may use these cores")


FAMILY = "rights"
ORDER = 20
PROBES = (priority, locked_memory, awake_cores, cores, throttling, fair_server, cpu_quota)
