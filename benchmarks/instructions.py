"""Does execution depend on the data? Counts the machine instructions of one run for zeros, random and adversarial inputs.

    python -m benchmarks.instructions                   every model of the zoo that runs; some ten minutes
    python -m benchmarks.instructions ds-cnn lstm-step --all-inputs

A child process runs the program; its parent single-steps it (ptrace), from the first instruction of the executor to its
return: the very code that a task runs, with the machine's widest vectors, and nothing else. Linux on x86-64 only.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

import rt_engine
from benchmarks.zoo import entries, entry
from rt_engine.errors import EngineError
from rt_engine.run.context import Context
from rt_native.library import Library

NATIVE = Library("stepping", ("benchmarks.stepping_native",), path=(str(Path(__file__).parent.parent),))
TRACEME, PEEKTEXT, PEEKUSER, POKETEXT, POKEUSER, CONT, KILL = 0, 1, 3, 4, 6, 7, 8
RSP, RIP = 152, 128
BREAKPOINT = 0xCC
MOST = 20_000_000
"""Steps for one run; a step takes some microseconds."""

Fill = Callable[[np.random.Generator, tuple[int, ...]], NDArray[Any]]


def _mixed(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    return rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38, 1.0, -1.0], shape)


INPUTS: dict[str, Fill] = {
    "zeros": lambda rng, shape: np.zeros(shape),
    "random": lambda rng, shape: rng.standard_normal(shape),
    "random x 1000": lambda rng, shape: rng.standard_normal(shape) * 1000,
    "NaN": lambda rng, shape: np.full(shape, np.nan),
    "infinite": lambda rng, shape: np.where(rng.random(shape) < 0.5, np.inf, -np.inf),
    "denormal": lambda rng, shape: rng.uniform(-1e-39, 1e-39, shape),
    "huge": lambda rng, shape: rng.choice([-3e38, 3e38], shape),
    "all of these": _mixed,
}
"""Name -> values of a float input. Integers are 0, or random bits where the name says random."""


FEW = ("zeros", "random", "denormal", "all of these")
"""The inputs that are tried unless all are asked for."""


def fill(context: Context, name: str) -> None:
    """Write the inputs of that name."""
    rng = np.random.default_rng(0)
    for view in context.inputs.values():
        if view.dtype.kind == "f":
            view[...] = INPUTS[name](rng, view.shape)
        else:
            view[...] = rng.integers(0, 2, view.shape) if "random" in name else 0


def is_supported() -> bool:
    """Single-stepping needs Linux on x86-64, and a system that lets a process trace its child."""
    return sys.platform == "linux" and os.uname().machine == "x86_64"


def count(context: Context, names: tuple[str, ...] = FEW, most: int = MOST) -> dict[str, int]:
    """Instructions of one run for each kind of input.

    Raises:
        RuntimeError: the child cannot be traced, or a run takes more than `most` instructions.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes, libc.ptrace.restype = (
        [ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_ulong],
        ctypes.c_long,
    )
    step, execute = NATIVE.function("step_until"), context._executable.execute_address
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})  # both on one core: a step is then a switch, not a wake-up
    pid = os.fork()
    if pid == 0:
        _child(libc, context, names)
    try:
        _wait(pid, signal.SIGSTOP)
        code = libc.ptrace(PEEKTEXT, pid, execute, 0) & (2**64 - 1)
        found = {}
        for name in names:
            libc.ptrace(POKETEXT, pid, execute, (code & ~0xFF) | BREAKPOINT)
            libc.ptrace(CONT, pid, 0, 0)
            _wait(pid, signal.SIGTRAP)
            libc.ptrace(POKETEXT, pid, execute, code)
            libc.ptrace(POKEUSER, pid, RIP, execute)
            back = libc.ptrace(PEEKTEXT, pid, libc.ptrace(PEEKUSER, pid, RSP, 0), 0)
            steps = step(pid, back, most)
            if steps < 0:
                raise RuntimeError(f"more than {most:,} instructions" if steps == -1 else "the process ended")
            found[name] = steps
        return found
    finally:
        os.sched_setaffinity(0, cores)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _child(libc: Any, context: Context, names: tuple[str, ...]) -> None:
    """Run once for each input; never returns."""
    try:
        libc.ptrace(TRACEME, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        for name in names:
            fill(context, name)
            context._run(context.block_address)
        signal.pause()
    finally:
        os._exit(1)


def _wait(pid: int, wanted: signal.Signals) -> None:
    """Until the child has stopped with the signal."""
    _, status = os.waitpid(pid, 0)
    if not os.WIFSTOPPED(status) or os.WSTOPSIG(status) != wanted:
        raise RuntimeError(f"the process cannot be traced here (status {status:#x}); is ptrace allowed?")


def main() -> None:
    """One line per model: the count, or the range and which inputs differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("models", nargs="*", help="names in the zoo; by default all")
    parser.add_argument("--most", type=int, default=3_000_000, help="instructions of one run")
    parser.add_argument("--all-inputs", action="store_true", help=f"not only {', '.join(FEW)}")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    chosen = [entry(name) for name in arguments.models] or entries()
    console = Console()
    console.print("Machine instructions of one run")
    found: dict[str, Any] = {}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("stepping", total=len(chosen))
        for one in chosen:
            bar.update(task, description=one.name)
            try:
                context = rt_engine.load(one.get().path).context()
                found[one.name] = count(context, tuple(INPUTS) if arguments.all_inputs else FEW, arguments.most)
                words = " ".join(described(found[one.name]))
            except (EngineError, RuntimeError) as error:
                found[one.name] = str(error)
                words = "refused" if isinstance(error, EngineError) else str(error)
            console.print(f"{one.name:<18} {words}", highlight=False, soft_wrap=True)
            bar.advance(task)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def described(counts: dict[str, int]) -> tuple[str, str]:
    """The count and "all inputs"; or the range, and every input's distance from that of zeros."""
    if len(set(counts.values())) == 1:
        return f"{counts['zeros']:>9,}", "the same for all inputs"
    far = ", ".join(f"{name} {n - counts['zeros']:+,}" for name, n in counts.items() if n != counts["zeros"])
    return f"{min(counts.values()):,} to {max(counts.values()):,}", far


if __name__ == "__main__":
    main()
