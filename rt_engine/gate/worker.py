"""The worker: a process that reads one model, compiles it, examines it, and says what it found.

stdin   what is asked, JSON: {name, folder, binding, job or null}
argv    descriptors of the model's bytes, and of the file that the program is written to
stdout  a line of JSON for each stage that begins, {"stage": words}; then {"sha256", "report"} or {"error": words}
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from rt_engine.binding import Binding
from rt_engine.errors import EngineError, ShapeBindingError
from rt_engine.gate.examine import ONCE, Over, examine
from rt_engine.gate.job import GateJob
from rt_engine.gate.limits import STAGE_S, limit, stand_back
from rt_engine.model import Model, load
from rt_engine.program.rtp_writer import to_bytes
from rt_engine.read.source import Source
from rt_native.errors import NativeError

NO_MEMORY: Final = (
    "there is too little memory to compile it; compile it beforehand, `rt-engine compile`, and give the .rtp file"
)


def main(over: Over | None = None) -> None:
    """Arguments: the descriptors of model and program, cores to stay away from.

    `over` runs it over a recording: a worker of who can do that calls this with it (`rt_engine.apart.Apart(worker=...)`).
    """
    model, made, avoid = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    stand_back(os.fstat(model).st_size, [int(core) for core in avoid.split(",") if core])
    try:
        answer = _answer(json.load(sys.stdin), model, made, over)
    except EngineError as error:  # a station's
        answer = {"error": error.in_toml if isinstance(error, ShapeBindingError) else str(error)}
    except NativeError as error:  # kernels are not there, and cannot or must not be compiled
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": NO_MEMORY}
    _say(answer)


def _answer(asked: dict[str, Any], model: int, made: int, over: Over | None) -> dict[str, Any]:
    """Write the program; gives the hash of all that was read, and the report where one is wanted."""
    _stage("compile")
    with open(model, "rb") as file:
        file.seek(0)
        data = file.read()
    source = Source(data, asked["name"], Path(asked["folder"]) if asked["folder"] else None)
    loaded = _loaded(source, asked)
    with open(made, "wb", closefd=False) as target:
        target.write(data if source.is_program else to_bytes(loaded.program))
    answer: dict[str, Any] = {"sha256": loaded.sha256}
    if asked["job"] is not None:
        job, size = GateJob.from_json(asked["job"]), os.fstat(made).st_size
        answer["report"] = examine(loaded, job, lambda what: _stage(what, job.once_s), size, over).to_json()
    return answer


def _loaded(source: Source, asked: dict[str, Any]) -> Model:
    return load(source, **Binding.from_json(asked["binding"]).options)


def _stage(what: str, once_s: float = STAGE_S) -> None:
    limit(once_s if what == ONCE else STAGE_S)
    _say({"stage": what})


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
