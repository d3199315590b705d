"""What makes a thread real-time, asked for one by one.

A machine may refuse: then the tasks run all the same, less evenly, and each `Grant` says what is missing and how to get
it.
"""

import ctypes
import os
import resource
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_PR_SET_TIMERSLACK = 29
_CAP_IPC_LOCK = 14

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
ENOUGH_PERCENT = 90
"""Of each second for real-time threads: no task that leaves its core any air notices."""
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
    return _attempt(
        f"SCHED_FIFO {priority}",
        lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority)),
        "the task runs before everything of normal priority",
        "every other program may delay the task",
        PRIORITY_HOW,
    )


def use_cpu(cpu: int) -> Grant:
    """Keep the calling thread on one core."""
    here = sorted(os.sched_getaffinity(0))
    return _attempt(
        f"core {cpu}",
        lambda: os.sched_setaffinity(0, {cpu}),
        "the task stays on its core, with warm caches",
        "the system moves the task from core to core",
        f"choose one of the cores {here}, or widen the cpuset (systemd AllowedCPUs=, docker --cpuset-cpus=)",
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


def _may_lock_without_limit() -> bool:
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # no /proc here
        return False
    effective = next((line for line in status.splitlines() if line.startswith("CapEff:")), "CapEff: 0")
    return bool(int(effective.split()[1], 16) >> _CAP_IPC_LOCK & 1)


def throttled(percent: float) -> str:
    """What a share of each second for real-time threads means."""
    return f"real-time threads may use {percent:g} % of each second; one that wants more is stopped for the rest of it"


def throttling() -> Grant:
    """How much of each second real-time threads may use."""
    try:
        runtime, period = (
            int(Path(f"/proc/sys/kernel/sched_rt_{name}_us").read_text(encoding="utf-8"))
            for name in ("runtime", "period")
        )
    except (OSError, ValueError) as error:
        return Grant("no RT throttling", True, f"this kernel does not tell: {error}")
    if runtime < 0:
        return Grant("no RT throttling", True, "the kernel never stops a real-time thread")
    share = 100 * runtime // period
    return Grant("no RT throttling", share >= ENOUGH_PERCENT, throttled(share), THROTTLING_HOW)


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
