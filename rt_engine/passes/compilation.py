"""What a pass works on."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from typing import Any

import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.binding import Binding
from rt_engine.passes.lengths import Lengths

Evaluate = Callable[[onnx.ModelProto, Mapping[str, NDArray[Any]]], list[NDArray[Any]]]
"""What a model of a few nodes computes, on our own kernels: the same bits as at run time."""


@dataclass(frozen=True, slots=True)
class Compilation:
    """A model, what the user says of it that its file leaves open, and the model's name for messages."""

    model: ir.Model
    binding: Binding
    source: str
    evaluate: Evaluate
    shown: tuple[str, ...] = ()
    """The outputs' names in the file; what takes an output's place has a name of its own."""
    scope: ir.Graph | None = None
    """The body of a control-flow operator that is worked on; None for the model's own graph."""
    assumed: list[str] = field(default_factory=list)
    """What neither the file nor the user says and was taken for granted, in sentences."""
    fixed: list[str] = field(default_factory=list)
    """Inputs that the user gave a value for good, in sentences."""
    unrolled: Counter[str] = field(default_factory=Counter)
    """Nodes that loops have become, in all graphs together."""
    lengths: Lengths = field(default_factory=Lengths)
    """Lengths that are only known at run time."""
    counts: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Output with such a length -> (the output that has its count, which axis it is)."""

    @property
    def graph(self) -> ir.Graph:
        """The graph that is worked on."""
        return self.model.graph if self.scope is None else self.scope

    def within(self, body: ir.Graph) -> "Compilation":
        """The same for a body."""
        return replace_fields(self, scope=body)

    @property
    def opsets(self) -> dict[str, int]:
        """Domain -> opset version."""
        return dict(self.model.opset_imports)
