"""Writes the C file that tells the library about its kernels (`rt_kernels.h`), and what processor they need.

Library("kernels", ..., target)   --exports-->  k_add_f32, k_relu_f32, execute, ...
                                  --target--->  "x86-64-v3": avx, avx2, fma, ...
kernel_table(...)                 -->  const rte_kernel rte_kernels[] = {{"add_f32", k_add_f32}, ...
"""

import re
from collections.abc import Iterable

from plc_bindings.c import FOLDER
from rt_engine.kernels.names import KERNEL_PREFIX
from rt_native.target import Target

_V2 = ("cx16", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3")
_V3 = (*_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_V4 = (*_V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")

LEVELS = {"x86-64-v2": _V2, "x86-64-v3": _V3, "x86-64-v4": _V4}
"""Level of the x86-64 psABI -> the instructions it stands for, in LLVM's words."""


def known_features() -> frozenset[str]:
    """The features that `rt_cpu.c` can look for; the rest (virtualisation, caches, counters) no kernel uses."""
    return frozenset(re.findall(r'^    \{"([\w.]+)", ', (FOLDER / "rt_cpu.c").read_text(), re.M))


def required(target: Target) -> tuple[str, ...]:
    """What a processor must have to run objects that were built for `target`."""
    named = {name for name in re.findall(r"\+([\w.-]+)", target.features) if name in known_features()}
    return tuple(sorted(named | set(LEVELS.get(target.cpu, ()))))


def kernel_table(exports: Iterable[str], level: str, features: Iterable[str]) -> str:
    """The file's text.

    Args:
        exports: symbols of the kernels' objects; those that are no kernels are left out.
        level: what they were built for, for messages.
        features: what a processor must have, as `required` gives it.
    """
    names = sorted(name.removeprefix(KERNEL_PREFIX) for name in exports if name.startswith(KERNEL_PREFIX))
    needed = "".join(f'"{feature}", ' for feature in features)
    lines = [
        "/* The library's kernels, by name. Generated. */",
        '#include "rt_kernels.h"',
        "",
        *(f"int64_t {KERNEL_PREFIX}{name}(int64_t, int64_t);" for name in names),
        "",
        "const rte_kernel rte_kernels[] = {",
        *(f'    {{"{name}", {KERNEL_PREFIX}{name}}},' for name in names),
        "};",
        "const size_t rte_kernel_count = sizeof rte_kernels / sizeof *rte_kernels;",
        f'const char *const rte_kernel_level = "{level}";',
        f"const char *const rte_kernel_features[] = {{{needed}NULL}};",
    ]
    return "\n".join([*lines, ""])
