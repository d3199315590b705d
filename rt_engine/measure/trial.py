"""A model in an engine that may crash or hang: in another process first, so that only the engine is lost, and in words.

parent                                   rt_engine.measure.trial FOLDER
inputs.npz, engine.json  ------------->  make, run twice
RefusedError  <-- verdict.txt, or the signal, or the time that is over
"""

import json
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from rt_engine.measure.engines import OURS, Arrays, Engine, RefusedError, Runner, short
from rt_native.isolated import command, environment

SECONDS = 180.0
"""What an engine may take to read a model and run it twice; ResNet-50 takes a few."""


def runner(engine: Engine, path: Path, inputs: Arrays, seconds: float = SECONDS) -> Runner:
    """The model in an engine, tried before where the engine is fragile.

    Raises:
        RefusedError: it cannot run the model; says why, also where it crashed or hung.
    """
    if engine.name == OURS.name:
        return engine.make(path, inputs)
    if engine.fragile:
        _try(engine, path, inputs, seconds)
    try:
        return engine.make(path, inputs)
    except RefusedError:
        raise
    except Exception as error:  # an engine's own exceptions have no common base
        raise RefusedError(f"cannot read: {short(error)}") from error


def _try(engine: Engine, path: Path, inputs: Arrays, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "inputs.npz", inputs)
        what = {"module": engine.make.__module__, "name": engine.make.__qualname__, "path": str(path.resolve())}
        (folder / "engine.json").write_text(json.dumps(what), encoding="utf-8")
        words = command("rt_engine.measure.trial", str(folder), bound=signal.SIGKILL)
        try:
            done = subprocess.run(words, env=environment(), capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as error:
            raise RefusedError(f"cannot run: it did not end within {seconds:g} s") from error
        verdict = folder / "verdict.txt"
        said = verdict.read_text(encoding="utf-8") if verdict.exists() else _ended(done.returncode)
        if said:
            raise RefusedError(said)


def _write(path: Path, inputs: Arrays) -> None:
    arrays: dict[str, Any] = {f"in:{key}": value for key, value in inputs.items()}
    np.savez(path, **arrays)


def _ended(code: int) -> str:
    if code >= 0:
        return f"cannot run: it ended its process with code {code}"
    return f"cannot run: it crashed ({signal.Signals(-code).name})"


def main() -> None:
    """In the other process: make the runner, run it twice, write what went wrong, or nothing."""
    folder = Path(sys.argv[1])
    what = json.loads((folder / "engine.json").read_text(encoding="utf-8"))
    stored = np.load(folder / "inputs.npz")
    inputs = {key.removeprefix("in:"): stored[key] for key in stored.files}
    said = ""
    try:
        made: Runner = getattr(import_module(what["module"]), what["name"])(Path(what["path"]), inputs)
        made.run()
        made.result()
    except RefusedError as error:
        said = str(error)
    except Exception as error:  # an engine's own exceptions have no common base
        said = f"cannot read: {short(error)}"
    (folder / "verdict.txt").write_text(said, encoding="utf-8")


if __name__ == "__main__":
    main()
