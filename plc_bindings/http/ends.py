"""What a model takes and gives, in the words of the Open Inference Protocol.

Every model takes batches: `-1` stands first in its shapes. A batch of N is N runs. Where each tensor of the model begins with 1
already, that 1 is the batch's place; where one does not, the batch's place is in front, and a request may leave it out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rt_engine import Model, TensorSpec

#                name    NumPy     code in `struct`
_TYPES: Final = (
    ("BOOL", "bool", "?"),
    ("INT8", "int8", "b"),
    ("INT16", "int16", "h"),
    ("INT32", "int32", "i"),
    ("INT64", "int64", "q"),
    ("UINT8", "uint8", "B"),
    ("UINT16", "uint16", "H"),
    ("UINT32", "uint32", "I"),
    ("UINT64", "uint64", "Q"),
    ("FP16", "float16", "e"),
    ("FP32", "float32", "f"),
    ("FP64", "float64", "d"),
)
BYTES: Final = "BYTES"
"""Texts: in a binary tensor each with its length before it, as a little-endian word of 32 bits."""
NAMES: Final = {numpy: name for name, numpy, _ in _TYPES}
CODES: Final = {name: code for name, _, code in _TYPES}


@dataclass(frozen=True, slots=True)
class End:
    """One tensor of a model.

    Attributes:
        datatype: what clients see: `BYTES` where its numbers stand for `names`, else `number`.
        number: the type of the model's own numbers; `dtype` is NumPy's.
        shape: of one run; `rest`: what stands behind the batch's place.
        size, nbytes: elements and bytes of one run.
        names: texts that its numbers are indices of; empty: they are numbers.
    """

    name: str
    datatype: str
    number: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    rest: tuple[int, ...]
    size: int
    nbytes: int
    names: tuple[str, ...]
    code: str
    """Of `number`, in `struct`."""
    alone: bytes
    """How JSON of it begins, up to its shape, without the batch's place."""
    head: bytes
    behind: bytes
    """The same with it: before and behind the number that stands there."""

    def begin(self, batch: int | None) -> bytes:
        """How JSON of it begins, up to its shape; `batch`: what stands in the batch's place, None: it has none."""
        return self.alone if batch is None else b"%b%d%b" % (self.head, batch, self.behind)


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a model. `takes_first`: the batch's place is a 1 that each shape begins with."""

    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    takes_first: bool
    by_name: dict[str, End]
    """Of the inputs."""
    all_plain: tuple[tuple[int, bool], ...]
    all_binary: tuple[tuple[int, bool], ...]
    """(number, is it wanted binary) of each output, where a request names none."""

    @classmethod
    def of(cls, model: Model) -> Ends:
        """Those of a model, which do not change with an update."""
        specs = (*model.inputs, *model.outputs)
        takes_first = all(spec.shape[:1] == (1,) for spec in specs)
        labels = {
            name: tuple(map(str, classes))
            for name, classes in model.classes.items()
            if all(isinstance(one, str) for one in classes)
        }
        outputs = [_end(spec, labels.get(spec.name, ()) if spec.dtype.kind == "i" else (), takes_first)
                   for spec in model.outputs]  # fmt: skip
        inputs = [_end(spec, spec.categories, takes_first) for spec in model.inputs]
        every = [tuple((number, binary) for number in range(len(outputs))) for binary in (False, True)]
        return cls(tuple(inputs), tuple(outputs), takes_first, {end.name: end for end in inputs}, *every)

    def runs(self, end: End, shape: Sequence[int]) -> tuple[int, bool] | None:
        """(how many runs a tensor of this shape is for, does it have the batch's place); None: it does not fit."""
        given = tuple(shape)
        if given == end.shape:
            return 1, self.takes_first
        if given[1:] == end.rest and len(given) == len(end.rest) + 1 and given[0] > 0:
            return given[0], True
        return None


def _end(spec: TensorSpec, names: tuple[str, ...], takes_first: bool) -> End:
    number, size = NAMES[spec.dtype.name], math.prod(spec.shape)
    rest = spec.shape[1:] if takes_first else spec.shape
    datatype = BYTES if names else number
    nbytes, code = size * spec.dtype.itemsize, CODES[number]
    begin = f'{{"name":{json.dumps(spec.name)},"datatype":"{datatype}","shape":['
    alone, behind = (f"{','.join(map(str, dims))}]," for dims in (spec.shape, ("", *rest) if rest else ()))
    texts = (f"{begin}{alone}".encode(), begin.encode(), behind.encode())
    return End(spec.name, datatype, number, spec.dtype, spec.shape, rest, size, nbytes, names, code, *texts)
