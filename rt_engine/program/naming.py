"""What the inputs and outputs of a model mean: class names, and remarks in words. Read at run time; imports no ONNX."""

from dataclasses import dataclass, field
from typing import Any, Final

UNKNOWN: Final = -1
"""The index of a name that is in no list. Operators treat it, and any other index that no name has, as they treat such a string."""


@dataclass(slots=True)
class Naming:
    """What the tensors of a model mean, where their numbers do not say it.

    `classes` has, for an output that is an index, the names that it points into; for scores, what the columns stand for.
    `categories` has, for an input that is an index, the names that it points into.
    """

    classes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
