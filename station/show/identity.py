"""What ran, and where: what a report needs to be evidence."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Mapping
from datetime import datetime

from rt_native import version
from station.file.reading import StationFile
from station.machine.computer import Computer

Rows = tuple[tuple[str, str], ...]
"""(What, its value)."""


def identity(
    file: StationFile, started: datetime, models: Mapping[str, str], hashes: Mapping[str, str], machine: Computer
) -> Rows:
    """Host, versions, station file and models with the hashes of what was read; `models`: slot -> file."""
    text = file.lines.text.encode()
    named = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.*)$", machine.read("/proc/cpuinfo") or "", re.MULTILINE)
    processor = named[1] if named else platform.machine()
    return (
        ("host", platform.node()),
        ("time zone", f"{started.tzname()}, UTC{started:%z}"),
        ("rt-engine", version.TEXT),
        ("Python", platform.python_version()),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("processor", f"{processor}, {len(machine.cores)} cores"),
        ("user, process", f"{os.getuid()}, {os.getpid()}"),
        ("station file", f"{file.path.absolute()}, SHA-256 {hashlib.sha256(text).hexdigest()}"),
        *((f"model {name}", f"{models[name]}, SHA-256 {hashes[name]}") for name in models),
    )
