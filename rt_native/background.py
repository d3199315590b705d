"""What a library does not need at once is compiled in the background: a program of its own, which yields to everything.

Its processes are of SCHED_IDLE, which the kernel runs where nothing else wants to, and whose files it reads and writes last, too. One
library is compiled at a time. It may be killed at any time: the next process that compiles something starts it again.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rt_native import isolated
from rt_native.cache import cache_folder, only_one
from rt_native.errors import NativeError
from rt_native.files import write_whole

if TYPE_CHECKING:
    from rt_native.library import Library

MODE = "RT_ENGINE_COMPILE"
"""`never`: nothing is compiled; `needed`: what is needed; `all`: everything, before the first function runs. Else: what is needed,
then the rest in the background."""
_LOCK, _STATE = "background.lock", "background.json"
_EVERY_S = 1.0
_STARTED: set[str] = set()
"""Libraries for which this process has started it."""


def mode() -> str:
    """What the environment says of compiling; "" where nothing."""
    return os.environ.get(MODE, "")


def start(library: "Library") -> None:
    """Compile the rest of a library of ours, unless the environment says otherwise; returns at once."""
    if mode() or library.path or library.name in _STARTED:
        return
    _STARTED.add(library.name)
    with suppress(OSError):  # no process: the next start tries again
        subprocess.Popen(
            isolated.command("rt_native.background", library.name, *library.modules, writes_bytecode=False),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=isolated.environment(),
            cwd="/",
            start_new_session=True,  # what ends the command does not end it
        )


def words() -> str:
    """What is compiled in the background, or why that failed; "" where nothing is."""
    with suppress(OSError, ValueError, KeyError):
        state = json.loads((cache_folder() / _STATE).read_text())
        if state["error"]:
            return f"compiling {state['name']!r} in the background failed: {state['error']}"
        if _is_locked(cache_folder() / _LOCK):
            return (
                f"the rest of {state['name']!r} is compiled in the background, at the lowest priority: {state['done']} of "
                f"{state['total']} done ({MODE}=needed leaves it out)"
            )
    return ""


def _is_locked(path: Path) -> bool:
    with path.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class _Told:
    """How far it is, in a file beside the objects."""

    def __init__(self, name: str) -> None:
        self._name, self._last_s = name, 0.0

    def progress(self, name: str, done: int, total: int) -> None:
        """As a progress bar is told."""
        now = time.monotonic()
        if done == total or now - self._last_s >= _EVERY_S:
            self._last_s = now
            self.write(done, total)

    def write(self, done: int = 0, total: int = 0, error: str = "") -> None:
        """Say it; a full disk is no reason to end."""
        state = {"name": self._name, "done": done, "total": total, "error": error}
        with suppress(OSError):
            write_whole(cache_folder() / _STATE, json.dumps(state).encode())


def yield_to_all() -> None:
    """Let this process, and those that it starts, run when nothing else wants to."""
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(
        OSError
    ):  # a session is a group of its own, with a share of its own, where the kernel makes such groups
        Path("/proc/self/autogroup").write_text("19")


def main() -> None:
    """Build the library that the command line names: its name, its modules."""
    from rt_native.library import Library

    yield_to_all()
    name, *modules = sys.argv[1:]
    told = _Told(name)
    with only_one(cache_folder() / _LOCK):
        try:
            Library(name, tuple(modules)).build(told.progress, who="background")
        except NativeError as error:
            told.write(error=str(error).splitlines()[0])
            raise


if __name__ == "__main__":
    main()
