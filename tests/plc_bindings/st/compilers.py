"""Real compilers of Structured Text, where this machine has some: a block is compiled, called, and gives its bytes.

    RT_ENGINE_MATIEC=/src/matiec:/src/OpenPLC_v3/utils/matiec_src   folders of matiec's sources, with iec2c made in them
    RT_ENGINE_STRUCPP=/src/strucpp                             STruC++'s sources, after npm ci and npm run build:tsc-only

Neither is a package of Debian, PyPI or npm, so the tests that use them are skipped where nothing is named.
`python -m tests.plc_bindings.st.compilers` prints which golden models compile, and agree with the engine, with which compiler.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

import numpy as np

import rt_engine
from plc_bindings.errors import ExportError
from plc_bindings.st.inline import inline_block
from plc_bindings.st.names import usable
from tests import ROOT, need

CONFIGURATION: Final = """
PROGRAM PRG_RtJudge
VAR
    fbJudge : $block;
END_VAR
fbJudge();
END_PROGRAM

CONFIGURATION RtConfiguration
RESOURCE RtResource ON PLC
TASK RtTask(INTERVAL := T#1ms, PRIORITY := 0);
PROGRAM RtInstance WITH RtTask : PRG_RtJudge;
END_RESOURCE
END_CONFIGURATION
"""
_C: Final = Template(
    """
#include <stdio.h>
#include "POUS.h"
#include "POUS.c"
TIME __CURRENT_TIME;
BOOL __DEBUG;
#define TAKE(x) if (fread(&block.x.value, sizeof block.x.value, 1, stdin) != 1) return 0;
#define GIVE(x) fwrite(&block.x.value, sizeof block.x.value, 1, stdout);
static $block block;
int main(void) {
    ${block}_init__(&block, 0);
    for (;;) {
$takes        ${block}_body__(&block);
$gives        fflush(stdout);
    }
}
"""
)
_CPP: Final = Template(
    """
#include <cstdio>
#include <cstdlib>
#include "judged.hpp"
using namespace strucpp;
template <class V> void take(V& v, int) {
    auto raw = v.get();
    if (std::fread(&raw, sizeof raw, 1, stdin) != 1) std::exit(0);
    v = raw;
}
template <class V> void give(V& v, int) { auto raw = v.get(); std::fwrite(&raw, sizeof raw, 1, stdout); }
#define EACH(what) \\
    template <class T, int64_t L, int64_t H> void what(Array1D<T, L, H>& a, int) { for (auto i = L; i <= H; i++) what(a.at(i), 0); }
EACH(take)
EACH(give)
int main() {
    static $block block;
    for (;;) {
$takes        block();
$gives        std::fflush(stdout);
    }
}
"""
)


class CompilerError(Exception):
    """What the compiler said."""


@dataclass(frozen=True)
class Matiec:
    """iec2c, then the C compiler; called as Beremiz and OpenPLC call it."""

    folder: Path
    options: tuple[str, ...] = ("-f", "-l", "-p")

    @property
    def name(self) -> str:
        return f"matiec ({self.folder.name})"

    def c(self, text: str, folder: Path) -> None:
        """Text -> POUS.c and its like in `folder`."""
        (folder / "judged.st").write_text(text)
        _run(
            [self.folder / "iec2c", *self.options, "-I", self.folder / "lib", "-T", folder, folder / "judged.st"],
            folder,
        )

    def build(self, text: str, block: str, inputs: Sequence[str], outputs: Sequence[str], folder: Path) -> Path:
        """A program that reads the inputs' bytes, calls the block, and writes the outputs' bytes, again and again."""
        self.c(text + Template(CONFIGURATION).substitute(block=block), folder)
        takes = (f"TAKE({n.upper()})" for n in inputs)
        gives = (f"GIVE({n.upper()})" for n in outputs)
        _write(folder / "main.c", _C, block, takes, gives)
        made = folder / "judged"
        _run(
            [
                need.program("gcc"),
                "-w",
                "-O1",
                "-ffp-contract=off",
                "-I",
                self.folder / "lib" / "C",
                "-o",
                made,
                "main.c",
                "-lm",
            ],
            folder,
        )
        return made

    def program(self, text: str, main: str, folder: Path, name: str = "Res0") -> Path:
        """A whole program with its configuration, and the C that calls config_init__ and config_run__, in one.

        What matiec makes inside of OpenPLC's sources is compiled as OpenPLC does it: by the C++ compiler, with its headers.
        """
        self.c(text, folder)
        (folder / "main.c").write_text(f'#include "{name}.c"\n#include "Config0.c"\n{main}')
        made = folder / "judged"
        openplc = self.folder.parent.parent / "webserver" / "core" / "lib"
        compiler, headers = (
            (["g++", "-std=gnu++11"], openplc) if openplc.is_dir() else (["gcc"], self.folder / "lib" / "C")
        )
        need.program(compiler[0])
        _run([*compiler, "-w", "-O1", "-ffp-contract=off", "-I", headers, "-o", made, "main.c", "-lm"], folder)
        return made


@dataclass(frozen=True)
class Strucpp:
    """STruC++, then the C++ compiler."""

    folder: Path

    @property
    def name(self) -> str:
        return "STruC++"

    def build(self, text: str, block: str, inputs: Sequence[str], outputs: Sequence[str], folder: Path) -> Path:
        """As `Matiec.build`."""
        (folder / "judged.st").write_text(text + Template(CONFIGURATION).substitute(block=block))
        _run([need.program("node"), self.folder / "dist" / "node" / "cli.js", "judged.st", "-o", "judged.cpp"], folder)
        takes = (f"take(block.{n.upper()}, 0);" for n in inputs)
        gives = (f"give(block.{n.upper()}, 0);" for n in outputs)
        _write(folder / "main.cpp", _CPP, block, takes, gives)
        made, sources = folder / "judged", sorted({*folder.glob("*.cpp")})
        runtime = self.folder / "src" / "runtime" / "include"
        _run(
            [need.program("g++"), "-std=c++17", "-w", "-O1", "-ffp-contract=off", "-I", runtime, "-o", made, *sources],
            folder,
        )
        return made


Compiler = Matiec | Strucpp


@cache
def compilers() -> tuple[Compiler, ...]:
    """Those that the environment names."""
    matiec = (Path(p) for p in os.environ.get("RT_ENGINE_MATIEC", "").split(":") if p)
    strucpp = (Path(p) for p in os.environ.get("RT_ENGINE_STRUCPP", "").split(":") if p)
    return *map(Matiec, matiec), *map(Strucpp, strucpp)


def _write(file: Path, template: Template, block: str, takes: Iterable[str], gives: Iterable[str]) -> None:
    lines = {n: "".join(f"        {line}\n" for line in part) for n, part in (("takes", takes), ("gives", gives))}
    file.write_text(template.substitute(lines, block=block.upper()))


def _run(command: Sequence[str | Path], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise CompilerError("\n".join((done.stderr or done.stdout).strip().splitlines()[:12]))


_KINDS: Final = {"float32": "f4", "float64": "f8", "int32": "i4", "int64": "i4", "bool": "?"}


def agree(compiler: Compiler, source: Path, folder: Path, calls: int = 4) -> str:
    """What a model's inline block gives, beside the engine: `same bits`, `close` (to rounding), or how far off.

    Raises:
        CompilerError: it does not compile.
        ExportError: the model cannot be inlined.
    """
    block, model = inline_block(source, "portable", "FB_Judged"), rt_engine.load(source)
    ends = ([usable(spec.name, "") for spec in part] for part in (model.inputs, model.outputs))
    made = compiler.build(block.text, block.name, *ends, folder)
    rng = np.random.default_rng(3)
    feeds = [
        {s.name: np.asarray(rng.normal(0, 2, s.shape)).astype(s.dtype) for s in model.inputs} for _ in range(calls)
    ]
    sent = b"".join(f[s.name].astype(_KINDS[s.dtype.name]).tobytes() for f in feeds for s in model.inputs)
    came = subprocess.run([made], input=sent, capture_output=True, check=True, timeout=60).stdout
    at, exact = 0, True
    for want, spec in ((w, s) for f in feeds for w, s in zip(model.run(f), model.outputs, strict=True)):
        got = np.frombuffer(came, _KINDS[spec.dtype.name], want.size, at).reshape(want.shape).astype(want.dtype)
        at += got.size * np.dtype(_KINDS[spec.dtype.name]).itemsize
        if np.array_equal(got, want, equal_nan=want.dtype.kind == "f"):
            continue
        exact, limit = False, 1e-12 if want.dtype == np.float64 else 1e-5
        if want.dtype.kind != "f" or not np.nanmax(abs(got - want)) <= limit * np.nanmax(abs(want)):
            return f"differs: {spec.name} is {got.reshape(-1)[:4]}, not {want.reshape(-1)[:4]}"
    return "same bits" if exact else "close"


def main() -> None:
    """All golden models with all compilers, one line for each that is not as it should be, then how many are."""
    for compiler in compilers():
        found: Counter[str] = Counter()
        for source in sorted((ROOT / "tests" / "exporters" / "golden").glob("*.onnx")):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    verdict = agree(compiler, source, Path(folder))
                except ExportError:
                    continue
                except CompilerError as error:
                    verdict = f"does not compile: {error}"
            found[verdict.partition(":")[0]] += 1
            if ":" in verdict:
                print(f"{compiler.name}: {source.stem}: {verdict}", flush=True)
        print(f"{compiler.name}: {dict(found)}", flush=True)


if __name__ == "__main__":
    main()
