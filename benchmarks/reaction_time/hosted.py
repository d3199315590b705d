"""A station in a process of its own, with something beside it that is in Python's way.

    python hosted.py LOAD STATION_FILE [SOCKET]     `rt-engine run STATION_FILE`, with the load in the same process
    python hosted.py LOAD                           the load alone, beside the C program

It is told by lines on standard input, a socket, where it also answers each by a line of JSON:
    load       begin the load (`update`: load the model, which is answered when it is done); {}
    threads    {name: thread id} of all that Python knows
Without a station it ends with its standard input, else with SIGTERM. It is run as a file, and needs nothing of this
package, so that it can host a station of another checkout as well (`PYTHONPATH`).
"""

import gc
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

LARGE = "large.onnx"


def hog() -> None:
    """Computes in Python and never waits."""
    number = 0
    while True:
        number += 1


def collect() -> None:
    """Garbage collection, again and again."""
    while True:
        gc.collect()


def update() -> None:
    """What a station does with a model that it is updated to, without a station."""
    import rt_engine
    from rt_engine.apart import Apart
    from rt_engine.binding import UNBOUND
    from rt_engine.read.source import opened

    apart, slot = Apart(), rt_engine.ModelSlot(rt_engine.load("small.onnx"))
    slot.update(apart.load(opened(Path(LARGE)), UNBOUND))


def in_thread(work: Callable[..., None], *arguments: object) -> None:
    """Let that go on beside the others."""
    threading.Thread(target=work, args=arguments, daemon=True).start()


LOADS: dict[str, Callable[[], None]] = {
    "idle": lambda: None,
    "hog": lambda: in_thread(hog),
    "gc": lambda: in_thread(collect),
    "update": update,
}


def listen(load: str) -> None:
    """Answer until the end."""
    for line in sys.stdin:
        answer: dict[str, int | None] = {}
        if line.strip() == "load":
            LOADS[load]()
        else:
            answer = {thread.name: thread.native_id for thread in threading.enumerate()}
        os.write(sys.stdin.fileno(), json.dumps(answer).encode() + b"\n")


def main(load: str, file: str = "", socket: str = "") -> None:
    """Run."""
    if not file:
        listen(load)
        return
    from station.cli import app

    in_thread(listen, load)
    app(["run", file, "--socket", socket])


if __name__ == "__main__":
    main(*sys.argv[1:])
