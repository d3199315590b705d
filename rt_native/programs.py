"""Programs that compile, as their starter sees them: one for a job, or one for the jobs of several libraries (`together`).

library.build() --job--> run() --> a program of its own: `rt_native.build`, `build_some`, `cross`
                              \\-> inside of `together`: the one program, `rt_native.build_together`, beside other jobs
"""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import IO, Any

from rt_native import isolated
from rt_native.cache import cache_folder
from rt_native.progress import UNDONE, Progress

Tell = Callable[[int, int], object]
"""Takes how many functions are done, of how many."""
_STEP = re.compile(r"(\d+)/(\d+) ")
_UNWRITTEN = re.compile(r"(?:\w+: )?OSError: (.*)")


def run(program: str, job: Mapping[str, Any], tell: Tell) -> str | None:
    """Do a job, and tell how far it is; gives what went wrong in the compiler's words, None where nothing did."""
    if _OPEN and _OPEN[0].has(program, job):
        return _OPEN[0].run(job)
    complaint = []
    with _started(program) as process:
        assert process.stdin and process.stdout
        try:
            with suppress(BrokenPipeError):  # it has ended already, and says why
                process.stdin.write(json.dumps(job))
                process.stdin.close()
            for line in process.stdout:
                if step := _STEP.match(line):
                    tell(int(step[1]), int(step[2]))
                else:
                    complaint.append(line)
        except BaseException:  # Ctrl-C
            process.kill()
            raise
    return _why(complaint, process.returncode) if process.returncode else None


def _why(complaint: Sequence[str], code: int) -> str:
    """What a compiler said; in a sentence, where it could not write, or was killed, or one of its processes was."""
    said = "".join(complaint).strip()
    last = said.rpartition("\n")[2]
    if unwritten := _UNWRITTEN.match(last):
        return f"it cannot be written to {cache_folder()}: {unwritten[1]}"
    if said and "BrokenProcessPool" not in said:
        return said
    how = signal.strsignal(-code) if code < 0 else "one of its processes was killed"
    return f"the compiler has ended ({how}): was there too little memory?"


def _started(program: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        isolated.command(program, writes_bytecode=False, bound=signal.SIGKILL),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=isolated.environment(),
        cwd="/",  # Numba would take settings from a file in the current folder
    )


class _Together:
    """The program that does several jobs at once, and how far all of them are."""

    def __init__(self, name: str, everything: Mapping[str, Any], progress: Progress) -> None:
        self._name, self._everything, self._progress = name, everything, progress
        self._lock = threading.Lock()
        self._steps: dict[int, tuple[int, int]] = {}
        self._waiting: dict[int, SimpleQueue[str | None]] = {}
        self._end = ""
        self._process: Future[subprocess.Popen[str]] = Future()
        self._reader = threading.Thread(target=self._read, name="compiler")

    def has(self, program: str, job: Mapping[str, Any]) -> bool:
        """Are a job's modules among those that were imported, as they are now?"""
        outputs, ours = job["outputs"], self._everything["outputs"]
        same = all(ours.get(module) == output for module, output in outputs.items())
        return same and not job["path"] and program != "rt_native.cross" and job["target"] == self._everything["target"]

    def run(self, job: Mapping[str, Any]) -> str | None:
        """As `rt_native.programs.run`."""
        answer = SimpleQueue[str | None]()
        with self._lock:
            number = len(self._steps)
            if not number:
                self._reader.start()
            self._steps[number], self._waiting[number] = (0, 0), answer
            self._write({**job, "number": number})
            if self._end:
                self._end_all()
        return answer.get()

    def close(self, done: bool) -> None:
        """No more jobs; those that are under way are given up where not all went well."""
        if not self._steps:
            return
        if not done:
            self._process.result().kill()
        with suppress(BrokenPipeError):
            self._pipe().close()
        self._reader.join()
        total = 1 + sum(total for _, total in self._steps.values()) if done else UNDONE
        self._progress(self._name, total, total)

    def _pipe(self) -> IO[str]:
        pipe = self._process.result().stdin
        assert pipe
        return pipe

    def _write(self, job: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError, ValueError):  # it has ended, or is given up: the reader says why
            self._pipe().write(json.dumps(job) + "\n")
            self._pipe().flush()

    def _read(self) -> None:
        """Start the program, which ends with this thread, and take what it says; however that ends, who waits is told."""
        try:
            process = _started("rt_native.build_together")
        except BaseException as error:  # raised where a job is written
            self._process.set_exception(error)
            return
        complaint: list[str] = []
        assert process.stdin and process.stdout
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(self._everything) + "\n")
        self._process.set_result(process)
        try:
            self._progress(self._name, 0, 0)
            for line in process.stdout:
                self._take(line, complaint)
            why = _why(complaint, process.wait())
        except BaseException as error:  # a closed pipe, a full disk, where the bar is shown
            why = f"how far it is could not be shown: {type(error).__name__}: {error}"
        with self._lock:
            self._end = why
            self._end_all()

    def _take(self, line: str, complaint: list[str]) -> None:
        number, _, words = line.partition(" ")
        if not number.isdigit() or int(number) not in self._waiting:
            complaint.append(line)
        elif step := _STEP.match(words):
            with self._lock:
                self._steps[int(number)] = int(step[1]), int(step[2])
                done, total = map(sum, zip(*self._steps.values(), strict=True))
                is_known = all(self._steps[job][1] for job in self._waiting)
            # The last step is its end: there may be more jobs.
            self._progress(self._name, done, total + 1 if is_known else 0)
        elif words == ".\n":
            self._waiting.pop(int(number)).put(None)
        elif words.startswith("! "):
            self._waiting.pop(int(number)).put(_why(json.loads(words[2:]), 1))
        else:
            complaint.append(line)

    def _end_all(self) -> None:
        """The program has ended, and jobs are left."""
        for number in list(self._waiting):
            self._waiting.pop(number).put(self._end)


_OPEN: list[_Together] = []
"""The one of this process."""


@contextmanager
def together(name: str, everything: Mapping[str, Any], progress: Progress) -> Iterator[None]:
    """While it lasts, jobs of these modules are done by one program, with one progress bar.

    Args:
        name: of them all, for the bar.
        everything: a job of all modules that may be asked for.
        progress: is told how far all jobs are.
    """
    if _OPEN:
        yield
        return
    _OPEN.append(_Together(name, everything, progress))
    done = False
    try:
        yield
        done = True
    finally:
        _OPEN.pop().close(done)
