"""The simulated bus's native library."""

from typing import Final

from rt_native.library import Library

_HERE: Final = "fieldbus.ethercat.simulated"
NATIVE: Final = Library(
    "fieldbus.ethercat.simulated",
    modules=tuple(f"{_HERE}.{name}_native" for name in ("memory", "wire", "pdi", "generic")),
)
