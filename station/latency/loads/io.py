"""A load: a file written and forced to the disk, again and again, in the same place."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from typing import IO, Final

from station.latency.loads import GoesOn, Load

ORDER = 30
FILE_BYTES: Final = 64 << 20
BYTES_A_SECOND: Final = 16 << 20
"""Flash wears: a day of this is 1.4 TB, and no more."""
PIECE_BYTES: Final = 1 << 20
PLACES: Final = "/var/tmp", None
"""Folders for temporary files, the first that lets us: /tmp may be memory. None: Python's own choice."""


def work(core: int | None, goes_on: GoesOn) -> None:
    """Write, fsync, go on behind it; begin again at the limit. The file has no name: nothing is left whatever ends us."""
    piece = os.urandom(PIECE_BYTES)
    with _file() as file:
        while goes_on():
            file.seek(0)
            for _ in range(FILE_BYTES // PIECE_BYTES):
                began_s = time.monotonic()
                file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                if not goes_on():
                    return
                time.sleep(max(began_s + PIECE_BYTES / BYTES_A_SECOND - time.monotonic(), 0))


def _file() -> IO[bytes]:
    for place in PLACES[:-1]:
        with suppress(OSError):
            return tempfile.TemporaryFile(dir=place)
    return tempfile.TemporaryFile()


LOAD = Load(
    "io",
    f"{PIECE_BYTES >> 20} MiB written and forced to the disk, {BYTES_A_SECOND >> 20} MiB a second, in a nameless file of "
    f"{FILE_BYTES >> 20} MiB: flash wears",
    per_core=False,
    work=work,
)
