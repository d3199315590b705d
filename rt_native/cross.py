"""`rt_native.build` for another machine than the one we are on: a program of its own, run by `rt_native.isolated`.

Numba generates code for the machine that it runs on. Here it is told that this is the target: triple, processor, features. It
also compiles every function in memory as it goes, which works for any target as long as nobody calls it.
"""

import json
import os
import sys
from io import StringIO
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from rt_native import build
from rt_native.machine import Target

_INTRINSICS = {"mrs $0, fpcr": "llvm.aarch64.get.fpcr", "msr fpcr, $0": "llvm.aarch64.set.fpcr"}
"""Inline assembly -> the intrinsic that does the same: llvmlite has an assembler for its own machine only."""


def _assembly(
    builder: Any, type: Any, text: str, constraint: str, arguments: Any, side_effect: bool, name: str = ""
) -> Any:
    """In place of `IRBuilder.asm`."""
    name = _INTRINSICS[text]
    function = builder.module.globals.get(name) or ir.Function(builder.module, type, name)
    return builder.call(function, arguments)


def pretend(target: Target) -> None:
    """Make Numba, which must not have been imported yet, compile for a target."""
    assert "numba" not in sys.modules
    os.environ["NUMBA_CPU_NAME"] = target.cpu
    os.environ["NUMBA_CPU_FEATURES"] = target.features
    llvm.get_process_triple = lambda: target.triple
    ir.IRBuilder.asm = _assembly


def main() -> None:
    """Read the job of `rt_native.build` from standard input."""
    text = sys.stdin.read()
    pretend(Target(**json.loads(text)["target"]))
    sys.stdin = StringIO(text)
    build.main()


if __name__ == "__main__":
    main()
