"""What native code is compiled for."""

from dataclasses import dataclass

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
