"""Open files of this process."""

import os
from contextlib import suppress


def open_files() -> set[tuple[str, str]]:
    """(number, what it is) of every descriptor, but that of the listing: what is in it afterwards and was not before has been left."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # it was closed meanwhile
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found
