"""Builds the C library and the test programs with the machine's compilers, from this library's kernels."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from plc_bindings.c import FOLDER
from plc_bindings.c.table import kernel_table, required
from rt_engine.native import library
from rt_native.library import Library
from rt_native.target import host

HERE = Path(__file__).parent
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-O2", "-g", f"-I{FOLDER}")
LIBRARY = [FOLDER / name for name in ("rt_load.c", "rt_engine.c", "rt_slot.c", "rt_cpu.c")]
THREAD_SANITIZE = ("-fsanitize=thread", "-fno-omit-frame-pointer")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


def needs(*programs: str) -> list[pytest.MarkDecorator]:
    """Marks of tests that run programs which are not everywhere."""
    missing = [p for p in programs if not shutil.which(p)]
    why = f"no {', '.join(missing)}: apt-get install {' '.join(missing)}"
    return [pytest.mark.peer, pytest.mark.skipif(bool(missing), reason=why)]


def v3() -> Library:
    """Kernels for x86-64-v3 (8 lanes; NEON's 4 elsewhere): what valgrind knows, and every machine runs."""
    return library(host(8 if "x86_64" in host().triple else 4))


@cache
def objects(kernels: Library) -> tuple[Path, ...]:
    """The kernels' object files."""
    return tuple(kernels.build().values())


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a program; its output is in the failure's message."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=240, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, (
        f"{command[0]} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-6000:]}"
    )
    return done  # type: ignore[no-any-return]


def compile_c(source: Path, output: Path, *flags: str) -> Path:
    """One C11 file to an object file."""
    run("gcc", "-std=c11", *STRICT, *flags, "-c", source, "-o", output)
    return output


class Toolchain:
    """The library's objects in a folder, compiled with some flags; programs are linked with them.

    Args:
        folder: where.
        kernels: to be linked.
        flags: of compiler and linker.
        features: what a processor must have; by default what the kernels were built for.
        twin: a C file that takes the place of `slot_native`.
    """

    def __init__(
        self,
        folder: Path,
        kernels: Library,
        flags: tuple[str, ...] = (),
        features: tuple[str, ...] | None = None,
        twin: str | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.flags = folder, flags
        listed = folder / "kernels.c"
        needed = required(kernels.target) if features is None else features
        listed.write_text(kernel_table(kernels.exports, kernels.target.cpu, needed))
        parts = [compile_c(s, folder / f"{s.stem}.o", "-fPIC", *flags) for s in (*LIBRARY, listed)]
        native = objects(kernels)
        if twin is not None:
            parts.append(compile_c(HERE / twin, folder / "twin.o", *flags))
            native = tuple(o for o in native if not o.name.startswith("slot_native"))
        self.objects = (*parts, *native)

    def program(self, source: str, *flags: str) -> Path:
        """An executable of one of this folder's C files, with the whole library in it; built once."""
        output = self.folder / Path(source).stem
        if output.exists():
            return output
        unit = compile_c(HERE / source, self.folder / f"{Path(source).stem}.main.o", *self.flags)
        run("gcc", *self.flags, *flags, unit, *self.objects, "-o", output, "-pthread")
        return output

    def shared(self) -> Path:
        """The shared library, stripped: what is deployed."""
        output = self.folder / "librt_engine.so"
        script = f"-Wl,--version-script={FOLDER / 'rt_engine.map'}"
        run("gcc", "-shared", "-s", "-Wl,--no-undefined", script, *self.flags, *self.objects, "-o", output, "-pthread")
        return output
