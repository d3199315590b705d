"""Builds the C library and the test programs with the machine's compilers, from this library's kernels."""

import subprocess
from functools import cache
from pathlib import Path

from plc_bindings.c import FOLDER, SOURCES
from plc_bindings.c.export import Kernels, kernels
from rt_native.levels import level
from rt_native.target import host

HERE = Path(__file__).parent
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-O2", "-g", f"-I{FOLDER}")
LIBRARY = [FOLDER / name for name in SOURCES if name.endswith(".c")]
THREAD_SANITIZE = ("-fsanitize=thread", "-fno-omit-frame-pointer")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


@cache
def v3() -> Kernels:
    """Kernels that every machine of this kind runs; on x86-64 those of level 3, as valgrind knows no AVX-512."""
    return kernels(level("x86-64-v3" if "x86_64" in host().triple else "aarch64"))


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
        made: the kernels.
        flags: of compiler and linker.
        twin: a C file that takes the place of an object of the kernels: the linker finds its functions first.
    """

    def __init__(self, folder: Path, made: Kernels, flags: tuple[str, ...] = (), twin: str | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.flags = folder, flags
        (folder / "kernels.c").write_text(made.table)
        (folder / "kernels.a").write_bytes(made.archive)
        sources = [*LIBRARY, folder / "kernels.c", *([HERE / twin] if twin else [])]
        parts = [compile_c(s, folder / f"{s.stem}.o", "-fPIC", *flags) for s in sources]
        self.objects = (*parts, folder / "kernels.a")

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
