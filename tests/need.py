"""What tests need that a machine may lack: programs, C libraries, packages. `python3 -m tests.need` lists Debian's for it.

Where it is missing the test is skipped, with the command that installs it. With CI=true it fails: a gate that passes has tried all.
"""

import importlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

PROGRAMS: Final = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
    "ar": "binutils",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "cmake": "cmake make",
    "cyclictest": "rt-tests",
    "docker-registry": "docker-registry",
    "dpkg-deb": "dpkg",
    "g++": "g++",
    "gcc": "gcc libc6-dev",
    "ip": "iproute2",
    "ld": "binutils",
    "mbpoll": "mbpoll",
    "mosquitto": "mosquitto mosquitto-clients",
    "node": "nodejs",
    "npm": "npm",
    "objdump": "binutils",
    "openssl": "openssl",
    "pkg-config": "pkg-config",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user",
    "skopeo": "skopeo",
    "socat": "socat",
    "strace": "strace",
    "systemd-analyze": "systemd",
    "tshark": "tshark",
    "valgrind": "valgrind libc6-dbg",
}
"""Name -> Debian's packages."""
LIBMODBUS: Final = Path("/usr/include/modbus/modbus.h"), "libmodbus-dev"


def lacking(what: str, how: str) -> NoReturn:
    """Skip the test, or fail it where CI=true. `how` is the command that would help."""
    import pytest

    why = f"needs {what}: {how}"
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(why)
    pytest.fail(f"{why} (with CI=true nothing may be missing)", pytrace=False)


def program(name: str) -> str:
    """Where a program is. Tests that cannot do without say so in their mark: `@pytest.mark.peer("gcc")`."""
    return shutil.which(name) or lacking(name, f"apt-get install {PROGRAMS[name]}")


def package(name: str) -> Any:
    """A module of a package that is not for every machine."""
    try:
        return importlib.import_module(name)
    except ImportError:
        lacking(name, f"pip install {name.partition('.')[0].replace('_', '-')}")


@cache
def on_libmodbus(source: Path) -> str:
    """A C program that uses libmodbus, compiled."""
    header, packages = LIBMODBUS
    compiler = program("gcc")
    if not header.exists():
        lacking("libmodbus", f"apt-get install {packages}")
    made = Path(tempfile.mkdtemp()) / source.stem
    subprocess.run([compiler, "-O1", f"-I{header.parent}", "-o", made, source, "-lmodbus"], check=True)
    return str(made)


def missing() -> list[str]:
    """Debian's packages for what this machine lacks."""
    wanted = [packages for name, packages in PROGRAMS.items() if shutil.which(name) is None]
    return [*wanted, *([] if LIBMODBUS[0].exists() else [LIBMODBUS[1]])]


if __name__ == "__main__":
    print(*missing())
