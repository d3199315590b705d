"""What an operator's file works with: the decorator `operator`, and `Node`, the ONNX node with its buffers."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.kernels.interface import dtypes
from rt_engine.kernels.interface.dtypes import NUMPY
from rt_engine.ops.builder import Builder
from rt_engine.program.calls import Buffer

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
INTEGERS = tuple(NUMPY[t] for t in sorted(dtypes.INTEGERS, key=lambda t: (t.kind, t.nbytes)))
BOOL = np.dtype(np.bool_)
NUMBERS = FLOATS + INTEGERS
RT_DOMAIN = "rt_engine"
"""Domain of operators that passes make out of several ONNX ones."""


class Refusal(Exception):
    """An operator cannot run this node; becomes a `Reason` of `UnsupportedModelError`."""

    def __init__(self, why: str, help: str = "") -> None:
        self.why, self.help = why, help
        super().__init__(why)


class Misfit(Refusal):
    """Types or shapes do not fit together; `InvalidModelError`, where this is all that stands in the way."""


@dataclass(frozen=True, slots=True)
class Node:
    """An ONNX node as an operator sees it: static shapes, buffers for inputs and outputs (None where absent)."""

    ir: ir.Node
    version: int
    inputs: tuple[Buffer | None, ...]
    outputs: tuple[Buffer | None, ...]

    @property
    def op_type(self) -> str:
        """ONNX name of the operator."""
        return self.ir.op_type

    @property
    def x(self) -> Buffer:
        """The first input."""
        return self.input(0)

    @property
    def y(self) -> Buffer:
        """The first output."""
        return self.output(0)

    def input(self, index: int) -> Buffer:
        """An input that must be there."""
        buffer = self.optional(index)
        if buffer is None:
            raise Refusal(f"input {index} is missing")
        return buffer

    def optional(self, index: int) -> Buffer | None:
        """An input that may be absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def output(self, index: int) -> Buffer:
        """An output that must be there."""
        buffer = self.outputs[index] if index < len(self.outputs) else None
        if buffer is None:
            raise Refusal(f"output {index} is missing")
        return buffer

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute's value (numbers, strings, lists, NumPy arrays for tensors), or the default."""
        attribute = self.ir.attributes.get(name)
        if attribute is None or attribute.value is None:
            return default
        value = attribute.value
        if attribute.type == ir.AttributeType.TENSOR:
            return value.numpy()
        return list(value) if attribute.type in _LISTS else value

    def constant(self, index: int, what: str) -> NDArray[Any]:
        """The value of an input that must be known when the model is loaded.

        Raises:
            Refusal: it is computed at run time.
        """
        value = self.input(index).value
        if value is None:
            raise Refusal(
                f"{what} (input {index}) is computed at run time; shapes must be static",
                "export with constant shapes, or simplify the model so that it becomes a constant",
            )
        return value

    def require(self, condition: bool, why: str, help: str = "") -> None:
        """Refuse the node unless `condition` holds."""
        if not condition:
            raise Refusal(why, help)

    def require_type(self, buffer: Buffer, allowed: tuple[Any, ...]) -> None:
        """Refuse the node unless the buffer's type is among `allowed`."""
        if buffer.dtype not in allowed:
            names = ", ".join(sorted({str(np.dtype(t)) for t in allowed}))
            raise Refusal(f"type {buffer.dtype} is not supported here", f"cast to one of {names}")


_LISTS = (ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS)

Lower = Callable[[Node, Builder], None]
Infer = Callable[[ir.Node, list[Any]], list[tuple[Any, tuple[int, ...]]]]


class Elements(Enum):
    """What makes an element of the result, where that is only what lies at its place: any layout of the tensors will do."""

    ONE = "the element of the first input, and numbers"
    SEVERAL = "an element of each input, which may broadcast as NumPy does"


@dataclass(frozen=True, slots=True)
class Operator:
    """How one ONNX operator, from opset `since` on, becomes kernel calls."""

    domain: str
    name: str
    since: int
    lower: Lower
    infer: Infer | None = None
    """For operators that are not ONNX's own: (dtype, shape) of each output from those of the inputs."""
    any_type: bool = False
    """It lowers every element type itself, for instance because it only moves elements. Other operators get float16 and
    bfloat16 as float32, and their results are rounded."""
    elements: Elements | None = None
    """What passes may rely on: it follows the layout of its inputs, and where quantised, of `ONE`, is a table."""


_REGISTRY: dict[tuple[str, str], list[Operator]] = {}


def registry() -> dict[tuple[str, str], list[Operator]]:
    """Everything registered so far, newest version first."""
    return {key: sorted(found, key=lambda o: -o.since) for key, found in _REGISTRY.items()}


def operator(
    *names: str, since: int = 7, domain: str = "", infer: Infer | None = None, any_type: bool = False,
    elements: Elements | None = None,
) -> Callable[[Lower], Lower]:  # fmt: skip
    """Register a function as the lowering of ONNX operators, from opset version `since` on; see `Operator`."""

    def register(lower: Lower) -> Lower:
        for name in names:
            found = Operator(domain, name, since, lower, infer, any_type, elements)
            _REGISTRY.setdefault((domain, name), []).append(found)
        return lower

    return register
