"""A model's inputs and outputs as a PLC packs them: tensors in the order of the signature, elements in C order, no gaps."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from plc_bindings.data.types import SCALARS, Array, Field, Struct, identifier
from plc_bindings.errors import UnpackableError
from rt_engine import Model, TensorSpec


@dataclass(frozen=True, slots=True)
class Signature:
    """Both ends of a model, as structures."""

    inputs: Struct
    outputs: Struct
    hash: int
    """CRC-32 of names, types and shapes, and of the names that inputs count: what a generated block compares with the
    running model."""


def signature(name: str, model: Model) -> Signature:
    """How a PLC sees a model called `name`.

    Raises:
        UnpackableError: a tensor has a type that no PLC has.
    """
    lines = [f"{kind} {spec}" for kind, specs in (("in", model.inputs), ("out", model.outputs)) for spec in specs]
    lines += [f"names {spec.name} {','.join(spec.categories)}" for spec in model.inputs if spec.categories]
    return Signature(
        _struct(f"ST_{identifier(name)}_In", model.inputs),
        _struct(f"ST_{identifier(name)}_Out", model.outputs),
        zlib.crc32("\n".join(lines).encode()),
    )


def _struct(name: str, specs: Sequence[TensorSpec]) -> Struct:
    taken: set[str] = set()
    return Struct(name, tuple(_field(spec, taken) for spec in specs))


def _field(spec: TensorSpec, taken: set[str]) -> Field:
    scalar = SCALARS.get(spec.dtype.name)
    if scalar is None:
        raise UnpackableError(
            f"tensor '{spec.name}' is {spec.dtype.name}, which no PLC has; export the model with float32 at its ends"
        )
    size = math.prod(spec.shape)
    return Field(
        _distinct(identifier(spec.name), taken),
        scalar if not spec.shape or size == 1 else Array(scalar, size),
        comment=f"{spec.name}: {spec.dtype}{list(spec.shape)}",
    )


def _distinct(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if there is one that a PLC does not tell from it: `x-1` and `x_1`, `x` and `X`."""
    tries = (f"{name}_{number}" if number else name for number in count())
    fresh = next(tried for tried in tries if tried.lower() not in taken)
    taken.add(fresh.lower())
    return fresh
