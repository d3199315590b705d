"""What makes a thread real-time, asked for one by one.

A machine may refuse: then the tasks run all the same, less evenly, and each `Grant` says what is missing and how to get
it.
"""

import ctypes
import os
import resource
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from errno import EPERM
from pathlib import Path

from scheduler.groups import ROOT, cpu_quota, realtime_share

_LIBC = ctypes.CDLL(None, use_errno=True)
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_PR_SET_TIMERSLACK = 29
_CAP_IPC_LOCK, _CAP_SYS_NICE = 14, 23
_ALL_USERS = ["0", "0", "4294967295"]
"""/proc/self/uid_map of a process in no namespace of users."""

LIMITS_COMMAND = r"""printf '%s\n' "$USER - rtprio 99" "$USER - memlock unlimited" | sudo tee /etc/security/limits.d/rt-engine.conf"""
"""Gives a user both rights, from the next login on."""
CONTAINER_OPTIONS = "--cap-add=SYS_NICE --ulimit rtprio=99 --cap-add=IPC_LOCK --ulimit memlock=-1"
"""Gives a container both rights (docker run, podman run)."""
PRIORITY_HOW = (
    f"{LIMITS_COMMAND} and log in again ('ulimit -r' must print 99); under systemd LimitRTPRIO=99; "
    f"in a container 'docker run {CONTAINER_OPTIONS}'"
)
MEMORY_HOW = (
    f"{LIMITS_COMMAND} and log in again ('ulimit -l' must print unlimited); under systemd LimitMEMLOCK=infinity; "
    f"in a container 'docker run {CONTAINER_OPTIONS}'"
)
LATENCY_HOW = (
    'run as root; or a udev rule: KERNEL=="cpu_dma_latency", OWNER="YOUR-NAME"; in a container '
    "'docker run --device /dev/cpu_dma_latency'; or boot with 'processor.max_cstate=1 idle=poll'"
)
GROUP_HOW = (
    "start the computer with rt_group_sched=0 (Linux 6.15 or newer), or a kernel without CONFIG_RT_GROUP_SCHED; or run in "
    "the topmost control group"
)
"""Where the right is there, and the kernel refuses: a control group of version 2 has no share of real time to give."""
ENOUGH_PERCENT = 90
"""Of each second for real-time threads: no task that leaves its core any air notices."""
MORE_CORES = "leave the process more cores (systemd AllowedCPUs=, docker --cpuset-cpus=)"
"""Where a control group keeps it off a core."""
THROTTLING_HOW = "sysctl kernel.sched_rt_runtime_us=-1, or keep the tasks of a core below that share"


@dataclass(frozen=True, slots=True)
class Grant:
    """One thing asked of the system: what it is good for (refused: the answer, and what is so), what would grant it."""

    name: str
    granted: bool
    why: str
    how_to_grant: str = ""

    def __str__(self) -> str:
        if self.granted:
            return f"{self.name}: granted ({self.why})"
        return f"{self.name}: NOT granted: {self.why}. To grant it: {self.how_to_grant}"


def _attempt(name: str, action: Callable[[], None], why: str, without: str, how: str) -> Grant:
    try:
        action()
    except OSError as error:
        return Grant(name, False, f"{error.strerror or error}; {without}", how)
    except (OverflowError, ValueError) as error:  # a number that no system call takes
        return Grant(name, False, f"{error}; {without}", how)
    return Grant(name, True, why)


def _call(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def use_fifo(priority: int) -> Grant:
    """Give the calling thread a SCHED_FIFO priority: nothing of normal priority can delay it."""
    grant = _attempt(
        f"SCHED_FIFO {priority}",
        lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority)),
        "the task runs before everything of normal priority",
        "every other program may delay the task",
        PRIORITY_HOW,
    )
    return grant if grant.granted else _refused_by_group(grant, priority)


def _refused_by_group(grant: Grant, priority: int) -> Grant:
    """The same, or the control group and what mends it, where that is what refuses."""
    share, may = realtime_share(), _may_be_fifo(priority)
    if share is not None and share.percent == 0:
        how = share.fix if may else f"{share.fix}; and {PRIORITY_HOW}"
        return replace(
            grant, why=f"control group {share.folder} gives real-time threads no time: {grant.why}", how_to_grant=how
        )
    if may and os.strerror(EPERM) in grant.why:
        return replace(
            grant, why=f"a control group gives real-time threads no time: {grant.why}", how_to_grant=GROUP_HOW
        )
    return grant


def _may_be_fifo(priority: int) -> bool:
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    return _has_capability(_CAP_SYS_NICE) or limit == resource.RLIM_INFINITY or limit >= priority


def use_cpu(cpu: int) -> Grant:
    """Keep the calling thread on one core."""
    here = sorted(os.sched_getaffinity(0))
    return _attempt(
        f"core {cpu}",
        lambda: os.sched_setaffinity(0, {cpu}),
        "the task stays on its core, with warm caches",
        "the system moves the task from core to core",
        f"choose one of the cores {here}, or {MORE_CORES}",
    )


def use_exact_timers() -> Grant:
    """Set the timer slack of the calling thread to 1 ns; without SCHED_FIFO the kernel else adds up to 50 us."""
    return _attempt(
        "timer slack 1 ns",
        lambda: _call(_LIBC.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0)),
        "wake-ups are not put off to save energy",
        "each wake-up may be put off by 50 us to save energy",
        "allow prctl(PR_SET_TIMERSLACK) in the seccomp profile",
    )


def lock_memory() -> Grant:
    """Keep the pages of this process in memory, for its life: those that are there, and others once they are touched.

    The process does not grow by it (MCL_ONFAULT); what a cycle uses is touched before its first tick. Under a limit
    that the process could reach later, only what is there now is locked: else memory asked for later would be refused.
    """
    flags = _MCL_CURRENT | _MCL_ONFAULT | (_MCL_FUTURE if _may_lock_without_limit() else 0)
    return _attempt(
        "locked memory",
        lambda: _call(_LIBC.mlockall(flags)),
        "no cycle waits for a page from disk",
        "a cycle may wait milliseconds for a page from disk",
        MEMORY_HOW,
    )


def lock_region(what: str, address: int, nbytes: int) -> Grant:
    """Keep one region of this process's memory in memory, for as long as it is mapped."""
    return _attempt(
        f"locked {what}",
        lambda: _call(_LIBC.mlock(ctypes.c_void_p(address), ctypes.c_size_t(nbytes))),
        f"its {nbytes:,} bytes are never put on disk",
        "where memory is short, a cycle may wait milliseconds for a page of it from disk",
        MEMORY_HOW,
    )


def _may_lock_without_limit() -> bool:
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    return _has_capability(_CAP_IPC_LOCK)


def _has_capability(bit: int, root: Path = ROOT) -> bool:
    """Has this process a capability? One of a namespace of users, as of a rootless engine, gives no priority and no memory."""
    try:
        status, users = ((root / f"proc/self/{name}").read_text(encoding="utf-8") for name in ("status", "uid_map"))
    except OSError:  # no /proc here
        return False
    effective = next((line for line in status.splitlines() if line.startswith("CapEff:")), "CapEff: 0")
    return users.split() == _ALL_USERS and bool(int(effective.split()[1], 16) >> bit & 1)


def throttled(percent: float) -> str:
    """What a share of each second for real-time threads means."""
    return f"real-time threads may use {percent:g} % of each second; one that wants more is stopped for the rest of it"


def throttling(root: Path = ROOT) -> Grant:
    """How much of each second real-time threads may use: of the kernel's share, the part of a control group if one has less."""
    try:
        runtime, period = (
            int((root / f"proc/sys/kernel/sched_rt_{name}_us").read_text(encoding="utf-8"))
            for name in ("runtime", "period")
        )
    except (OSError, ValueError) as error:
        return Grant("no RT throttling", True, f"this kernel does not tell: {error}")
    if runtime < 0:
        return Grant("no RT throttling", True, "the kernel never stops a real-time thread")
    percent, group = 100 * runtime // period, realtime_share(root)
    if group is not None and group.percent < percent:
        why = f"control group {group.folder}: {throttled(group.percent)}"
        return Grant("no RT throttling", group.percent >= ENOUGH_PERCENT, why, group.fix)
    return Grant("no RT throttling", percent >= ENOUGH_PERCENT, throttled(percent), THROTTLING_HOW)


QUOTA_MEANS = "when they are used up, every thread without real-time priority stops until the next period"


def no_quota(root: Path = ROOT) -> Grant:
    """Does no control group stop threads of normal priority: links, servers, an update, tasks that were refused priority?"""
    quota = cpu_quota(root)
    if quota is None:
        return Grant("no CPU quota", True, "no control group that is seen stops threads of normal priority")
    return Grant("no CPU quota", False, f"{quota}; {QUOTA_MEANS}", quota.fix)


def try_rights(priority: int = 80, cpu: int | None = None) -> tuple[Grant, ...]:
    """What a scheduler that starts now would be granted: really asked for, and given back.

    In a thread of its own what a task's thread asks for. Memory that this process has locked is not locked afterwards: for a
    process that runs no tasks.
    """
    grants: list[Grant] = []

    def ask() -> None:
        grants.extend((use_exact_timers(), use_fifo(priority), *([] if cpu is None else [use_cpu(cpu)])))

    latency, memory = CpuLatency(), lock_memory()
    if memory.granted:
        _LIBC.munlockall()
    asking = threading.Thread(target=ask)
    asking.start()
    asking.join()
    awake = latency.hold()
    latency.release()
    return (memory, awake, throttling(), no_quota(), *grants)


_DEEP_SLEEP = 'a core that sleeps deeply wakes late; doctor\'s "idle states" says how late'


class CpuLatency:
    """Keeps the cores out of deep sleep states while it is held (/dev/cpu_dma_latency set to 0 us)."""

    def __init__(self, device: str = "/dev/cpu_dma_latency") -> None:
        self._device, self._handle = device, -1

    def hold(self) -> Grant:
        """Ask for it."""
        return _attempt("no deep core sleep", self._open, "cores wake up at once", _DEEP_SLEEP, LATENCY_HOW)

    def _open(self) -> None:
        self.release()
        self._handle = os.open(self._device, os.O_WRONLY)
        os.write(self._handle, struct.pack("i", 0))

    def release(self) -> None:
        """Let the cores sleep again."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
