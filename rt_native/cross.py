"""`rt_native.build` for another machine than the one we are on: a program of its own, run by `rt_native.isolated`.

Numba generates code for the machine that it runs on. Here it is told that this is the target: triple, processor, features.
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

_INTRINSICS = {
    "aarch64": ({"mrs $0, fpcr": "llvm.aarch64.get.fpcr", "msr fpcr, $0": "llvm.aarch64.set.fpcr"}, ir.IntType(64)),
    "armv7": ({"mrs $0, fpcr": "llvm.arm.get.fpscr", "msr fpcr, $0": "llvm.arm.set.fpscr"}, ir.IntType(32)),
}
"""Machine -> (inline assembly -> the intrinsic that does the same, its word): llvmlite has an assembler for its own machine only.

FZ is bit 24 of both registers.
"""
_CODE = {"dc civac, $0": (0xD50B7E20, 0xD65F03C0)}
"""Inline assembly for which there is no intrinsic -> a function of the same, as machine code: `dc civac, x0` and `ret`."""


def _assembly(
    builder: Any, type: Any, text: str, constraint: str, arguments: Any, side_effect: bool, name: str = ""
) -> Any:
    """In place of `IRBuilder.asm`; no text at all is there to hide its argument from LLVM, which it need not here."""
    if not text:
        return arguments[0]
    if text in _CODE:
        return builder.call(_machine_code(builder.module, type, text), arguments)
    names, word = _INTRINSICS[builder.module.triple.partition("-")[0]]
    gives = isinstance(type.return_type, ir.IntType)
    intrinsic = ir.FunctionType(word if gives else ir.VoidType(), [word] * len(arguments))
    function = builder.module.globals.get(names[text]) or ir.Function(builder.module, intrinsic, names[text])
    value = builder.call(function, [builder.trunc(a, word) if a.type.width > word.width else a for a in arguments])
    return builder.zext(value, type.return_type) if gives and type.return_type.width > word.width else value


class _MachineCode(ir.Function):  # type: ignore[misc]
    """A function whose code is given; behind it stands another one, which is never reached."""

    words: tuple[int, ...]

    def descr_prototype(self, buf: list[str]) -> None:
        """The line that defines it, with the code as data of its prologue."""
        lines: list[str] = []
        super().descr_prototype(lines)
        words = ", ".join(f"i32 {word}" for word in self.words)
        buf += [line.replace("\n", f" prologue [{len(self.words)} x i32] [{words}]\n") for line in lines]


def _machine_code(module: Any, type: Any, text: str) -> Any:
    name = text.partition(",")[0].replace(" ", "_")
    function = module.globals.get(name)
    if function is None:
        function = _MachineCode(module, type, name)
        function.words = _CODE[text]
        function.linkage = "internal"
        for attribute in ("noinline", "optnone"):  # an optimiser would see the other one
            function.attributes.add(attribute)
        body = ir.IRBuilder(function.append_basic_block())
        for argument in function.args:  # nor may it leave out what seems not to be used
            body.store(argument, body.alloca(argument.type))
        body.ret_void()
    return function


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
