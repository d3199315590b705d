"""The task's core: who else runs on it, or beside it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from station.machine.computer import CPU_FOLDER, Computer, Fact, boot_with, cpu_list, parse_cpus

_KERNEL_THREAD: Final = 0x00200000
"""Of a thread's flags in /proc/PID/stat (PF_KTHREAD)."""
_FLAGS, _USER_TIME, _SYSTEM_TIME, _PROCESSOR = 6, 11, 12, 36
"""Places in /proc/PID/stat behind the name: proc_pid_stat(5) counts them from 3."""
_SHOWN: Final = 3


def isolation(m: Computer) -> Iterator[Fact]:
    """Is there a core that nothing else runs on?"""
    if len(m.cores) == 1:
        yield Fact("isolated cores", "warn", "one core only", "everything else shares the core of the control task")
        return
    cpu = m.task_cpu
    quiet_ones = {cpu, *m.isolated}  # of two lists that differ the kernel takes the first
    others = cpu_list(set(m.cores) - quiet_ones or set(m.cores) - {cpu})
    cpus = cpu_list(quiet_ones)
    fix = boot_with(m, f"isolcpus={cpus} nohz_full={cpus} rcu_nocbs={cpus} irqaffinity={others}")
    if cpu not in m.isolated:
        shown = cpu_list(m.isolated) or "none"
        yield Fact("isolated cores", "warn", shown, f"other programs may run on core {cpu} of the control task", fix)
        return
    yield Fact("isolated cores", "ok", cpu_list(m.isolated), "nothing else is scheduled there")
    has_no_tick = cpu in parse_cpus(m.read(f"{CPU_FOLDER}/nohz_full") or "")
    quiet = {
        "timer tick (nohz_full)": has_no_tick,  # callbacks go where the tick goes
        "kernel callbacks (rcu_nocbs)": has_no_tick or cpu in parse_cpus(m.boot_value("rcu_nocbs") or ""),
    }
    noisy = [name for name, is_quiet in quiet.items() if not is_quiet]
    if noisy:
        yield Fact("quiet core", "warn", f"core {cpu} still has {' and '.join(noisy)}", "jitter of some us", fix)
    else:
        yield Fact("quiet core", "ok", f"core {cpu}: no tick, no callbacks", "the task is alone with its core")


def siblings_of(m: Computer, cpu: int) -> list[int]:
    """The other hardware threads of a core."""
    found = parse_cpus(m.read(f"{CPU_FOLDER}/cpu{cpu}/topology/thread_siblings_list") or "")
    return [other for other in found if other != cpu]


def programs_on(m: Computer, cpu: int) -> list[str]:
    """Names of programs that ran last on a core, those that used most time first; no threads of the kernel."""
    used: Counter[str] = Counter()
    for file in m.glob("/proc/[0-9]*/stat"):
        name, words = _stat(m.read(m.path(file)) or "")
        if len(words) > _PROCESSOR and words[_PROCESSOR] == cpu and not words[_FLAGS] & _KERNEL_THREAD:
            used[name] += words[_USER_TIME] + words[_SYSTEM_TIME]
    return [name for name, _ in used.most_common()]


def _stat(text: str) -> tuple[str, list[int]]:
    """Name, and the numbers behind it; of other words 0. A name may have brackets and blanks in it."""
    before, _, rest = text.rpartition(")")
    return before.partition("(")[2], [int(word) if word.isdigit() else 0 for word in rest.split()]


def sibling_threads(m: Computer) -> Iterator[Fact]:
    """Does the task's core share its units with a second hardware thread, and who runs there?"""
    cpu = m.task_cpu
    others = [other for other in siblings_of(m, cpu) if other in m.cores]
    if not others:
        if siblings_of(m, cpu) or m.read(f"{CPU_FOLDER}/smt/active") == "0":
            yield Fact("hyper-threads", "ok", "none on the task's core", "its units are the task's alone")
        return
    programs = [name for other in others for name in programs_on(m, other)]
    value = f"cores {cpu_list([cpu, *others])} are one"
    fix = f"echo 0 | sudo tee {CPU_FOLDER}/cpu{others[0]}/online   # or start with nosmt"
    if 0 in others:  # that one cannot be switched off
        fix = boot_with(m, "nosmt")
    if programs:
        here = ", ".join(programs[:_SHOWN]) + (f" and {len(programs) - _SHOWN} more" if programs[_SHOWN:] else "")
        meaning = f"what runs on core {others[0]} halves the speed of core {cpu}; last seen there: {here}"
        yield Fact("hyper-threads", "warn", value, meaning, fix)
    elif set(others) <= set(m.isolated):
        yield Fact(
            "hyper-threads", "ok", f"{value}, all isolated", f"nobody runs there while no task has core {others[0]}"
        )
    else:
        yield Fact("hyper-threads", "warn", value, f"a program on core {others[0]} halves the speed of core {cpu}", fix)


FAMILY = "cores"
ORDER = 30
PROBES = (isolation, sibling_threads)
