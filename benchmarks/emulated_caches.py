"""What the pieces that `rt-engine tune` chooses among do on processors with other caches: misses, counted in a simulation.

    python -m benchmarks.emulated_caches [MODEL...]         # Linux on x86-64, from a checkout, with valgrind and a C compiler

valgrind's cachegrind counts what one run of a model misses in a first and in a last cache of the sizes of `CACHES`, with the kernels
of x86-64-v3 in a C program, for what a program says and for each alternative (`rt_engine.tune.alternatives`) in all records that it
means something for. The figures are exact and repeat. They are misses, not times: nothing is fetched ahead, there is no third cache,
and no neighbour.
"""

import argparse
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import rt_engine
from benchmarks.zoo import entry
from plc_bindings.c.export import kernels
from rt_engine.program.program import Program
from rt_engine.program.rtp_file import write
from rt_engine.run.chosen import Pieces, told, with_pieces
from rt_engine.tune.alternatives import ALTERNATIVES, applicable
from rt_native.levels import level
from rt_native.terminal import Column, Sheet, Terminal
from tests.plc_bindings.c.toolchain import Toolchain, compile_c, run

CACHES = {
    "24 KB, 512 KB": ("24576,6,64", "524288,8,64"),
    "32 KB, 256 KB": ("32768,8,64", "262144,4,64"),
}
"""First and last cache, as cachegrind takes them: an Atom E3900 all of whose cores are busy (an N100: 32 KB), a Core of up to 2018."""
_FAR = 10
"""What a miss of the last cache costs, in misses of the first: memory is about ten times as far as the second cache."""
MODELS = ("ds-cnn", "resnet-8", "mobilenet", "esc-50", "speech-denoiser", "transformer", "lstm-2x64")


def versions(program: Program) -> Iterator[tuple[Pieces, Program]]:
    """What the program says, then each alternative that means something for one of its records."""
    known = dict(told(program))
    for pieces, applies in zip(ALTERNATIVES, applicable(program), strict=True):
        if pieces == Pieces():
            yield pieces, program
        elif applies.any():
            chosen = [(int(i), known[int(i)], pieces) for i in np.flatnonzero(applies)]
            yield pieces, replace(program, records=with_pieces(program, chosen))


def _totals(tool: Path, model: Path, runs: int, caches: tuple[str, str]) -> tuple[int, int]:
    """What a program that runs a model so many times misses in the first and in the last cache, with all that it does before."""
    command = ("--tool=cachegrind", "--cache-sim=yes", "--cachegrind-out-file=/dev/null")
    text = run("valgrind", *command, f"--D1={caches[0]}", f"--LL={caches[1]}", tool, model, runs).stderr
    first, last = (re.findall(rf"{name} +misses: +([\d,]+)", text)[0].replace(",", "") for name in ("D1", "LLd"))
    return int(first), int(last)


def misses(tool: Path, model: Path, caches: tuple[str, str]) -> tuple[int, int]:
    """What a second run misses in the first and in the last cache."""
    one, two = (_totals(tool, model, runs, caches) for runs in (1, 2))
    return two[0] - one[0], two[1] - one[1]


def counted(name: str, program: Program, tool: Path, folder: Path, sheet: Sheet) -> None:
    """The rows of one model: one for each of `CACHES`."""
    files: list[tuple[Pieces, Path]] = []
    for pieces, version in versions(program):
        files.append((pieces, folder / f"{name}-{pieces.block}-{pieces.cut}.rtp"))
        write(version, files[-1][1])
    for kind, caches in CACHES.items():
        found = [(pieces, *misses(tool, file, caches)) for pieces, file in files]
        _, first, last = found[0]
        pieces, fewer_first, fewer = min(found, key=lambda one: one[1] + _FAR * one[2])
        best = f"block {pieces.block}, cut {pieces.cut}" if pieces != Pieces() else "what the program says"
        ratios = (f"{few / many:.2f}" if many else "-" for few, many in ((fewer_first, first), (fewer, last)))
        sheet.add(name, kind, f"{first:,}", f"{last:,}", best, *ratios)


def _file(name: str) -> Path:
    return Path(name) if name.endswith(".onnx") else entry(name).get().path


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emulated_caches", description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, help="names in the zoo, or .onnx files")
    arguments = parser.parse_args()
    names = (
        "model",
        "caches",
        "misses of the first",
        "of the last",
        "least with",
        "first, ratio",
        "last, ratio",
    )
    sheet = Sheet([Column(name) for name in names])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        programs = {Path(name).stem: rt_engine.load(_file(name)).program for name in arguments.models}
        wanted = {kernel for program in programs.values() for kernel in program.kernels}
        tools = Toolchain(folder / "library", kernels(level("x86-64-v3"), wanted))
        unit = compile_c(Path(__file__).with_suffix(".c"), folder / "main.o")
        tool = folder / "main"
        run("gcc", unit, *tools.objects, "-o", tool, "-pthread")
        for name, program in programs.items():
            counted(name, program, tool, folder, sheet)
    Terminal().print(sheet)


if __name__ == "__main__":
    main()
