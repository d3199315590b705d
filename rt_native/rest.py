"""A program that `rt_native.background` starts: compiles the whole of a library at the lowest priority, and tells how far it is."""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from rt_native.background import LOCK, STATE
from rt_native.cache import cache_folder, only_one
from rt_native.errors import NativeError
from rt_native.files import write_whole
from rt_native.library import Library

_EVERY_S = 1.0


class _Told:
    """How far it is, in a file beside the objects."""

    def __init__(self, name: str) -> None:
        self._name, self._last_s = name, 0.0

    def progress(self, name: str, done: int, total: int) -> None:
        """As a progress bar is told."""
        now = time.monotonic()
        if done == total or (total > 0 and now - self._last_s >= _EVERY_S):
            self._last_s = now
            self.write(done, total)

    def write(self, done: int = 0, total: int = 0, error: str = "") -> None:
        """Say it; a full disk is no reason to end."""
        state = {"name": self._name, "done": done, "total": total, "error": error}
        with suppress(OSError):
            write_whole(cache_folder() / STATE, json.dumps(state).encode())


def yield_to_all() -> None:
    """Let this process, and those that it starts, run when nothing else wants to."""
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    # A session is a group of its own, with a share of its own, where the kernel makes such groups; this one may be another's.
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text("19", encoding="utf-8")


def stay_off(taken: str) -> None:
    """Leave these cores, "2,3", to others; where there are no others, that would be to do nothing."""
    if free := os.sched_getaffinity(0) - {int(core) for core in taken.split(",") if core}:
        os.sched_setaffinity(0, free)


def main() -> None:
    """Build the libraries that the command line names: cores of tasks, then NAME=MODULE,MODULE ..."""
    yield_to_all()
    taken, *libraries = sys.argv[1:]
    stay_off(taken)
    with only_one(cache_folder() / LOCK):
        for name, _, modules in (given.partition("=") for given in libraries):
            _build(name, tuple(modules.split(",")))


def _build(name: str, modules: tuple[str, ...]) -> None:
    told = _Told(name)
    try:
        Library(name, modules).build(told.progress, who="background")
    except NativeError as error:
        first, *more = str(error).splitlines()
        told.write(error=" ".join((first, *more[-1:])))  # what failed, and the compiler's last word: why
        raise


if __name__ == "__main__":
    main()
