"""The engine's native library: kernels, executor, slot. Declared here; built or loaded when first used."""

from pathlib import Path

from rt_native.library import Library
from rt_native.target import Target

_NOT_NATIVE = {"__init__", "names", "dtypes", "modes", "attention_table"}


def modules() -> tuple[str, ...]:
    """Every native module of the engine: all files in `kernels`, the executor and the slot."""
    found = sorted(p.stem for p in (Path(__file__).parent / "kernels").glob("*.py"))
    kernels = tuple(f"rt_engine.kernels.{name}" for name in found if name not in _NOT_NATIVE)
    return (*kernels, "rt_engine.executor_native", "rt_engine.slot_native")


def library(target: Target | None = None) -> Library:
    """A library of the kernels for a target; the machine's own is `KERNELS`."""
    return Library("kernels", modules(), target)


KERNELS = library()
