"""ONNX models compiled in processes of their own, so that a parse of 100 MB holds nothing in a process that controls a machine.

    Source --bytes, in memory--> child: compile --.rtp bytes, in memory--> checked as those of a file --> Model

Nothing is written to a disk. The child has a low priority, is the first that a system without memory ends, and dies with
its parent. Whatever becomes of it is an `EngineError` here.
"""

import ctypes
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rt_engine.errors import EngineError, ShapeBindingError
from rt_engine.model import Model, checked_program, load
from rt_engine.program.rtp_file import read
from rt_engine.read.source import Source
from rt_native import isolated

TIME_S: Final = 100.0
"""For one model."""
MEMORY_BYTES: Final = 4 << 30
MEMORY_PER_BYTE: Final = 32
"""What a child may have: so much, and so much for each byte of the model's file."""
_LOW_PRIORITY, _FIRST_TO_END = 10, b"1000"
_PR_SET_PDEATHSIG: Final = 1
_HELP: Final = "compile it beforehand, `rt-engine compile`, and give the .rtp file"


class Apart:
    """Loads models, one child for each that is not compiled yet, until `close`. Any thread."""

    def __init__(self, time_s: float = TIME_S) -> None:
        self._time_s = time_s
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def open(self) -> None:
        """Take models (again)."""
        self._is_closed = False

    def close(self) -> None:
        """End what is under way, which is then refused, and take no more."""
        with self._lock:
            self._is_closed = True
            for child in self._children:
                child.kill()

    def load(self, source: Source, shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, str]) -> Model:
        """As `rt_engine.load`, with the same result.

        Raises:
            EngineError: as there; also when the child could not be started, was ended, or took too long.
        """
        if source.is_program:
            return load(source, dict(shapes) or None, state=state)
        assert isinstance(source.data, bytes)
        job = {"name": source.name, "folder": str(source.folder or ""), "shapes": dict(shapes), "state": dict(state)}
        with ExitStack() as files:
            try:
                model, made = (_in_memory(files, name) for name in ("model", "program"))
                _write(model, source.data)
                answer = self._compile(source.title, json.dumps(job), model, made)
                program = files.enter_context(mmap.mmap(made, 0, access=mmap.ACCESS_READ))
            except OSError as error:
                raise EngineError(f"{source.title} cannot be compiled: {error.strerror}; {_HELP}") from error
            found = checked_program(read(program, source.title), source.title)
            return Model(replace(found, sha256=answer["sha256"]), Path(source.name).stem or "model")

    def _compile(self, title: str, job: str, model: int, made: int) -> dict[str, str]:
        """Have a child write the program to `made`; gives its answer."""
        child = self._start([job, str(model), str(made)], (model, made))
        try:
            said, _ = child.communicate(timeout=self._time_s)
        except subprocess.TimeoutExpired:
            raise EngineError(f"{title} was not compiled within {self._time_s:g} s; {_HELP}") from None
        finally:
            child.kill()
            child.communicate()
            with self._lock:
                self._children.discard(child)
        if child.returncode or not said:
            how = signal.strsignal(-child.returncode) if child.returncode < 0 else f"exit code {child.returncode}"
            why = "the station is stopping" if self._is_closed else "was there too little memory?"
            raise EngineError(f"the process that compiled {title} has ended ({how}): {why}")
        answer: dict[str, str] = json.loads(said)
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def _start(self, arguments: list[str], files: tuple[int, int]) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._is_closed:
                raise EngineError("the station is stopping: no model is compiled any more")
            child = subprocess.Popen(
                isolated.command("rt_engine.apart", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=files,
                env=isolated.environment(),
                cwd="/",
            )
            self._children.add(child)
            return child


def _in_memory(files: ExitStack, name: str) -> int:
    """The descriptor of a file without a place on a disk, which `files` closes."""
    file = os.memfd_create(name)
    files.callback(os.close, file)
    return file


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


# --- the child --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Arguments: the job (JSON), the descriptors of model and program. Prints the answer (JSON)."""
    job, model, made = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _stand_back(os.fstat(model).st_size)
    try:
        answer = {"sha256": _made(job, model, made)}
    except EngineError as error:  # a station's
        answer = {"error": error.in_toml if isinstance(error, ShapeBindingError) else str(error)}
    except MemoryError:
        answer = {"error": f"there is too little memory to compile it; {_HELP}"}
    print(json.dumps(answer))


def _made(job: dict[str, Any], model: int, made: int) -> str:
    """Compile the model and write the program; gives the hash of all that was read."""
    from rt_engine.compiler import compile_model
    from rt_engine.program.rtp_writer import to_bytes

    with open(model, "rb") as file:
        file.seek(0)
        data = file.read()
    source = Source(data, job["name"], Path(job["folder"]) if job["folder"] else None)
    shapes = {name: tuple(shape) for name, shape in job["shapes"].items()}
    program = compile_model(source, shapes or None, job["state"])
    _write(made, to_bytes(program))
    return program.sha256


def _stand_back(model_bytes: int) -> None:
    """Take no time and no memory that others need, and end when the parent does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(_LOW_PRIORITY)
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb") as file:
        file.write(_FIRST_TO_END)
    most, limit = MEMORY_BYTES + MEMORY_PER_BYTE * model_bytes, resource.getrlimit(resource.RLIMIT_AS)[0]
    most = most if limit == resource.RLIM_INFINITY else min(most, limit)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
