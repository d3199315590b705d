"""System management interrupts, which the kernel does not see: MSR 0x34 of Intel's processors."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import Final

from station.latency.sources import Counter, Scene, Source

ORDER = 50
MSR_SMI_COUNT: Final = 0x34
"""Intel SDM, volume 4, table 2-2: SMIs since reset, in its low 32 bits."""


def read(scene: Scene) -> Mapping[Counter, float]:
    """One counter for each core that has it."""
    found = {}
    for cpu in scene.cpus:
        try:
            handle = os.open(scene.computer.root / f"dev/cpu/{cpu}/msr", os.O_RDONLY)
        except OSError:
            continue
        try:
            found[Counter("smi", f"cpu{cpu}", "count")] = float(
                struct.unpack("<Q", os.pread(handle, 8, MSR_SMI_COUNT))[0] & 0xFFFF_FFFF
            )
        except (OSError, struct.error):  # AMD, Arm and most virtual machines have none
            continue
        finally:
            os.close(handle)
    return found


SOURCE = Source(
    "smi",
    "system management interrupts (MSR 0x34)",
    read,
    "not readable: it takes an Intel processor, root, and `modprobe msr`",
)
