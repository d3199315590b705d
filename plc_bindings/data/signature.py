"""A model's inputs and outputs as a PLC packs them: tensors in the order of the signature, elements in C order, no gaps."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plc_bindings.data.enumerations import Entry, enumerations, told
from plc_bindings.data.types import SCALARS, Array, Field, Struct, distinct, identifier
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
    names = enumerations(model.program.naming, model.inputs, model.outputs)
    return Signature(
        _struct(name, "In", model.inputs, names),
        _struct(name, "Out", model.outputs, names),
        zlib.crc32("\n".join(lines).encode()),
    )


def _struct(model: str, end: str, specs: Sequence[TensorSpec], names: Mapping[str, tuple[Entry, ...]]) -> Struct:
    taken: set[str] = set()
    return Struct(f"ST_{identifier(model)}_{end}", tuple(_field(model, spec, taken, names) for spec in specs))


def _field(model: str, spec: TensorSpec, taken: set[str], names: Mapping[str, tuple[Entry, ...]]) -> Field:
    scalar = SCALARS.get(spec.dtype.name)
    if scalar is None:
        raise UnpackableError(
            f"model '{model}', tensor '{spec.name}' is {spec.dtype.name}, which no PLC has; export the model with float32 at its ends"
        )
    size = math.prod(spec.shape)
    return Field(
        distinct(identifier(spec.name), taken),
        scalar if not spec.shape or size == 1 else Array(scalar, size),
        comment=f"{spec.name}: {spec.dtype}{list(spec.shape)}{told(names, spec.name)}",
    )
