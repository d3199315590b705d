"""What a C or C++ project needs to run compiled programs, as files: `rt-engine export c`.

DIR/README.txt           what is here, how it is built
    CMakeLists.txt       targets rt_engine (shared), rt_engine_static, example
    cmake/               what find_package and pkg-config read, once it is installed
    include/             what a user includes
    src/                 loader, contexts, hot update: plain C11
    kernels/LEVEL.a      the kernels, compiled for a kind of processor
    kernels/LEVEL.c      their table
    example/             a control loop with a hot update
    models/NAME.rtp      compiled models
    include/NAME_names.h what the numbers of its tensors stand for, where it has names for them
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from plc_bindings.c import EXAMPLE, FOLDER, HEADERS, SOURCES
from plc_bindings.c.project import CMAKE_FILES, cmake, readme
from plc_bindings.data.enumerations import enumerations
from plc_bindings.data.types import identifier
from rt_engine.kernels.interface.abi import KERNEL_PREFIX
from rt_engine.kernels.interface.later import KNOWN
from rt_engine.program.program import Program
from rt_engine.program.rtp_file import write
from rt_engine.run.native import KERNELS, modules
from rt_native import version
from rt_native.archive import archive
from rt_native.levels import Level
from rt_native.levels import level as level_of
from rt_native.library import Library
from rt_native.target import native

ALWAYS = ("execute", "slot_pick", "slot_withdraw", "state_is_finite")
"""What the C sources call by name."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """The kernels of one level: the archive, and how many are in its table."""

    level: Level
    archive: bytes
    table: str
    count: int


def running() -> Level:
    """The level of the kernels that run here: one that came with the wheel, of which nothing is compiled; else this machine's own."""
    ready = KERNELS.shipped()
    return replace(level_of(ready.level.name), target=ready.level.target) if ready else native()


def kernels(level: Level, wanted: Iterable[str] | None = None) -> Kernels:
    """The kernels of a level; all, or those that are named. Only what has them is built: for others the modules, for this machine
    single kernels, and what it has compiled already is taken.

    Raises:
        NoCompilerError: the wheel has no kernels for this level, and nothing can be compiled here; it says which it has.
        BuildError: the compiler failed.
        ValueError: a name is no kernel.
    """
    home = KERNELS.homes()
    every = {name.removeprefix(KERNEL_PREFIX) for name in home if name.startswith(KERNEL_PREFIX)}
    names = sorted(every if wanted is None else set(wanted))
    if unknown := set(names) - every:
        raise ValueError(f"there are no kernels {', '.join(sorted(unknown))}")
    exports = (*(KERNEL_PREFIX + name for name in names), *ALWAYS)
    own = wanted is not None and level.target == KERNELS.target
    members = KERNELS.pieces(exports) if own else {}
    members = members or _modules(level, {home[name] for name in exports})
    return Kernels(level, archive(members), _table(level, names), len(names))


def _modules(level: Level, needed: Container[str]) -> dict[str, tuple[dict[str, int], bytes]]:
    """Member -> object of each module that is needed."""
    built = Library("kernels", tuple(m for m in modules() if m in needed), level.target)
    return {f"{module.rpartition('.')[2]}.o": made for module, made in built.content().items()}


def _table(level: Level, names: Sequence[str]) -> str:
    """The C file that tells the loader about the kernels; sorted as strcmp sorts."""
    declared = "".join(f"int64_t {KERNEL_PREFIX}{name}(int64_t, int64_t);\n" for name in names)
    runs = {name: KERNEL_PREFIX + name for name in names} | dict.fromkeys(KNOWN, "NULL")
    entries = "".join(f'    {{"{name}", {run}}},\n' for name, run in sorted(runs.items()))
    features = "".join(f'"{name}", ' for name in known_features(level))
    return (
        f"/* The kernels of this library, for {level.name}. Generated; not to be edited. */\n"
        f'#include "rt_kernels.h"\n\n{declared}\n'
        f"const rte_kernel rte_kernels[] = {{\n{entries}}};\n"
        f"const size_t rte_kernel_count = {len(runs)};\n"
        f'const char *const rte_library_version = "{version.TEXT}";\n'
        f'const char *const rte_kernel_level = "{level.name}";\n'
        f"const char *const rte_kernel_features[] = {{{features}NULL}};\n"
    )


def known_features(level: Level) -> list[str]:
    """The features of a level that `rt_cpu.c` can ask a processor about."""
    told = re.findall(r'^\s*\{"([\w.-]+)", ', (FOLDER / "rt_cpu.c").read_text(encoding="utf-8"), re.M)
    return [name for name in dict.fromkeys(level.required) if name in told]


def export(folder: Path, libraries: Sequence[Kernels], models: Mapping[str, Program]) -> list[Path]:
    """Write everything to a folder; gives the files in it."""
    names = [made.level.name for made in libraries]
    texts = {f"include/{name}": (FOLDER / name).read_text(encoding="utf-8") for name in HEADERS}
    texts |= {f"src/{name}": (FOLDER / name).read_text(encoding="utf-8") for name in SOURCES}
    texts |= {f"kernels/{made.level.name}.c": made.table for made in libraries}
    texts |= {f"example/{EXAMPLE}": (FOLDER / EXAMPLE).read_text(encoding="utf-8")}
    texts |= CMAKE_FILES
    texts |= {"CMakeLists.txt": cmake([made.level for made in libraries]), "README.txt": readme(names, list(models))}
    data = {name: text.encode() for name, text in texts.items()}
    headers: list[Path] = []
    data |= {f"kernels/{made.level.name}.a": made.archive for made in libraries}
    for name, content in data.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name, program in models.items():
        if header := _names(name, program):
            path = folder / "include" / f"{identifier(name)}_names.h"
            path.write_text(header, encoding="utf-8")
            headers.append(path)
        (folder / "models").mkdir(exist_ok=True)
        write(program, folder / "models" / f"{name}.rtp")
    return [*(folder / name for name in (*data, *(f"models/{name}.rtp" for name in models))), *headers]


def _names(name: str, program: Program) -> str:
    """The header of what the numbers of a model's tensors stand for; "" where it has no names."""
    specs = [place.spec for place in program.inputs], [place.spec for place in program.outputs]
    lines = []
    for tensor, entries in enumerations(program.naming, *specs).items():
        lines.append(f"/* {_comment(tensor)} */\nenum {{\n")
        prefix = f"{identifier(name)}_{identifier(tensor)}"
        lines += [f"    {prefix}_{entry} = {number}, /* {_comment(text)} */\n" for entry, number, text in entries]
        lines.append("};\n")
    if not lines:
        return ""
    guard = f"{identifier(name).upper()}_NAMES_H"
    head = f"/* What the numbers of {_comment(name)}'s tensors stand for. Generated; not to be edited. */\n"
    return f"{head}#ifndef {guard}\n#define {guard}\n\n{''.join(lines)}\n#endif\n"


def _comment(text: str) -> str:
    plain = "".join(c if c.isprintable() else "?" for c in text[:_SHOWN].encode("ascii", "replace").decode())
    return plain.replace("*/", "x/").replace("/*", "/x").replace("\\", "/")


_SHOWN = 80
