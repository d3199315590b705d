"""Names that the numbers of a tensor stand for, as an enumeration: categories that an input takes, classes that an output gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plc_bindings.data.types import distinct, identifier
from rt_engine.program.naming import UNKNOWN, Naming
from rt_engine.program.program import TensorSpec

MOST_NAMES = 1000
"""Longer lists are no enumeration: nobody writes a program with them by hand."""
_LONGEST = 40
Entry = tuple[str, int, str]
"""(identifier, number, what it stands for)"""


def enumerations(
    naming: Naming, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> dict[str, tuple[Entry, ...]]:
    """Tensor -> its names; only tensors that have names are there."""
    labels = {spec.name for spec in outputs if spec.dtype.kind == "i"}
    lists: dict[str, Sequence[object]] = {spec.name: spec.categories for spec in inputs if spec.categories}
    for name, classes in naming.classes.items():
        if name in labels and all(isinstance(label, str) for label in classes):
            lists.setdefault(name, classes)
    return {name: _entries([str(one) for one in found]) for name, found in lists.items() if len(found) <= MOST_NAMES}


def _entries(names: Sequence[str]) -> tuple[Entry, ...]:
    taken: set[str] = set()
    return (
        (distinct("Unknown", taken), UNKNOWN, "any other name"),
        *((distinct(_plain(name, number), taken), number, name) for number, name in enumerate(names)),
    )


def _plain(name: str, number: int) -> str:
    """With a letter in front that no keyword of any language has."""
    plain = identifier(name).strip("_")[:_LONGEST].rstrip("_")
    return f"Is_{plain}" if plain else f"Is_{number}"


def told(entries: Mapping[str, tuple[Entry, ...]], tensor: str, most: int = 6) -> str:
    """`; 0 brass, 1 steel, -1 any other name` for a comment; "" where the tensor has no names."""
    if tensor not in entries:
        return ""
    unknown, *known = entries[tensor]
    shown = [f"{number} {name[:_LONGEST]}" for _, number, name in known[:most]]
    more = [f"... {known[-1][1]}"] if len(known) > most else []
    return "; " + ", ".join([*shown, *more, f"{unknown[1]} {unknown[2]}"])
