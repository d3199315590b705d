"""Another operating system below this one: does it take the core away?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from station.machine.computer import Computer, Fact

_DMI: Final = "/sys/class/dmi/id"
_STEAL: Final = 7
"""Place of the time that the host took, in a line of /proc/stat behind the name: proc_stat(5)."""
_LEAST_SHOWN: Final = 0.0001


def stolen(m: Computer, cpu: int) -> float | None:
    """The part of the time since the start that the host kept this core from running; None: nothing is said."""
    found = re.search(rf"^cpu{cpu}((?: \d+){{8,}})", m.read("/proc/stat") or "", re.MULTILINE)
    if not found:
        return None
    times = [int(word) for word in found[1].split()[: _STEAL + 1]]
    return times[_STEAL] / sum(times) if sum(times) else 0.0


def hypervisor(m: Computer) -> Iterator[Fact]:
    """Does another operating system own the cores?"""
    if m.is_virtual:
        words = (m.read(f"{_DMI}/sys_vendor"), m.read(f"{_DMI}/product_name"))
        name = m.read("/sys/hypervisor/type") or " ".join(filter(None, words)) or "yes, unnamed"
        share = stolen(m, m.task_cpu)
        value = (
            name if share is None else f"{name}, took {share if share >= _LEAST_SHOWN else 0:.2%} of core {m.task_cpu}"
        )
        meaning = (
            "the larger doubt: the host may take the core away at any time, for milliseconds, and need not say so; nothing in "
            "here can forbid it"
        )
        fix = (
            f"virsh vcpupin GUEST {m.task_cpu} HOSTCORE   # on the host of the VM, an isolated core; or run without one"
        )
        yield Fact("hypervisor", "warn", value, meaning, fix)
    elif m.is_x86:
        yield Fact("hypervisor", "ok", "none", "the kernel owns the cores")


FAMILY = "host"
ORDER = 5
PROBES = (hypervisor,)
