"""`make wheels`: one wheel for each kind of machine, with the native libraries of all its levels.

    this tree --setuptools--> a wheel of Python alone --+--> rt_engine-X.Y.Z-py3-none-manylinux_2_17_x86_64....whl
    objects of each level --rt_native.shipping----------+

Beside each wheel, and in it, lies what it is made of, in CycloneDX (`station.bom.release`; PEP 770).
Nothing of the time, the folder, the user or the order of files goes into it: the same sources and tools give the same bytes.
$SOURCE_DATE_EPOCH is the time of its files, where somebody wants one.
"""

import argparse
import base64
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rt_native import shipping
from rt_native.errors import NativeError
from rt_native.levels import EXACT, LEVELS, Level
from rt_native.levels import level as level_of
from rt_native.shipped import FOLDER
from rt_native.terminal import Terminal
from station.bom.document import SUFFIX, rendered
from station.bom.release import of_release
from station.commands.shared.explaining import say
from station.running.libraries import every

ROOT = Path(__file__).parents[1]
MACHINES = ("x86_64", "aarch64")
"""Kinds of machines that Python wheels are for."""
SHIPPED = {entry.name: entry for entry in (*LEVELS.values(), level_of(EXACT)) if entry.machine in MACHINES}
"""What they carry."""

_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
_DETAILS = ("pyproject.toml", "README.md", "LICENSE")
_MODE = 0o100644 << 16
_WORDS = 300
"""So much of what setuptools says at its end is passed on."""


def python_alone(root: Path = ROOT) -> tuple[str, dict[str, bytes]]:
    """The wheel that setuptools makes of a tree: (name and version as its file says them, file -> content).

    Raises:
        FileNotFoundError: the folder is no clone, and no unpacked sdist.
        RuntimeError: setuptools failed.
    """
    packages = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"][
        "find"
    ]["include"]
    with tempfile.TemporaryDirectory() as text:
        source = Path(text) / "source"
        for package in (name.rstrip("*") for name in packages):
            shutil.copytree(root / package, source / package, ignore=shutil.ignore_patterns("__pycache__", FOLDER.name))
        for name in _DETAILS:
            shutil.copy(root / name, source)
        command = [sys.executable, "-I", "-c", _BUILD, text]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
        if done.returncode:
            last = done.stderr.strip()[-_WORDS:]
            raise RuntimeError(
                f"setuptools made no wheel; `make develop` installs one that does (77 or newer):\n{last}"
            )
        path = Path(text) / done.stdout.splitlines()[-1]
        return "-".join(path.name.split("-")[:2]), contents(path.read_bytes())


def contents(wheel: bytes) -> dict[str, bytes]:
    """File -> content of a wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def wheel(name: str, python: Mapping[str, bytes], machine: str, libraries: Mapping[str, bytes]) -> tuple[str, bytes]:
    """(file name, content) of the wheel for a kind of machine."""
    major, minor = shipping.GLIBC
    tags = [f"manylinux_{major}_{minor}_{machine}", f"manylinux2014_{machine}"]
    information = f"{name}.dist-info"
    files = {path: data for path, data in python.items() if not path.endswith("/RECORD")}
    files |= {f"rt_native/{FOLDER.name}/{file}": data for file, data in libraries.items()}
    files[f"{information}/sboms/rt-engine{SUFFIX}"] = rendered(of_release(ROOT, files))
    text = files[f"{information}/WHEEL"].decode()
    text = re.sub(r"(?m)^Tag: .*\n", "", text.replace("Root-Is-Purelib: true", "Root-Is-Purelib: false")).rstrip("\n")
    files[f"{information}/WHEEL"] = (text + "".join(f"\nTag: py3-none-{tag}" for tag in tags) + "\n").encode()
    files[f"{information}/RECORD"] = _record(files, f"{information}/RECORD")
    return f"{name}-py3-none-{'.'.join(tags)}.whl", _zipped(files, information)


def _record(files: Mapping[str, bytes], itself: str) -> bytes:
    """The hashes by which pip checks what it installs."""

    def line(path: str, data: bytes) -> str:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        return f"{path},sha256={digest},{len(data)}\n"

    return ("".join(line(path, files[path]) for path in sorted(files)) + f"{itself},,\n").encode()


def _zipped(files: Mapping[str, bytes], information: str) -> bytes:
    """Sorted; the information last, as the wheel's format asks for, and RECORD behind it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(files, key=lambda path: (path.endswith("/RECORD"), path.startswith(information), path)):
            entry = zipfile.ZipInfo(path, _time())
            entry.external_attr = _MODE
            archive.writestr(entry, files[path], zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def _time() -> tuple[int, int, int, int, int, int]:
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    if seconds is None:
        return shipping.EPOCH
    year, month, day, hour, minute, second = time.gmtime(int(seconds))[:6]
    return max((year, month, day, hour, minute, second), shipping.EPOCH)


def make(folder: Path, levels: Iterable[Level]) -> list[Path]:
    """Write the wheels that have these levels; what is in them is said on standard output.

    Raises:
        BuildError: a level could not be compiled or linked.
        FileNotFoundError, RuntimeError: as `python_alone`.
    """
    name, python = python_alone()
    kinds: dict[str, list[Level]] = {}
    for level in levels:
        kinds.setdefault(level.machine, []).append(level)
    folder.mkdir(parents=True, exist_ok=True)
    paths, console = [], Terminal()
    for machine, its in kinds.items():
        made = []
        for level in its:
            made.append(shipping.made(level, every()))
            say(console, f"{level.name:<16} {len(made[-1].library) / 1024:6,.0f} KiB, {len(made[-1].content)} modules")
        file, data = wheel(name, python, machine, shipping.files(made))
        (folder / file).write_bytes(data)
        bill = (folder / file).with_suffix(SUFFIX)
        bill.write_bytes(rendered(of_release(ROOT, contents(data), data)))
        say(console, f"{folder / file}  {len(data) / 1024:,.0f} KiB  sha256 {hashlib.sha256(data).hexdigest()}")
        say(console, f"{bill}  what it is made of (CycloneDX)")
        paths.append(folder / file)
    return paths


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m station.wheels", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--machine", choices=MACHINES, action="append", help="only wheels for these; by default all")
    parser.add_argument("--level", choices=SHIPPED, action="append", help="only these levels in them; by default all")
    parser.add_argument("-o", "--output", type=Path, default=Path("dist"), help="folder of the wheels")
    asked = parser.parse_args(arguments)
    machines, names = asked.machine or MACHINES, asked.level or SHIPPED
    try:
        make(asked.output, [level for level in SHIPPED.values() if level.machine in machines and level.name in names])
    except (NativeError, FileNotFoundError, RuntimeError) as error:
        sys.exit(f"no wheel was made: {error}")


if __name__ == "__main__":
    main()
