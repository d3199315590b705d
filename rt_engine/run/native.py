"""The engine's native library: kernels, executor, slot, states, samples. Declared here; built or loaded when first used."""

from pathlib import Path

from rt_native.library import Library
from rt_native.machine import Target

_KERNELS = Path(__file__).parent.parent / "kernels"


def modules() -> tuple[str, ...]:
    """Every native module of the engine: all files in `kernels`, the executors, the slot, states, and the loops over samples."""
    found = sorted(p.stem for p in _KERNELS.glob("*.py") if p.stem != "__init__")
    kernels = tuple(f"rt_engine.kernels.{name}" for name in found)
    return (
        *kernels,
        *(f"rt_engine.run.{name}_native" for name in ("executor", "slices", "slot", "state", "batch", "times", "team")),
    )


def library(target: Target | None = None) -> Library:
    """A library of the kernels for a target; the machine's own is `KERNELS`."""
    return Library("kernels", modules(), target, apart=True)


KERNELS = library()
