"""The C programs that benchmarks measure against, compiled by the system's compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


class MissingError(Exception):
    """Something that a benchmark needs is not here; the message says how to get it."""


def compiled(folder: Path, source: Path, *libraries: str) -> str:
    """The program of one source, in `folder`; raises `MissingError`."""
    program = folder / source.stem
    compiler = shutil.which("cc")
    if compiler is None:
        raise MissingError("needs a C compiler: apt-get install gcc libc6-dev")
    command = [compiler, "-O2", "-I/usr/include/modbus", "-o", str(program), str(source), *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "-lmodbus" in libraries:
        raise MissingError(f"{source.name} needs libmodbus: apt-get install libmodbus-dev\n{done.stderr[:300]}")
    if done.returncode:
        raise MissingError(f"{source.name} cannot be compiled: {done.stderr[:300]}")
    return str(program)
