"""The Program: records and packed weights, immutable, the same for every machine.

    lowered calls --plan--> arena offsets --assemble--> Program(records, weights, kernel names, tensors) <--> .rtp file

Records name kernels by their place in `Program.kernels`, and memory by offset; there is no address in a program. What
belongs to the machine (kernel addresses) is in `Executable`, what belongs to a task (the arena) in `Context`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.program.naming import Naming
from rt_native.memory import Block

ABSENT = -1
"""Operand of a record that is not there. (Its lowest bit is set; no weight lies there.)"""

MOST_ARENA_BYTES = 1 << 31
"""A context that needs more memory is refused: no controller has it, a file can ask for it in a few bytes."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, static shape and NumPy type of an input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    categories: tuple[str, ...] = ()
    """Of an input whose numbers are indices into names: the names, from 0 on (docs/adr/0032)."""
    places: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """Name -> its index, made once: to find it by the names themselves would take a look at each."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {name: place for place, name in enumerate(self.categories)})

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}{list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor and its byte offset in the arena."""

    spec: TensorSpec
    offset: int


@dataclass(frozen=True, slots=True)
class NodeCost:
    """What one node of the graph costs."""

    name: str
    operator: str
    output: str
    """Type and shape of what it makes."""
    kernels: tuple[str, ...]
    macs: int
    weight_bytes: int
    arena_bytes: int
    sources: tuple[int, ...] = ()
    """Nodes whose results it reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """An immutable compiled model; any number of contexts run it at once."""

    kernels: tuple[str, ...]
    records: NDArray[Any]
    weights: Block
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    nodes: tuple[NodeCost, ...]
    arena_nbytes: int
    arena_lower_bound: int
    state: tuple[Place, ...] = ()
    """Inputs that outputs are carried to from run to run."""
    initial: tuple[NDArray[Any], ...] = ()
    """What each state starts at."""
    arena_bare_bound: int = 0
    """The lower bound without any padding: what the tensors alone need at the busiest moment."""
    results: tuple[Place | None, ...] = ()
    """What each record writes first, for profiles."""
    naming: Naming = field(default_factory=Naming)
    """What outputs mean that are indices or scores of named classes."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the model's author wrote into it (ONNX: `metadata_props`)."""
    sha256: str = ""
    """Of the file that it was made of or read from, with its external data (docs/security.md); empty: of none."""
    makers: tuple[int, ...] = ()
    """For each output, the node that writes it last (-1: none); a file does not keep it."""
    assumed: tuple[str, ...] = ()
    """What was taken for granted when it was compiled, in sentences; a file does not keep it: its shapes are its own."""
    later: tuple[str, ...] = ()
    """Fields of its records that came after their kernels (`rt_engine.kernels.interface.later`)."""

    def named(self, naming: Naming) -> "Program":
        """The same program, whose tensors mean this."""
        places = tuple(
            replace(p, spec=replace(p.spec, categories=naming.categories.get(p.spec.name, ()))) for p in self.inputs
        )
        return replace(self, naming=naming, inputs=places if naming.categories else self.inputs)

    @property
    def weight_nbytes(self) -> int:
        """Bytes of the packed weights."""
        return self.weights.nbytes
