"""What the outputs of a model mean: class names, and remarks in words. Read at run time; imports no ONNX."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Naming:
    """What the outputs of a model mean, where their numbers do not say it.

    `classes` has, for an output that is an index, the names that it points into; for scores, what the columns stand for.
    """

    classes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
