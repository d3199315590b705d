"""Compile some exports of native modules, each to an object of its own: a program like `rt_native.build`, of which it is made.

It imports all the modules, and so knows what each exports: that is written first, as the library's index.
"""

import json
from concurrent.futures import as_completed
from importlib import import_module
from pathlib import Path
from typing import Any

from rt_native import build
from rt_native.machine import Target
from rt_native.needed import piece


def build_some(job: dict[str, Any], target: Target) -> None:
    """Compile the `wanted` exports of a job's modules; its `index` becomes what each exports. An unknown name is left to who asked."""
    from rt_native.lang import EXPORTS

    outputs = build.outputs_of(job)
    for name in outputs:
        import_module(name)
    exports = {module: EXPORTS.get(module, []) for module in outputs}
    table = {module: {e.name: e.nargs for e in of} for module, of in exports.items()}
    build.write(Path(job["index"]), json.dumps(table).encode(), {}, target)
    jobs = [
        (outputs[module], export) for module, of in exports.items() for export in of if export.name in job["wanted"]
    ]
    _STATE.update(jobs=jobs, target=target)
    if not jobs:
        return
    print(f"0/{len(jobs)} index", flush=True)
    with build.workers() as pool:
        running = [pool.submit(_alone, number) for number in range(len(jobs))]
        for done, ended in enumerate(as_completed(running), 1):
            if why := ended.result():
                pool.shutdown(cancel_futures=True)
                raise SystemExit(why)
            print(f"{done}/{len(jobs)} done", flush=True)


_STATE: dict[str, Any] = {}


def _alone(number: int) -> str:
    """Compile one export; gives what went wrong, with its name."""
    (output, export), target = _STATE["jobs"][number], _STATE["target"]
    try:
        data = build.emitted(export.name, [build.compiled(export, target)], target)
        build.write(piece(output, export.name), data, {export.name: export.nargs}, target)
    except Exception as error:
        return f"{export.name}: {type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    build.main(build_some)
