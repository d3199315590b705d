"""What If, Loop and Scan give the values of their bodies: types, shapes, and what they are."""

from collections.abc import Callable

import onnx_ir as ir

from rt_engine.errors import InvalidModelError, UnsupportedModelError
from rt_engine.ops.base import Misfit, Refusal
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.sequences import STACK, elements

Specialise = Callable[[Compilation], bool]
"""How a body gets its shapes: `passes.specialise`, which calls `resolve` for every control-flow node that it meets."""


def specialised(compilation: Compilation, body: ir.Graph, specialise: Specialise) -> None:
    """Give all values of a body their shapes.

    Raises:
        Refusal: what is in it cannot run.
        Misfit: what is in it does not fit together.
    """
    try:
        specialise(compilation.within(body))
    except UnsupportedModelError as error:
        raise Refusal("in its body, " + "; ".join(str(reason) for reason in error.reasons)) from error
    except InvalidModelError as error:
        raise Misfit(f"in its body, {error}") from error


def type_as(value: ir.Value, other: ir.Value | None, shape: tuple[int, ...] | None = None) -> None:
    """Give a value the type of another one, and its shape or this one.

    Raises:
        Refusal: the other one has none, or is a sequence.
    """
    if elements(other) is not None:
        raise Refusal(
            "it carries a sequence of tensors, and data decide how often it runs",
            "only append to the list, carry a tensor, or give it a constant number of iterations",
        )
    if other is not None and STACK in other.meta:
        raise Refusal(
            f"its body reads '{other.name}', a sequence of as many tensors as data decide",
            "make one tensor of it before: torch.stack, torch.cat",
        )
    if other is None or other.dtype is None or other.shape is None:
        raise Refusal("an input that its body reads is missing or has no shape")
    value.type = ir.TensorType(other.dtype)
    value.shape = ir.Shape(other.shape if shape is None else shape)


def same_type(a: ir.Value, b: ir.Value) -> bool:
    """Have both the same type and the same known shape?"""
    return a.dtype == b.dtype and a.shape is not None and b.shape is not None and tuple(a.shape) == tuple(b.shape)


def described(value: ir.Value) -> str:
    """Type and shape, for messages."""
    return f"{value.dtype}{list(value.shape) if value.shape is not None else '?'}"


def origin(value: ir.Value | None) -> ir.Value | None:
    """What a value is, behind Identity."""
    while value is not None and (maker := value.producer()) is not None and maker.op_type == "Identity":
        value = maker.inputs[0]
    return value
