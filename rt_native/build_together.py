"""Do the jobs of `rt_native.build` and `rt_native.build_some` for several libraries: one program, whose workers share the cores.

first line of its input    a job of all modules that may follow: they are imported, once
each more line             a job of some of them, with a number; it is done beside the others
each line of its output    NUMBER done/total what, NUMBER! and why it failed (JSON), NUMBER. when it is done
"""

import json
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from rt_native import build
from rt_native.build_some import build_some
from rt_native.machine import Target

_ONE_LINE = threading.Lock()


def _tell(number: int, words: str) -> None:
    with _ONE_LINE:
        build.tell(f"{number} {words}")


def _do(job: dict[str, Any], target: Target, pool: ProcessPoolExecutor) -> None:
    work = build_some if "wanted" in job else build.build
    say = partial(_tell, job["number"])
    try:
        work(job, target, pool, say)
        say(".")
    except SystemExit as error:
        say(f"! {json.dumps([str(error)])}")
    except Exception as error:  # who asked is told
        say(f"! {json.dumps([f'{type(error).__name__}: {error}'])}")


def main() -> None:
    """Until its input ends, and all is done."""
    target = build.prepare(json.loads(sys.stdin.readline()))
    doing = []
    with build.workers(more=1) as pool:
        pool.submit(int).result()  # the workers are made, while there is no thread
        for line in sys.stdin:
            doing.append(threading.Thread(target=_do, args=(json.loads(line), target, pool)))
            doing[-1].start()
        for thread in doing:
            thread.join()


if __name__ == "__main__":
    main()
