"""Named levels: machines that native code is compiled for whatever machine we are on.

    x86-64-v2         SSE4.2: Intel since Nehalem (2008), its Atoms up to x6000E, AMD since Bulldozer   4 lanes
    x86-64-v3         AVX2, FMA: Intel since Haswell (2013), AMD since Excavator                8 lanes
    x86-64-v3-vnni    and AVX-VNNI: Intel since Alder Lake, its N and x7000E series too         8 lanes
    x86-64-v4         AVX-512: Intel servers since Skylake                                     16 lanes
    x86-64-v4-vnni    and VNNI: Intel servers since Cascade Lake, AMD since Zen 4              16 lanes
    aarch64           any 64-bit Arm: Cortex-A53, A72                                           4 lanes
    aarch64-dotprod   and dot products: Cortex-A55, A76 and later                               4 lanes
    armv7             32-bit Arm with NEON and VFPv4: Cortex-A7, A15, A17; in C alone             4 lanes
    native            the machine that we are on

x86-64-v2 has no fused multiply-add, by which every other level rounds its sums. So it has two arithmetics (`rt_native.machine`):
`fast`, with bits of its own, and `exact`, with the bits of all others, which is the level x86-64-v2-exact.
"""

from collections.abc import Set
from dataclasses import dataclass, replace

from rt_native.errors import UnsupportedCpu
from rt_native.machine import Target

_V2 = ("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "cx16")
_V3 = (*_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_X86, _ARM64 = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
_ARM32 = "armv7-unknown-linux-gnueabihf"

EXACT = "x86-64-v2-exact"
"""x86-64-v2 with the bits of all others: chosen by its name, never by itself."""
NATIVE = "native"
"""The name of the machine that we are on, as a level: `rt_native.target.native`."""


@dataclass(frozen=True, slots=True)
class Level:
    """A machine with a name."""

    name: str
    target: Target
    required: tuple[str, ...]
    """Features, in LLVM's words, that a processor must have."""

    @property
    def machine(self) -> str:
        """First part of the triple: x86_64, aarch64, armv7."""
        return self.target.triple.partition("-")[0]


LEVELS = {
    level.name: level
    for level in (
        Level("x86-64-v2", Target(_X86, "x86-64-v2", "", 4, "fast"), _V2),
        Level("x86-64-v3", Target(_X86, "x86-64-v3", "", 8), _V3),
        Level("x86-64-v3-vnni", Target(_X86, "x86-64-v3", "+avxvnni", 8), (*_V3, "avxvnni")),
        Level("x86-64-v4", Target(_X86, "x86-64-v4", "", 16), _V4),
        Level("x86-64-v4-vnni", Target(_X86, "x86-64-v4", "+avx512vl,+avx512vnni", 16), (*_V4, "avx512vnni")),
        Level("aarch64", Target(_ARM64, "generic", "+neon", 4), ("neon",)),
        Level("aarch64-dotprod", Target(_ARM64, "generic", "+neon,+dotprod", 4), ("neon", "dotprod")),
        Level(
            "armv7",
            Target(_ARM32, "generic", "+neon,+vfp4,+hwdiv,+hwdiv-arm", 4),
            ("neon", "vfp4", "hwdiv", "hwdiv-arm"),
        ),
    )
}
"""Every level that a machine is given; of one kind of machine, a later one is better."""


def fitting(machine: str, features: Set[str]) -> list[Level]:
    """The levels that a processor can run, best first; none, if it lacks what the least of its kind asks for.

    Args:
        machine: x86_64, aarch64, armv7, as `rt_native.features.host_architecture` says it.
        features: in LLVM's words, as `rt_native.features.host_features` says them.
    """
    return [
        entry for entry in reversed(LEVELS.values()) if entry.machine == machine and features >= set(entry.required)
    ]


def level(name: str) -> Level:
    """The level with this name.

    Raises:
        UnsupportedCpu: there is none.
    """
    if name in LEVELS:
        return LEVELS[name]
    if name == EXACT:
        fast = LEVELS["x86-64-v2"]
        return replace(fast, name=EXACT, target=replace(fast.target, arithmetic="exact"))
    raise UnsupportedCpu(f"there is no level '{name}'; there is {', '.join(LEVELS)}, {EXACT}, {NATIVE}")
