"""A folder with rt-engine and what it needs, for a Python that the system brings: what the image and the Debian package have in /opt.

    wheel of `make wheels` --pip--> lib/python3.11/site-packages --slimmed, compiled--> PREFIX/
                                                                                          bin/python -> /usr/bin/python3.11
                                                                                          bin/rt-engine
                                                                                          pyvenv.cfg

No pip, no setuptools, no compiler, no tests of others: nothing is installed into it later. The Python that runs this decides for which
one the folder is; the folder is moved to its prefix afterwards, or made there.
"""

import argparse
import compileall
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PREFIX = Path("/opt/rt-engine")
EXTRAS = ("http", "metrics", "mqtt", "opcua")
"""What an installation on a machine has beyond the least: servers and links that a plant asks for, and figures for Prometheus."""
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
OURS = ("rt_native", "rt_engine", "fieldbus", "scheduler", "plc_bindings", "station")

NOT_NEEDED = {
    "**/tests": "tests of packages",
    "**/test": "tests of packages, the data of onnx's among them (13 MB)",
    "**/*.pyi": "types, for checkers",
    "**/*.pyx": "sources of compiled modules",
    "**/*.pxd": "sources of compiled modules",
    "**/*.c": "sources of compiled modules",
    "**/*.cc": "sources of compiled modules",
    "**/*.h": "sources of compiled modules",
    "**/*.a": "libraries for linking",
    "numpy/f2py": "writes Fortran wrappers",
    "pygments/lexers/[a-z]*.py": "languages to be coloured: nothing that is printed has one",
    "bin": "commands of packages",
}
"""Pattern below site-packages -> why nothing here misses it. Files of ours stay as the wheel has them."""
NEVER_IMPORTED = (
    *("benchmarks", "categories", "crypto", "diffgeom", "holonomic", "liealgebras", "physics", "sandbox", "stats"),
    *("testing", "vector"),
)
"""Fields of mathematics in sympy, which onnx-ir imports for sizes with names: sympy itself does not import these."""

SCRIPT = """\
#!{prefix}/bin/python -I
from station.cli import main

main()
"""


def make(wheel: Path, folder: Path, prefix: Path, extras: Sequence[str], has_sources: bool) -> None:
    """Make the folder, whole, for a life at `prefix`. `has_sources` False: other packages have byte code alone.

    Raises:
        subprocess.CalledProcessError: pip failed; its words are on stderr.
    """
    site = folder / "lib" / PYTHON / "site-packages"
    install(wheel, site, extras)
    slim(site)
    compiled(site, prefix / site.relative_to(folder), has_sources)
    program = folder / "bin"
    program.mkdir()
    (program / "python").symlink_to(f"/usr/bin/{PYTHON}")
    (program / "rt-engine").write_text(SCRIPT.format(prefix=prefix), encoding="utf-8")
    (program / "rt-engine").chmod(0o755)
    version = ".".join(map(str, sys.version_info[:3]))
    (folder / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {version}\n", encoding="utf-8"
    )


def install(wheel: Path, site: Path, extras: Sequence[str]) -> None:
    """The wheel, and the versions of other packages that the tests run with."""
    named = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
    constraints = [word for name in ("run", "test") for word in ("-c", str(ROOT / "requirements" / f"{name}.txt"))]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*command, "--only-binary", ":all:", "--target", str(site), *constraints, named], check=True)


def slim(site: Path) -> None:
    """Remove what nothing here needs."""
    ours = {site / name for name in OURS}
    found = [path for pattern in NOT_NEEDED for path in sorted(site.glob(pattern)) if not ours & set(path.parents)]
    kept = {"pygments/lexers/python.py"}
    for path in (*found, *(site / "sympy" / name for name in NEVER_IMPORTED)):
        if path.is_dir():
            shutil.rmtree(path)
        elif str(path.relative_to(site)) not in kept:
            path.unlink(missing_ok=True)


def compiled(site: Path, place: Path, has_sources: bool) -> None:
    """Byte code for all, which names files as they will be called: whoever runs it may not write it.

    It is checked against its source by content, not by time; ours always has its source, which says whether kernels fit.
    """
    for package in sorted(path for path in site.iterdir() if path.is_dir() or path.suffix == ".py"):
        is_alone = not has_sources and package.name not in OURS
        mode = (
            py_compile.PycInvalidationMode.UNCHECKED_HASH if is_alone else py_compile.PycInvalidationMode.CHECKED_HASH
        )
        how = {"quiet": 2, "invalidation_mode": mode, "legacy": is_alone}
        where = place / package.name
        if package.is_dir():
            compileall.compile_dir(package, ddir=str(where), maxlevels=20, **how)
        else:
            compileall.compile_file(package, ddir=str(where.parent), **how)
        if is_alone:
            for source in [package] if package.is_file() else sorted(package.rglob("*.py")):
                if source.with_suffix(".pyc").exists():  # what did not compile is for another Python, or a template
                    source.unlink()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tree.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path, help="wheel of make wheels, for this kind of machine")
    parser.add_argument("--to", type=Path, required=True, help="folder to make; nothing may be there")
    parser.add_argument("--prefix", type=Path, default=PREFIX, help="where it will be")
    parser.add_argument("--extras", default=",".join(EXTRAS), help="extras of rt-engine, with commas")
    parser.add_argument("--byte-code-only", action="store_true", help="no sources of other packages: a fifth smaller")
    asked = parser.parse_args(arguments)
    if asked.to.exists():
        sys.exit(f"{asked.to} is there already")
    extras = [name for name in asked.extras.split(",") if name]
    make(asked.wheel, asked.to, asked.prefix, extras, has_sources=not asked.byte_code_only)


if __name__ == "__main__":
    main()
