"""The machine that native code is compiled for: processor, features, lane width."""

from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

from rt_native.errors import UnsupportedCpu

LANE_WIDTHS = (4, 8, 16)
"""float32 lanes of a hardware vector: NEON, AVX2, AVX-512."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one object file is compiled for. `lanes` is the number of float32 in a hardware vector: 4, 8 or 16."""

    triple: str
    cpu: str
    features: str
    lanes: int

    def __str__(self) -> str:
        return f"{self.cpu}, {self.lanes} lanes"


@cache
def host(lanes: int | None = None) -> Target:
    """The machine that we are on, with its widest vectors or narrower ones.

    Raises:
        UnsupportedCpu: no fused multiply-add, or `lanes` is wider than the processor.
    """
    triple = llvm.get_process_triple()
    features = llvm.get_host_cpu_features()
    x86 = triple.startswith("x86_64")
    if x86 and not (features.get("avx2") and features.get("fma")):
        raise UnsupportedCpu(
            f"the processor {llvm.get_host_cpu_name()} has no AVX2 with FMA, the least that the kernels need "
            "(x86-64-v3: Intel since Haswell, AMD since Excavator; or any 64-bit Arm)"
        )
    widest = (16 if features.get("avx512f") and features.get("avx512vl") else 8) if x86 else 4
    lanes = lanes or widest
    if lanes not in LANE_WIDTHS or lanes > widest:
        raise UnsupportedCpu(f"{lanes} lanes asked for; this processor has {[w for w in LANE_WIDTHS if w <= widest]}")
    if x86 and lanes < 16:
        own = lanes == widest and features.get("avxvnni")
        return Target(triple, "x86-64-v3", "+avxvnni" if own else "", lanes)
    return Target(triple, llvm.get_host_cpu_name(), features.flatten(), lanes)
