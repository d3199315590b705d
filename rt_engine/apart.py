"""ONNX models compiled, and new versions examined, in processes of their own, so that no file holds or harms what controls a machine.

    Source --in memory--> worker: compile -> gate --.rtp in memory, report--> checked as a file's bytes --> Model

Nothing is written to a disk. The worker (`rt_engine.gate.worker`) has a low priority, limits of memory and time, is the first
that a system without memory ends, and dies with its parent. Whatever becomes of it is an `EngineError` here.
"""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Collection
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rt_engine.binding import Binding
from rt_engine.errors import EngineError
from rt_engine.gate.job import GateJob
from rt_engine.gate.limits import ENDED
from rt_engine.gate.report import GateReport
from rt_engine.model import Model, checked_program, load
from rt_engine.program.rtp_file import read_open
from rt_engine.read.source import BYTES, Source
from rt_native import isolated
from rt_native.pages import STEP

WORKER: Final = "rt_engine.gate.worker"
TIME_S: Final = 100.0
"""For one model."""
ONE_THREAD: Final = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Who helps a worker takes time and addresses too."""
HELP: Final = "compile it beforehand, `rt-engine compile`, and give the .rtp file"


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that went through the gate.

    Args:
        model: ready to be run here; None where the gate refuses it.
        program: the compiled file (.rtp); empty where the gate refuses it.
        report: what was found.
    """

    model: Model | None
    program: memoryview
    report: GateReport

    def accepted(self) -> Model:
        """The model; raises GateError, with the report, where the gate refuses it."""
        self.report.require_passed()
        assert self.model is not None
        return self.model


class Apart:
    """Loads and examines models, a worker for each, until `close`. Any thread.

    Args:
        time_s: for one model, in all, on the wall.
        avoid: cores that workers stay away from, where there are others: those of tasks.
        worker: the module that is the worker: one that calls `rt_engine.gate.worker.main`.
    """

    def __init__(self, time_s: float = TIME_S, avoid: Collection[int] = (), worker: str = WORKER) -> None:
        self._time_s, self._avoid, self._worker = time_s, ",".join(map(str, avoid)), worker
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

    def load(self, source: Source, binding: Binding) -> Model:
        """As `rt_engine.load`, with the same result; nothing is examined.

        Raises:
            EngineError: as there; also when the worker could not be started, was ended, or took too long.
        """
        if source.is_program:
            return load(source, **binding.options)
        with ExitStack() as files:
            answer, made = self._asked(files, source, binding, None)
            return _model(source, made, answer["sha256"])[0]

    def examine(
        self,
        source: Source,
        binding: Binding,
        job: GateJob,
    ) -> Examined:
        """Compile a file (a program is only checked) and ask of it whatever `job` wants to know. Nothing of it has run here.

        Raises:
            EngineError: it cannot be compiled, or its worker could not be started, was ended, or took too long: then there is
                nothing to report on. What the gate refuses is `Examined.report`.
        """
        with ExitStack() as files:
            answer, made = self._asked(files, source, binding, job)
            report = GateReport.from_json(answer["report"])
            if not report.passed:
                return Examined(None, memoryview(b""), report)
            model, program = _model(source, made, answer["sha256"])
            return Examined(model, program, report)

    def _asked(
        self,
        files: ExitStack,
        source: Source,
        binding: Binding,
        job: GateJob | None,
    ) -> tuple[dict[str, Any], int]:
        """The worker's answer, and the descriptor of the program that it made."""
        asked = {
            "name": source.name,
            "folder": str(source.folder or ""),
            "binding": binding.to_json(),
            "job": None if job is None else job.to_json(),
        }
        assert isinstance(source.data, BYTES)
        try:
            model, made = (_in_memory(files, name) for name in ("model", "program"))
            _write(model, source.data)
            return self._answer(source.title, json.dumps(asked), model, made), made
        except OSError as error:
            raise EngineError(f"{source.title} cannot be compiled: {error.strerror}; {HELP}") from error

    def _answer(self, title: str, asked: str, model: int, made: int) -> dict[str, Any]:
        """Have a worker write the program to `made`; gives what it says in the end."""
        child = self._start([str(model), str(made), self._avoid], (model, made))
        ended = ""
        try:
            said, _ = child.communicate(asked.encode(), timeout=self._time_s)
        except subprocess.TimeoutExpired:
            ended = f"was not compiled within {self._time_s:g} s"
        finally:
            child.kill()
            rest, _ = child.communicate()
            with self._lock:
                self._children.discard(child)
        lines = _lines(rest if ended else said)
        stage = next((str(line["stage"]) for line in reversed(lines) if "stage" in line), "")
        if ended:
            doing = f" (it was at: {stage})" if stage else ""
            raise EngineError(f"{title} {ended}{doing}; {HELP}")
        if child.returncode or not lines or "stage" in lines[-1]:
            raise EngineError(self._how_it_ended(title, child.returncode, stage))
        answer: dict[str, Any] = lines[-1]
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def _how_it_ended(self, title: str, code: int, stage: str) -> str:
        """A worker that is gone without an answer, in a sentence."""
        how = signal.strsignal(-code) if code < 0 else f"exit code {code}"
        if self._is_closed:
            why = "the station is stopping"
        elif code == -ENDED:
            why = "it takes too long: has each of its loops an end that its inputs cannot move away?"
        else:
            why = "was there too little memory?"
        doing = f" at the stage '{stage}'" if stage else ""
        return f"the process that compiled {title} has ended ({how}){doing}: {why}"

    def _start(self, arguments: list[str], files: tuple[int, int]) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._is_closed:
                raise EngineError("the station is stopping: no model is compiled any more")
            child = subprocess.Popen(
                isolated.command(self._worker, *arguments, bound=signal.SIGKILL),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=files,
                env=isolated.environment() | ONE_THREAD,
                cwd="/",
            )
            self._children.add(child)
            return child


def _lines(said: bytes) -> list[dict[str, Any]]:
    """What a worker has said, line by line; what is no whole line of ours was never said."""
    found: list[dict[str, Any]] = []
    for line in said.splitlines():
        with suppress(ValueError, RecursionError):
            if isinstance(word := json.loads(line), dict):
                found.append(word)
    return found


def _model(source: Source, made: int, sha256: str) -> tuple[Model, memoryview]:
    """What a worker has made, checked as a file would be; and its bytes."""
    try:
        program, data = read_open(made, source.title)
    except OSError as error:
        raise EngineError(f"{source.title} cannot be read back: {error.strerror}; {HELP}") from error
    found = replace(checked_program(program, source.title), sha256=sha256)
    return Model(found, Path(source.name).stem or "model"), data


def _in_memory(files: ExitStack, name: str) -> int:
    """The descriptor of a file without a place on a disk, which `files` closes."""
    file = os.memfd_create(name)
    files.callback(os.close, file)
    return file


def _write(file: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest[:STEP]) :]
