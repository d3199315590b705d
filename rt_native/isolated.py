"""A program of ours in an interpreter of its own, that finds nothing in the current folder, nor where its caller's variables say.

    python -I rt_native/isolated.py FOLDER:FOLDER PARENT:SIGNAL MODULE ARGUMENT ...

`-I` leaves out the current folder, the user's packages and every variable PYTHON...; the folders that our own packages, NumPy and
the compiler lie in are searched last. So a `json.py` where somebody happens to stand is never run.

A program that is *bound* gets a signal from the kernel when the thread that started it has ended, however that was: SIGKILL too.
"""

import ctypes
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

_STEERING = ("PYTHON", "NUMBA_", "RT_NATIVE_")
"""Beginnings of variables that change what an interpreter or the compiler does."""
_PR_SET_PDEATHSIG = 1
"""prctl(2)."""


def command(module: str, *arguments: str, writes_bytecode: bool = True, bound: int = 0) -> list[str]:
    """The command line that runs a module of ours as a program.

    Args:
        module: its name.
        arguments: of the program.
        writes_bytecode: False for who reads sources that are edited: Python takes bytecode for that of a source of the same size
            and second.
        bound: the signal that ends it when this process has ended; 0: it outlives this process.
    """
    found = (find_spec(name) for name in ("numpy", "llvmlite"))
    files = (__file__, *(spec.origin for spec in found if spec is not None and spec.origin))
    folders = dict.fromkeys(str(Path(file).resolve().parents[1]) for file in files)
    options = ["-I"] if writes_bytecode else ["-I", "-B"]
    words = os.pathsep.join(folders), f"{os.getpid()}:{bound:d}" if bound else "", module, *arguments
    return [sys.executable, *options, str(Path(__file__).resolve()), *words]


def bound_program(words: Sequence[str], number: int = signal.SIGKILL) -> list[str]:
    """The command line that runs any other program, bound to this process."""
    return command("rt_native.program", *words, bound=number)


def environment() -> dict[str, str]:
    """Our variables, without those that steer an interpreter or the compiler."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}


def end_with(parent: int, number: int) -> None:
    """Let a signal end this process when its parent has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it ended before
        os.kill(os.getpid(), number)


def main() -> None:
    """Run the module that the command line names."""
    folders, bound, module = sys.argv[1:4]
    sys.path += [folder for folder in folders.split(os.pathsep) if folder not in sys.path]
    del sys.argv[1:4]
    if bound:
        end_with(*map(int, bound.split(":")))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
