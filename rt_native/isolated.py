"""A program of ours in an interpreter of its own, that finds nothing in the current folder, nor where its caller's variables say.

    python -I rt_native/isolated.py FOLDER:FOLDER MODULE ARGUMENT ...

`-I` leaves out the current folder, the user's packages and every variable PYTHON...; the folders that our own packages, NumPy and
the compiler lie in are searched last. So a `json.py` where somebody happens to stand is never run.
"""

import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

_STEERING = ("PYTHON", "NUMBA_", "RT_NATIVE_")
"""Beginnings of variables that change what an interpreter or the compiler does."""


def command(module: str, *arguments: str, writes_bytecode: bool = True) -> list[str]:
    """The command line that runs a module of ours as a program.

    `writes_bytecode` is False for who reads sources that are edited: Python takes bytecode for that of a source of the same size
    and second.
    """
    found = (find_spec(name) for name in ("numpy", "llvmlite"))
    files = (__file__, *(spec.origin for spec in found if spec is not None and spec.origin))
    folders = dict.fromkeys(str(Path(file).resolve().parents[1]) for file in files)
    options = ["-I"] if writes_bytecode else ["-I", "-B"]
    return [sys.executable, *options, str(Path(__file__).resolve()), os.pathsep.join(folders), module, *arguments]


def environment() -> dict[str, str]:
    """Our variables, without those that steer an interpreter or the compiler."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}


def main() -> None:
    """Run the module that the command line names."""
    folders, module = sys.argv[1:3]
    sys.path += [folder for folder in folders.split(os.pathsep) if folder not in sys.path]
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
