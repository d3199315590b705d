"""The processor that we are on: its name, its caches. What is measured on one says nothing of another."""

import platform
import re
from pathlib import Path

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "": 1}


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """As the system calls it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.M)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def data_caches(folder: Path = _CACHES) -> dict[int, int]:
    """Level -> bytes of its cache for data, of those that the system tells of."""
    found: dict[int, int] = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text(encoding="utf-8").strip() for name in ("level", "type", "size")
            )
            match = re.fullmatch(r"(\d+)([KM]?)", size)
            if match and kind != "Instruction":
                found.setdefault(int(level), int(match[1]) * _UNITS[match[2]])
        except (OSError, ValueError):
            continue
    return found
