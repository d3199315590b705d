"""The machine that we are on, as a target of native code: itself where LLVM is there to ask, else the best level that it fits.

`RT_ENGINE_LEVEL=NAME` chooses a level (`rt_native.levels`) that this machine can run in place of the machine itself: what another
one will compute, and how fast, can be seen here. `RT_ENGINE_ARITHMETIC=fast` or `exact` chooses how x86-64-v2 adds products; a machine
with fused multiply-add has its own arithmetic, and no choice.
"""

import os
from dataclasses import replace
from functools import cache

from rt_native.errors import UnsupportedCpu
from rt_native.features import host_architecture, host_features
from rt_native.levels import LEVELS, NATIVE, Level, fitting, level
from rt_native.machine import ARITHMETICS as ARITHMETICS
from rt_native.machine import LANE_WIDTHS as LANE_WIDTHS
from rt_native.machine import Target as Target
from rt_native.processor import processor_name

_ARM_DOTS = ("dotprod", "i8mm")
"""Features that kernels look for in a target (`rt_native.dot`), and that the list which LLVM gives of an Arm processor may lack."""

LEVEL = "RT_ENGINE_LEVEL"
"""The variable that names a level."""
ARITHMETIC = "RT_ENGINE_ARITHMETIC"
"""The variable that names an arithmetic for a processor without FMA."""


def host(lanes: int | None = None) -> Target:
    """The machine that we are on, with its widest vectors or narrower ones.

    Raises:
        UnsupportedCpu: no level fits, the one that $RT_ENGINE_LEVEL names does not, $RT_ENGINE_ARITHMETIC is none, or `lanes` is wider
            than the processor.
    """
    return _host(lanes, os.environ.get("RT_ENGINE_LEVEL", NATIVE), os.environ.get("RT_ENGINE_ARITHMETIC", ""))


@cache
def _host(lanes: int | None, name: str, arithmetic: str) -> Target:
    if arithmetic not in ("", "fast", "exact"):
        raise UnsupportedCpu(
            f"{ARITHMETIC}={arithmetic}: it is fast ({ARITHMETICS['fast']}) or exact ({ARITHMETICS['exact']})"
        )
    best = _best()
    whole = _of_this_processor(best) if name == NATIVE else _asked_for(name).target
    if arithmetic and whole.arithmetic != "fused":
        whole = replace(whole, arithmetic=arithmetic)
    lanes = lanes or whole.lanes
    if lanes not in LANE_WIDTHS or lanes > whole.lanes:
        raise UnsupportedCpu(
            f"{lanes} lanes asked for; this processor has {[w for w in LANE_WIDTHS if w <= whole.lanes]}"
        )
    return whole if lanes == whole.lanes else Target(whole.triple, "x86-64-v3", "", lanes)


def _best() -> Level:
    if found := fitting(host_architecture(), host_features()):
        return found[0]
    kind = [entry for entry in LEVELS.values() if entry.machine == host_architecture()]
    if not kind:
        raise UnsupportedCpu(
            f"there are no kernels for a processor of the kind {host_architecture()!r}; there are for x86_64, aarch64"
        )
    if not host_features():
        raise UnsupportedCpu(
            "what this processor can do is not known: the system says nothing in /proc/cpuinfo (nor, on Arm, in /proc/self/auxv); "
            "mount it: mount -t proc proc /proc"
        )
    raise UnsupportedCpu(
        f"the processor {processor_name()} has no {', '.join(_lacks(kind[0]))}; the least that the kernels need is {kind[0].name} "
        "(Intel since Nehalem, its Atoms since Silvermont, AMD since Bulldozer; or any 64-bit Arm)"
    )


def _lacks(entry: Level) -> list[str]:
    return [name for name in entry.required if name not in host_features()]


def _asked_for(name: str) -> Level:
    try:
        entry = level(name)
    except UnsupportedCpu as error:
        raise UnsupportedCpu(f"{LEVEL}={name}: {error}") from None
    kind, fits = entry.machine == host_architecture(), fitting(host_architecture(), host_features())
    if kind and not _lacks(entry):
        return entry
    why = f"has no {', '.join(_lacks(entry))}" if kind else f"is of the kind {host_architecture()}"
    runs = ", ".join(other.name for other in fits)
    raise UnsupportedCpu(f"{LEVEL}={name}: the processor {processor_name()} {why}; it runs {runs}, {NATIVE}")


def _of_this_processor(best: Level) -> Target:
    """Itself with all that it has, where there is a compiler and it is more than a level: AVX-512, 64-bit Arm."""
    if best.machine == "x86_64" and best.target.lanes < 16:
        return best.target
    try:
        import llvmlite.binding as llvm
    except ImportError:
        return best.target
    own = [f"+{name}" for name in _ARM_DOTS if name in host_features()]
    features = ",".join([llvm.get_host_cpu_features().flatten(), *own])
    return replace(best.target, cpu=llvm.get_host_cpu_name(), features=features)


def _enabled(target: Target) -> frozenset[str]:
    return frozenset(feature[1:] for feature in target.features.split(",") if feature.startswith("+"))


def native() -> Level:
    """The machine that we are on, as a level.

    Raises:
        UnsupportedCpu: as `host`.
    """
    target = host()
    same = next((entry for entry in LEVELS.values() if entry.target.cpu == target.cpu), None)
    return Level(NATIVE, target, (*(same.required if same else ()), *sorted(_enabled(target))))


def is_foreign(target: Target) -> bool:
    """Is the target another kind of processor than the one we are on, or one with wider vectors or features that it lacks?"""
    ours = host()
    if ours.arithmetic != "fused" and target.arithmetic == "fused":
        return True
    if target.triple.partition("-")[0] != ours.triple.partition("-")[0] or target.lanes > ours.lanes:
        return True
    return not _enabled(target) <= _enabled(ours) | host_features()
