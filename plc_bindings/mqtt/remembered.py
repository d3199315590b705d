"""A small number that survives a restart."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

MODE: Final = 0o600
_MOST_BYTES: Final = 32


class Remembered:
    """The number in a file; without one, or where it cannot be written, in memory alone. One thread.

    Args:
        file: None: there is none.
        value: where the file has no number from 0 to `most`.
    """

    def __init__(self, file: Path | None, value: int, most: int) -> None:
        self._file, self.value = file, value
        if file is None:
            return
        with suppress(OSError, ValueError), file.open("rb") as found:
            text = found.read(_MOST_BYTES)
            if 0 <= int(text) <= most:
                self.value = int(text)

    def keep(self, value: int) -> None:
        """It is this now; a crash leaves the old one or the new one."""
        self.value = value
        if self._file is None:
            return
        temporary = self._file.with_name(self._file.name + ".new")
        with suppress(OSError):
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
            with os.fdopen(descriptor, "wb") as out:
                out.write(b"%d\n" % value)
            temporary.replace(self._file)
