"""What the system says of processes: of one that ends while it is asked about, what is left."""

import os
from contextlib import suppress
from pathlib import Path


def state(pid: int) -> str:
    """Its letter in proc_pid_stat(5), such as T: it is stopped. Empty: there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_running(pid: int) -> bool:
    """Does the process exist, and is it not just a remnant that nobody waited for?"""
    return state(pid) not in ("", "Z")


def children(pid: int) -> list[int]:
    """Processes whose parent is `pid`."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):  # it ended meanwhile
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def open_files(pid: int | str = "self") -> set[tuple[str, str]]:
    """(number, what it is) of every descriptor, but that of the listing: what is in it afterwards and was not before has been left."""
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError):  # the process ended
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):  # it was closed meanwhile
                found.add((number, os.readlink(f"/proc/{pid}/fd/{number}")))
    return found
