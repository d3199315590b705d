"""Time: what it costs to read the clock, and what else the kernel does by timers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from station.machine.computer import CPU_FOLDER, Computer, Fact, boot_with, for_good, parse_cpus

_SLOW: Final = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
_TRUSTED: Final = frozenset({"constant_tsc", "nonstop_tsc", "tsc_adjust"})
"""With these the kernel does not watch the processor's counter (up to four packages, Linux 5.16)."""
_MANY: Final = 16


def clock_source(m: Computer) -> Iterator[Fact]:
    """Is reading the clock cheap?"""
    folder = "/sys/devices/system/clocksource/clocksource0"
    found, available = m.read(f"{folder}/current_clocksource"), m.read(f"{folder}/available_clocksource") or ""
    if found is None:
        return
    if found in _SLOW:
        to = (
            f"echo tsc | sudo tee {folder}/current_clocksource"
            if "tsc" in available.split()
            else "sudo dmesg | grep -i tsc   # why not tsc; tsc=reliable overrules the kernel: where it is right, time jumps"
        )
        yield Fact("clock source", "bad", found, "every look at the clock is a system call of about 1 us", to)
    else:
        yield Fact("clock source", "ok", found, "reading the clock costs nanoseconds")


def clock_watch(m: Computer) -> Iterator[Fact]:
    """Does the kernel look at each core's clock in turn, isolated cores too?"""
    current = m.read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    is_trusted = m.cpu_flags >= _TRUSTED or m.boot_value("tsc") in ("reliable", "nowatchdog")
    if current == "tsc" and m.isolated and not m.is_virtual and not is_trusted:
        meaning = "twice a second a timer compares the clock of each core in turn, of isolated ones too"
        yield Fact("clock watch", "warn", "on", meaning, boot_with(m, "tsc=nowatchdog"))


def watchdogs(m: Computer) -> Iterator[Fact]:
    """Does the kernel interrupt each core to see whether it lives?"""
    if (on := m.number("/proc/sys/kernel/nmi_watchdog")) is None:
        return
    if on:
        meaning = "an interrupt that nothing can put off looks every 10 s whether each core lives: some us"
        yield Fact("lockup watchdog", "warn", "on", meaning, for_good("kernel.nmi_watchdog", "0"))
    else:
        yield Fact("lockup watchdog", "ok", "off", "no interrupt looks after the core")


def timers(m: Computer) -> Iterator[Fact]:
    """Does the kernel hand the task's timer to another core?"""
    has_no_tick = m.task_cpu in parse_cpus(m.read(f"{CPU_FOLDER}/nohz_full") or "")
    if m.number("/proc/sys/kernel/timer_migration") and has_no_tick:
        meaning = f"the timers of core {m.task_cpu}, which has no tick, fire on another, that then has to wake it"
        yield Fact("timer migration", "warn", "on", meaning, for_good("kernel.timer_migration", "0"))


def ticks(m: Computer) -> Iterator[Fact]:
    """Do all cores have their tick at the same moment?"""
    if m.task_cpu in m.isolated and len(m.cores) >= _MANY and m.boot_value("skew_tick") != "1":
        meaning = "all cores have their tick at the same moment, and wait for the same locks"
        yield Fact("ticks", "warn", f"{len(m.cores)} cores at once", meaning, boot_with(m, "skew_tick=1"))


FAMILY = "time"
ORDER = 70
PROBES = (clock_source, clock_watch, watchdogs, timers, ticks)
