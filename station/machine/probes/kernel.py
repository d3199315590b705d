"""The kernel: can it be interrupted for a control task, and what was it told when it was started?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from station.machine.computer import RESTART, Computer, Fact

PREEMPT_SWITCH: Final = "/sys/kernel/debug/sched/preempt"
_GIVES_WAY: Final = ("full", "lazy")
"""Modes in which a real-time thread never waits for a system call to end; lazy (6.13) makes only others wait."""
_RELEVANT: Final = (
    "isolcpus", "nohz_full", "rcu_nocbs", "irqaffinity", "skew_tick", "no_ipi_broadcast", "threadirqs", "nosmt", "preempt",
    "idle", "processor.max_cstate", "intel_idle.max_cstate", "cpuidle.off", "intel_pstate", "amd_pstate", "tsc",
    "clocksource", "nowatchdog", "nmi_watchdog", "mitigations", "mce", "pcie_aspm", "rt_group_sched", "highres", "nohz",
)  # fmt: skip
"""What a kernel can be told that changes how late a task wakes."""
_HARMFUL: Final = {
    "highres=off": "timers fire at the tick alone: each wake-up is up to 4 ms late",
    "nosmp": "everything shares one core with the task",
}
"""Words that take away what a control task needs."""


def kernel(m: Computer) -> Iterator[Fact]:
    """Can the kernel itself be interrupted for a control task?"""
    version = m.read("/proc/version") or "unknown"
    release = version.split()[2] if len(version.split()) > 2 else version
    setting = re.search(r"\((\w+)\)", m.read(PREEMPT_SWITCH) or "")
    mode = setting[1] if setting else m.boot_value("preempt")
    if m.read("/sys/kernel/realtime") == "1" or "PREEMPT_RT" in version:
        yield Fact("kernel", "ok", f"{release}, PREEMPT_RT", "almost all of the kernel gives way to a control task")
    elif mode in _GIVES_WAY or re.search(r"\bPREEMPT\b", version):
        meaning = "the kernel gives way, except inside locks and interrupts: rare delays of some 100 us"
        yield Fact("kernel", "warn", f"{release}, preemption {mode or 'full'}", meaning, _rt_kernel(m))
    elif "PREEMPT_DYNAMIC" in version:
        found = f"preemption {mode}" if mode else "PREEMPT_DYNAMIC (mode not visible)"
        meaning = "unless the mode is full, a system call of any program can delay a control task"
        until = f"echo full | sudo tee {PREEMPT_SWITCH}   # until the next start; better: {_rt_kernel(m)}"
        yield Fact(
            "kernel", "warn", f"{release}, {found}", meaning, until if m.exists(PREEMPT_SWITCH) else _rt_kernel(m)
        )
    else:
        yield Fact("kernel", "bad", release, "a system call of any program delays a control task by ms", _rt_kernel(m))


def _rt_kernel(m: Computer) -> str:
    system = "" if m.in_container else m.read("/etc/os-release") or ""  # a container's system is not its kernel's
    if re.search(r"^ID=ubuntu", system, re.MULTILINE):
        return f"sudo pro attach && sudo pro enable realtime-kernel{RESTART}"
    if re.search(r"^ID(_LIKE)?=.*debian", system, re.MULTILINE):
        return f"sudo apt-get install linux-image-rt-$(dpkg --print-architecture){RESTART}"
    return "install a kernel with PREEMPT_RT, and start the computer with it"


def parameters(m: Computer) -> Iterator[Fact]:
    """What was the kernel told at its start that matters to a task?"""
    words = [word for word in m.boot_words if word.partition("=")[0] in _RELEVANT]
    harmful = [word for word in words if word in _HARMFUL]
    for word in harmful:
        fix = f"start the computer without the kernel parameter {word}"
        yield Fact("kernel parameter", "warn", word, _HARMFUL[word], fix)
    if others := [word for word in words if word not in harmful]:
        yield Fact("kernel parameters", "ok", " ".join(others), "what it was told at its start about cores and time")


FAMILY = "kernel"
ORDER = 10
PROBES = (kernel, parameters)
