"""Compile some exports of native modules, each to an object of its own: a program like `rt_native.build`, of which it is made.

It imports all the modules, and so knows what each exports: that is written first, as the library's index.
"""

import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rt_native import build
from rt_native.machine import Target
from rt_native.needed import piece


def build_some(job: dict[str, Any], target: Target, pool: ProcessPoolExecutor, say: build.Say) -> None:
    """Compile the `wanted` exports of a job's modules; its `index` becomes what each exports. An unknown name is left to who asked."""
    outputs = build.outputs_of(job)
    exports = {module: build.exports_of(module) for module in outputs}
    table = {module: {e.name: e.nargs for e in of} for module, of in exports.items()}
    build.write(Path(job["index"]), json.dumps(table).encode(), {}, target)
    wanted = [
        (module, index)
        for module, of in exports.items()
        for index, export in enumerate(of)
        if export.name in job["wanted"]
    ]
    if not wanted:
        return
    say(f"0/{len(wanted)} index")
    running = [pool.submit(_alone, module, index, outputs[module], target) for module, index in wanted]
    for done, ended in enumerate(as_completed(running), 1):
        if why := ended.result():
            build.give_up(running, why)
        say(f"{done}/{len(wanted)} done")


def _alone(module: str, index: int, output: Path, target: Target) -> str:
    """Compile one export; gives what went wrong, with its name."""
    export = build.exports_of(module)[index]
    try:
        data = build.emitted(export.name, [build.compiled(export, target)], target)
        build.write(piece(output, export.name), data, {export.name: export.nargs}, target)
    except Exception as error:
        return f"{export.name}: {type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    build.main(build_some)
