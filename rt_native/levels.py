"""Named levels: machines that native code is compiled for whatever machine we are on.

    x86-64-v3   AVX2, FMA: Intel since Haswell (2013), AMD since Excavator      8 lanes
    x86-64-v4   AVX-512: Intel servers since Skylake, AMD since Zen 4          16 lanes
    aarch64     any 64-bit Arm                                                  4 lanes
    native      the machine that we are on

x86-64-v2 has no fused multiply-add. Every sum of a program is rounded as FMA rounds it, so that all machines give the same bits;
in software that takes about twenty instructions for one, so such a processor is refused, not served slowly.
"""

from dataclasses import dataclass

from rt_native.errors import UnsupportedCpu
from rt_native.target import Target, host

_V3 = (
    "sse3",
    "ssse3",
    "sse4.1",
    "sse4.2",
    "popcnt",
    "cx16",
    "avx",
    "avx2",
    "bmi",
    "bmi2",
    "f16c",
    "fma",
    "lzcnt",
    "movbe",
)
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")

NATIVE = "native"


@dataclass(frozen=True, slots=True)
class Level:
    """A machine with a name."""

    name: str
    target: Target
    required: tuple[str, ...]
    """Features, in LLVM's words, that a processor must have."""

    @property
    def machine(self) -> str:
        """First part of the triple: x86_64, aarch64."""
        return self.target.triple.partition("-")[0]


LEVELS = {
    level.name: level
    for level in (
        Level("x86-64-v3", Target("x86_64-unknown-linux-gnu", "x86-64-v3", "", 8), _V3),
        Level("x86-64-v4", Target("x86_64-unknown-linux-gnu", "x86-64-v4", "", 16), _V4),
        Level("aarch64", Target("aarch64-unknown-linux-gnu", "generic", "+neon", 4), ("neon",)),
    )
}
"""Every level but `native`."""


def level(name: str) -> Level:
    """The level with this name.

    Raises:
        UnsupportedCpu: there is none, or it has no fused multiply-add.
    """
    if name == NATIVE:
        target = host()
        enabled = tuple(f[1:] for f in target.features.split(",") if f.startswith("+"))
        same = next((entry for entry in LEVELS.values() if entry.target.cpu == target.cpu), None)
        return Level(NATIVE, target, (*(same.required if same else ()), *enabled))
    if name in ("x86-64", "x86-64-v1", "x86-64-v2"):
        raise UnsupportedCpu(
            f"{name} has no fused multiply-add, and without it results would have other bits than everywhere else; "
            f"the least is x86-64-v3 (Intel since Haswell, AMD since Excavator)"
        )
    if name not in LEVELS:
        raise UnsupportedCpu(f"there is no level '{name}'; there is {', '.join(LEVELS)}, {NATIVE}")
    return LEVELS[name]


def is_foreign(target: Target) -> bool:
    """Is the target another kind of processor, or one with wider vectors, than the one we are on?"""
    ours = host()
    return target.triple.partition("-")[0] != ours.triple.partition("-")[0] or target.lanes > ours.lanes
