"""What native code is compiled for."""

from dataclasses import dataclass

LANE_WIDTHS = (4, 8, 16)
"""float32 lanes of a hardware vector: SSE4 and NEON, AVX2, AVX-512."""
ARITHMETICS = {
    "fused": "multiply-add is one instruction, rounded once: everywhere but on x86-64-v2",
    "fast": "multiply, then add: bits of its own, the same on every x86-64-v2",
    "exact": "multiply-add in software: the bits of every other machine, slower",
}
"""How a * b + c is computed; without the instruction there is a choice (docs/adr/0041)."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one object file is compiled for. `lanes` is the number of float32 in a hardware vector: 4, 8 or 16."""

    triple: str
    cpu: str
    features: str
    lanes: int
    arithmetic: str = "fused"
    """One of `ARITHMETICS`."""

    def __str__(self) -> str:
        return f"{self.cpu}, {self.lanes} lanes" + (f", {self.arithmetic}" if self.arithmetic != "fused" else "")
