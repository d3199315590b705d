"""What happened to the tasks' own threads: page faults, context switches, time ready to run while the core was another's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from station.latency.sources import Counter, Scene, Source

ORDER = 30


def read(scene: Scene) -> Mapping[Counter, float]:
    """proc(5): stat 10 and 12, status, schedstat (nanoseconds on the core, nanoseconds waited for it)."""
    found = {}
    for task, thread in scene.threads.items():
        folder = f"/proc/self/task/{thread}"
        fields = (scene.computer.read(f"{folder}/stat") or "").rpartition(")")[2].split()
        if len(fields) > 9:
            found[Counter("fault", task, "minor page faults")] = float(fields[7])
            found[Counter("fault", task, "major page faults")] = float(fields[9])
        if switches := re.search(
            r"^nonvoluntary_ctxt_switches:\s*(\d+)", scene.computer.read(f"{folder}/status") or "", re.M
        ):
            found[Counter("preempted", task, "times")] = float(switches[1])
        waits = (scene.computer.read(f"{folder}/schedstat") or "").split()
        if len(waits) > 1:
            found[Counter("waited", task, "ns")] = float(waits[1])
    return found


SOURCE = Source(
    "threads", "page faults, context switches and waits of the tasks' threads", read, "this kernel keeps no schedstat"
)
