"""What a library does not need at once is compiled in the background: a program of its own, which yields to everything.

Its processes are of SCHED_IDLE, which the kernel runs where nothing else wants to, and whose files it reads and writes last, too. One
library is compiled at a time. It ends with the process that started it, and may be killed at any time: the next process that
compiles something starts it again.
"""

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Protocol

from rt_native import isolated
from rt_native.cache import cache_folder
from rt_native.errors import BuildError

LOCK, STATE = "background.lock", "background.json"
"""Files in the cache: held by who compiles in the background; how far it is."""
_MODES = ("", "never", "needed", "all")
_STARTED: set[str] = set()
"""Libraries for which this process has started it."""
_TAKEN: set[int] = set()
"""Cores that it stays off."""


class Whole(Protocol):
    """What is asked of a library (`rt_native.library.Library`)."""

    name: str
    modules: tuple[str, ...]


def mode() -> str:
    """What the environment says of compiling.

    `never`: nothing is compiled; `needed`: what is needed; `all`: everything, before the first function runs; "": what is needed,
    then the rest in the background.

    Raises:
        BuildError: it is another word.
    """
    word = os.environ.get("RT_ENGINE_COMPILE", "")
    if word not in _MODES:
        raise BuildError(f"RT_ENGINE_COMPILE={word}: it is {', '.join(_MODES[1:])}, or not set")
    return word


def stay_off(cores: Iterable[int]) -> None:
    """What this process starts from now on leaves these cores alone, if there are others: their caches are the tasks', too."""
    _TAKEN.update(cores)


def start(*libraries: Whole) -> None:
    """Compile the rest of libraries of ours (`rt_native.rest`), unless the environment says otherwise; returns at once.

    It ends with this process: what it has compiled by then stays.
    """
    new = [library for library in libraries if library.name not in _STARTED]
    if mode() or not new:
        return
    _STARTED.update(library.name for library in new)
    given = [f"{library.name}={','.join(library.modules)}" for library in new]
    taken = ",".join(map(str, sorted(_TAKEN)))
    command = isolated.command("rt_native.rest", taken, *given, writes_bytecode=False, bound=signal.SIGKILL)
    with suppress(RuntimeError):  # no thread: what is needed is there nevertheless
        Thread(target=_run, args=(command,), name="background", daemon=True).start()


def _run(command: Sequence[str]) -> None:
    """In a thread that lasts as long as the program or this process: the program is bound to it, and waited for."""
    with suppress(OSError, RuntimeError):  # no process, or this one is at its end: the next start tries again
        subprocess.run(
            command,
            check=False,  # what fails is told in the cache
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=isolated.environment(),
            cwd="/",
            start_new_session=True,  # a group of its own, which yields as a whole
        )


def forget_failure(name: str) -> None:
    """A library has been compiled whole: that it once could not be is no longer true."""
    with suppress(OSError, ValueError, KeyError):
        path = cache_folder() / STATE
        state = json.loads(path.read_text(encoding="utf-8"))
        if state["error"] and state["name"] == name:
            path.unlink()


def words() -> str:
    """What is compiled in the background, or why that failed; "" where nothing is."""
    with suppress(OSError, ValueError, KeyError):
        state = json.loads((cache_folder() / STATE).read_text(encoding="utf-8"))
        if state["error"]:
            return f"compiling {state['name']!r} in the background failed: {state['error']}"
        if _is_locked(cache_folder() / LOCK):
            return (
                f"the rest of {state['name']!r} is compiled in the background, at the lowest priority: {state['done']} of "
                f"{state['total']} done (RT_ENGINE_COMPILE=needed leaves it out)"
            )
    return ""


def _is_locked(path: Path) -> bool:
    with path.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
