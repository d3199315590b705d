"""Fields that came after the kernels that read them. Imports no Numba.

An engine from before such a field reads a record without it, and computes something else. So a program whose records use one names
it behind its kernels, and who does not know the name refuses the program, as for a kernel that is not there:

    Program.kernels  qdepthwise_u8 gemm_f32        Program.later  qdepthwise.count qdepthwise.x_step

A new field of an old kernel is optional (`name?`), stands behind the others, and is listed here; left out, it means what was
before it. A new value of an old field needs a new field too, or a kernel with another name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.fields import Fields

LATER: dict[str, str] = {
    "conv": "panel",
    "gemm": "panel",
    "qconv": "offsets",
    "qdepthwise": "sums offsets count x_step out_step out_line fresh chunk",
    "qmax_pool": "offsets",
    "qwinograd": "x_image out_image",
}
"""Family of kernels -> its fields that came later, in the order in which they came."""

HINTS: dict[str, str] = {
    "attention": "count first each",
    "conv": "block cut",
    "copy_strided": "outer each begin",
    "depthwise": "block line",
    "gemm": "block",
    "qadd": "plain",
    "qwinograd": "first",
}
"""The same of fields that change no bit of a whole record: how it is cut, what is quicker. Programs do not name them."""

KNOWN = frozenset(
    f"{family}.{name}" for fields in (LATER, HINTS) for family in fields for name in fields[family].split()
)
"""The names that programs may have behind those of their kernels."""

_LEFT_OUT = {"operand": -1, "size": 0, "param": 0.0}


def used(records: NDArray[Any], kernels: Sequence[str], families: Mapping[str, Fields]) -> tuple[str, ...]:
    """Which fields of `LATER` these records use; `families` has the fields of every kernel."""
    found: dict[str, None] = {}
    for index, kernel in enumerate(kernels):
        fields = families[kernel]
        if names := LATER.get(fields.name, "").split():
            of_kernel = records[records["kernel"] == index]
            for name in names:
                place = fields.places[name]
                if np.any(of_kernel[place.kind][:, place.index] != _LEFT_OUT[place.kind]):
                    found[f"{fields.name}.{name}"] = None
    return tuple(found)
