"""How many cores this process may use."""

import os
from contextlib import suppress
from pathlib import Path


def cores(root: Path = Path("/")) -> int:
    """At least 1: those of its affinity, fewer where its control group (version 2) has less time than they have."""
    return max(min(len(os.sched_getaffinity(0)), *_quotas(root), 1 << 20), 1)


def _quotas(root: Path) -> list[int]:
    """Of the group of this process and of those above it: whole cores, where there is a limit."""
    found = []
    with suppress(OSError, StopIteration):
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        name = next(line.removeprefix("0::/") for line in lines if line.startswith("0::/"))
        top = root / "sys/fs/cgroup"
        group = top / name
        for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(top))):
            with suppress(OSError, ValueError):
                quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
                found.append(-(-int(quota) // int(period)))
    return found
