"""The files of `rt_native.shipped`, made of objects that were compiled before: linked, their symbols checked, hashed.

Linking is the builder's alone, who needs `ld` for each kind of machine; who installs the wheel needs none.
"""

import io
import json
import platform
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rt_native.elf import undefined
from rt_native.errors import BuildError
from rt_native.levels import Level
from rt_native.library import Library
from rt_native.shipped import MANIFEST, digest

GLIBC = (2, 17)
"""The oldest that the wheel says it needs: of CentOS 7, the least that wheels can name for aarch64 as for x86-64."""
LIBC = frozenset(
    [
        *("memcpy", "memmove", "memset", "clock_gettime", "clock_nanosleep", "getrusage"),
        *("ppoll", "epoll_wait", "read", "write", "recv", "send", "ioctl", "__errno_location"),
        *("sem_init", "sem_post", "sem_wait"),  # in libpthread, which every Python has, until 2.34
    ]
)
"""All that native code may call; glibc 2.17 has each. A semaphore is only for helper threads outside of tasks."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of files in archives: none, so that the same content is the same bytes."""

_LLD = {"x86_64": "elf_x86_64", "aarch64": "aarch64linux"}
_PAGES = {"x86_64": 4096, "aarch64": 65536}
"""The largest pages of the kind's systems."""
_HOW = {"x86_64": "apt install binutils", "aarch64": "apt install binutils-aarch64-linux-gnu"}
_OPTIONS = (
    "-shared",
    "-s",
    "-Bsymbolic",
    "--hash-style=gnu",
    "--build-id=none",
    "-z",
    "noexecstack",
    "-z",
    "separate-code",
)
_BOUND = ("-z", "relro", "-z", "now")
"""Every symbol is found when it is loaded, none in the first cycle."""


@dataclass(frozen=True, slots=True)
class Made:
    """The native modules of one level: exports and object of each, and the shared object of all."""

    level: Level
    content: Mapping[str, tuple[Mapping[str, int], bytes]]
    sources: Mapping[str, Mapping[str, Path]]
    """Module -> what it was made of: name -> file."""
    library: bytes


def made(level: Level, libraries: Iterable[Library]) -> Made:
    """All modules of these libraries for a level; compiled, where they are not in the cache.

    Raises:
        BuildError: the compiler or the linker failed, there is no linker, or native code calls what it must not.
    """
    content: dict[str, tuple[Mapping[str, int], bytes]] = {}
    sources: dict[str, dict[str, Path]] = {}
    for library in libraries:
        content |= library.for_target(level.target).content()
        sources |= library.sources()
    content = dict(sorted(content.items()))
    if taken := sorted(LIBC.intersection(name for exports, _ in content.values() for name in exports)):
        raise BuildError(
            f"native code exports {', '.join(taken)}, which other native code would call in place of libc's; rename it"
        )
    return Made(level, content, sources, linked(level.machine, {name: data for name, (_, data) in content.items()}))


def files(levels: Sequence[Made]) -> dict[str, bytes]:
    """Name -> content, of all files in the folder.

    Raises:
        BuildError: the levels do not export the same functions.
    """
    root = Path(__file__).parent.parent
    reached = levels[0].sources
    sources = {str(path.relative_to(root)): path for found in reached.values() for path in found.values()}
    for name in ("levels.py", "machine.py"):
        sources[f"rt_native/{name}"] = root / "rt_native" / name
    modules = {
        name: {"exports": exports, "sources": sorted(str(path.relative_to(root)) for path in reached[name].values())}
        for name, (exports, _) in levels[0].content.items()
    }
    data: dict[str, bytes] = {}
    entries = []
    for one in levels:
        differ = [name for name, (exports, _) in one.content.items() if exports != modules[name]["exports"]]
        if differ or one.content.keys() != modules.keys():
            raise BuildError(
                f"level {one.level.name} exports other functions than {levels[0].level.name} from "
                f"{', '.join(differ) or 'other modules'}: whoever calls them must find the same in each"
            )
        own = {"library": (f"{one.level.name}.so", one.library), "objects": (f"{one.level.name}.zip", _zipped(one))}
        data |= dict(own.values())
        told = {kind: {"file": file, "sha256": digest(content)} for kind, (file, content) in own.items()}
        entries.append({"name": one.level.name, "target": asdict(one.level.target), **told})
    hashes = {name: digest(path.read_bytes()) for name, path in sorted(sources.items())}
    manifest = {"levels": entries, "sources": hashes, "modules": modules}
    return {**data, MANIFEST: json.dumps(manifest, indent=1, sort_keys=True).encode()}


def _zipped(one: Made) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, (_, data) in one.content.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.o", EPOCH), data, zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def linked(machine: str, objects: Mapping[str, bytes]) -> bytes:
    """The shared object that some object files make.

    Raises:
        BuildError: no linker, or its words; a symbol is defined twice; one is needed that is no function of `LIBC`.
    """
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for name, data in objects.items():
            (folder / f"{name}.o").write_bytes(data)
        command = [*_linker(machine), *_OPTIONS, *_BOUND, "-z", f"max-page-size={_PAGES[machine]}", "-o", "made.so"]
        done = subprocess.run(
            [*command, *(f"{name}.o" for name in objects)], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BuildError(f"{command[0]} could not link the native modules for {machine}:\n{done.stderr.strip()}")
        data = (folder / "made.so").read_bytes()
    if wrong := sorted(undefined(data) - LIBC):
        raise BuildError(f"native code calls {', '.join(wrong)}: a wheel may only call {', '.join(sorted(LIBC))}")
    return data


def _linker(machine: str) -> list[str]:
    for name in (f"{machine}-linux-gnu-ld", *(["ld"] if machine == platform.machine() else [])):
        if found := shutil.which(name):
            return [found]
    if found := shutil.which("ld.lld"):
        return [found, "-m", _LLD[machine]]
    raise BuildError(f"to make a wheel for {machine} a linker is needed, and here is none: {_HOW[machine]} (or lld)")
