"""Compile some exports of native modules, each to an object of its own: a program like `rt_native.build`, of which it is made.

It imports all the modules, and so knows what each exports: that is written first, as the library's index.
"""

import json
import sys
from concurrent.futures import as_completed
from concurrent.futures.process import ProcessPoolExecutor
from importlib import import_module
from io import StringIO
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from typing import Any

from rt_native import build
from rt_native.machine import Target
from rt_native.needed import piece


def build_some(outputs: dict[str, Path], wanted: list[str], index: Path, target: Target) -> None:
    """Compile the wanted exports of some modules; `index` becomes what each module exports. An unknown name is left to who asked."""
    from rt_native.lang import EXPORTS

    for name in outputs:
        import_module(name)
    exports = {module: EXPORTS.get(module, []) for module in outputs}
    table = {module: {e.name: e.nargs for e in of} for module, of in exports.items()}
    build._write(index, json.dumps(table).encode(), {}, target)
    jobs = [(outputs[module], export) for module, of in exports.items() for export in of if export.name in wanted]
    _STATE.update(jobs=jobs, target=target)
    if not jobs:
        return
    print(f"0/{len(jobs)} index", flush=True)
    with ProcessPoolExecutor(min(cpu_count() or 1, 4), mp_context=get_context("fork")) as pool:
        running = [pool.submit(_alone, number) for number in range(len(jobs))]
        for done, job in enumerate(as_completed(running), 1):
            if why := job.result():
                pool.shutdown(cancel_futures=True)
                raise SystemExit(why)
            print(f"{done}/{len(jobs)} done", flush=True)


_STATE: dict[str, Any] = {}


def _alone(number: int) -> str:
    """Compile one export; gives what went wrong, with its name."""
    (output, export), target = _STATE["jobs"][number], _STATE["target"]
    try:
        data = build._emit(export.name, [build._compile(export, target)], target)
        build._write(piece(output, export.name), data, {export.name: export.nargs}, target)
    except Exception as error:
        return f"{export.name}: {type(error).__name__}: {error}"
    return ""


def main() -> None:
    """Read the job of `rt_native.build` from standard input; it says besides what is wanted, and where the index goes."""
    text = sys.stdin.read()
    job = json.loads(text)
    build.build = lambda outputs, target: build_some(outputs, job["wanted"], Path(job["index"]), target)
    sys.stdin = StringIO(text)
    build.main()


if __name__ == "__main__":
    main()
