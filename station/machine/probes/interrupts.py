"""Interrupts: does anything but its own timer call the task's core?"""

from __future__ import annotations

from collections.abc import Iterator

from station.machine.computer import Computer, Fact, boot_with, cpu_list, mask_cpus, parse_cpus


def interrupts(m: Computer) -> Iterator[Fact]:
    """Do devices interrupt the task's core?"""
    if len(m.cores) == 1 or m.read("/proc/interrupts") is None:
        return
    cpu = m.task_cpu
    here = [(number, name, count) for number, name, count in device_interrupts(m) if count > 0]
    if not here:
        yield Fact("interrupts", "ok", f"no device on core {cpu}", "devices do not delay the task")
        return
    top = sorted(here, key=lambda entry: -entry[2])[:3]
    shown = ", ".join(f"{name} ({count})" for _, name, count in top)
    free = [core for core in m.cores if core != cpu and core not in m.isolated]
    others = ",".join(map(str, free or [core for core in m.cores if core != cpu]))
    numbers = " ".join(number for number, _, _ in top if m.is_writable(f"/proc/irq/{number}/smp_affinity_list"))
    if numbers:
        fix = f"for i in {numbers}; do echo {others} | sudo tee /proc/irq/$i/smp_affinity_list; done"
        yield Fact("interrupts", "warn", f"core {cpu}: {shown}", "each costs the task some us", fix)
    else:
        meaning = "each costs the task some us; the kernel does not let them be moved"
        yield Fact("interrupts", "warn", f"core {cpu}: {shown}", meaning)


def device_interrupts(m: Computer) -> Iterator[tuple[str, str, int]]:
    """(number, device, count on the task's core since boot) of the interrupts that may go to that core."""
    header, *lines = (m.read("/proc/interrupts") or "").splitlines() or [""]
    columns = header.split()
    if f"CPU{m.task_cpu}" not in columns:
        return
    column = columns.index(f"CPU{m.task_cpu}")
    for line in lines:
        number, _, rest = line.strip().partition(":")
        words = rest.split()
        allowed = m.read(f"/proc/irq/{number}/effective_affinity_list") or m.read(
            f"/proc/irq/{number}/smp_affinity_list"
        )
        if number.isdigit() and (allowed is None or m.task_cpu in parse_cpus(allowed)):
            yield number, words[-1], int(words[column])


def new_interrupts(m: Computer) -> Iterator[Fact]:
    """Will a device that comes up later interrupt an isolated core?"""
    cpus = mask_cpus(m.read("/proc/irq/default_smp_affinity") or "")
    if m.task_cpu in m.isolated and m.task_cpu in cpus:
        others = cpu_list(core for core in m.cores if core not in m.isolated)
        meaning = f"a device that comes up later, or comes back, may interrupt core {m.task_cpu}"
        yield Fact(
            "new interrupts", "warn", f"on cores {cpu_list(cpus)}", meaning, boot_with(m, f"irqaffinity={others}")
        )


def irq_balancer(m: Computer) -> Iterator[Fact]:
    """Does a daemon move interrupts between cores?"""
    names = (m.read(m.path(file)) for file in m.glob("/proc/[0-9]*/comm"))
    if "irqbalance" in names:
        meaning = "it moves interrupts onto the task's core again"
        yield Fact("irqbalance", "warn", "running", meaning, "sudo systemctl disable --now irqbalance")


def broadcasts(m: Computer) -> Iterator[Fact]:
    """Does every message between cores wake the isolated ones, too?"""
    if not m.isolated or not m.is_x86:
        return
    if m.boot_value("no_ipi_broadcast") == "1":
        yield Fact("core messages", "ok", "no_ipi_broadcast=1", "only the cores that are meant get them")
    else:
        meaning = "the kernel sends some to all cores at once, isolated ones too: jitter of some us"
        yield Fact("core messages", "warn", "broadcast", meaning, boot_with(m, "no_ipi_broadcast=1"))


FAMILY = "interrupts"
ORDER = 40
PROBES = (interrupts, new_interrupts, irq_balancer, broadcasts)
