"""Memory: does a page that a task uses stay where it is, and near?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from station.machine.computer import Computer, Fact, cpu_list, for_good, parse_cpus

NODES: Final = "/sys/devices/system/node"


def huge_pages(m: Computer) -> Iterator[Fact]:
    """Does the kernel move memory about to make huge pages?"""
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    found = re.search(r"\[(\w+)\]", m.read(path) or "")
    if found and found[1] == "always":
        meaning = "the kernel moves memory together in the background: rare delays"
        yield Fact("huge pages", "warn", "always", meaning, f"echo madvise | sudo tee {path}")
    elif found:
        yield Fact("huge pages", "ok", found[1], "memory stays where it is")


def compaction(m: Computer) -> Iterator[Fact]:
    """Does the kernel move locked pages, too, when it makes room for large ones?"""
    allowed = m.number("/proc/sys/vm/compact_unevictable_allowed")
    if allowed == 0:
        yield Fact("compaction", "ok", "not of locked pages", "what is locked is never moved")
    elif allowed is not None:
        meaning = "the kernel may move pages that are locked: the task waits for one that is on its way"
        yield Fact(
            "compaction", "warn", "of locked pages too", meaning, for_good("vm.compact_unevictable_allowed", "0")
        )


def merging(m: Computer) -> Iterator[Fact]:
    """Does the kernel make one page of equal ones?"""
    path = "/sys/kernel/mm/ksm/run"
    running = m.number(path)
    if running == 1:
        meaning = "equal pages become one, and who writes to it waits for a copy; a thread compares memory all the time"
        yield Fact("page merging", "warn", "on (KSM)", meaning, f"echo 2 | sudo tee {path}")
    elif running is not None:
        yield Fact("page merging", "ok", "off", "no page is taken away to be shared")


def node_of(m: Computer, cpu: int) -> int | None:
    """The NUMA node of a core; None: the computer has one or none."""
    folders = m.glob(f"{NODES}/node[0-9]*")
    if len(folders) < 2:
        return None
    cores = {int(folder.name[4:]): parse_cpus(m.read(f"{m.path(folder)}/cpulist") or "") for folder in folders}
    return next((node for node, cpus in cores.items() if cpu in cpus), None)


def nodes(m: Computer) -> Iterator[Fact]:
    """Is the memory of a task on the side of its core?"""
    node = node_of(m, m.task_cpu)
    if node is None:
        return
    found = re.search(r"^Mems_allowed_list:\s*(\S+)", m.read("/proc/self/status") or "", re.MULTILINE)
    allowed = parse_cpus(found[1]) if found else []
    here = f"core {m.task_cpu} is on node {node}"
    if not re.search(r"MemTotal:\s+[1-9]", m.read(f"{NODES}/node{node}/meminfo") or "MemTotal: 1"):
        meaning = f"node {node} has no memory of its own: each access goes to another"
        yield Fact("memory nodes", "warn", here, meaning, "take a core of a node with memory: numactl --hardware")
    elif allowed == [node]:
        yield Fact("memory nodes", "ok", f"{here}, its memory too", "each access stays on the core's side")
    else:
        meaning = "a model's memory may be on the other node: each access takes longer"
        fix = f"numactl --cpunodebind={node} --membind={node} rt-engine run FILE"
        yield Fact("memory nodes", "warn", f"{here}, memory on any of {cpu_list(allowed) or 'all'}", meaning, fix)


def balancing(m: Computer) -> Iterator[Fact]:
    """Does the kernel take pages away for a moment, to see who uses them?"""
    if m.number("/proc/sys/kernel/numa_balancing"):
        meaning = "the kernel takes pages away for a moment, locked ones too, to see which node uses them: page faults"
        yield Fact("NUMA balancing", "warn", "on", meaning, for_good("kernel.numa_balancing", "0"))


def swap(m: Computer) -> Iterator[Fact]:
    """Can memory that is not locked go to disk?"""
    areas = [line.split()[0] for line in (m.read("/proc/swaps") or "").splitlines()[1:] if line.strip()]
    if areas:
        meaning = "links and reports, whose memory is not locked, may wait for the disk"
        yield Fact("swap", "warn", ", ".join(areas), meaning, "sudo swapoff -a   # and take its line out of /etc/fstab")
    else:
        yield Fact("swap", "ok", "none", "nothing is paged out")


FAMILY = "memory"
ORDER = 80
PROBES = (huge_pages, compaction, merging, nodes, balancing, swap)
