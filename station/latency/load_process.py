"""The process of one load: `load_process NAME CORE SECONDS`; standard input is a pipe that its parent holds open.

It ends when that pipe closes, which is when the parent ends however it does (it is bound to it, too); when its seconds are over,
whatever the parent does; on SIGTERM. It has normal priority, whatever its parent has.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress

from station.latency.loads import loads


def main(name: str, core: str, seconds: str) -> None:
    """Work, until one of the ends above."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    if core != "any":
        with suppress(OSError):  # the core went offline, or is not ours: another one is loaded then
            os.sched_setaffinity(0, {int(core)})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    until = time.monotonic() + float(seconds)
    loads()[name].work(None if core == "any" else int(core), lambda: time.monotonic() < until)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):  # a Ctrl-C is the parent's to answer
        main(*sys.argv[1:])
