"""State that a model carries from run to run: an output that becomes an input of the next run.

The input leaves the caller's inputs. It is memory of the context: at its initial value until the first run, then what the
output was. The program itself moves it, with its last records, so whoever runs the program carries the state; where an output
may be written over its input, the two are the same memory and nothing moves.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rt_engine.errors import InputError
from rt_engine.program.values import fitted


def initial_values(specs: Sequence[Any], given: Mapping[str, ArrayLike] | None) -> dict[str, NDArray[Any]]:
    """State name -> the array it starts at: what is given, else zeros.

    Raises:
        InputError: a name is unknown, or a value has another shape or type.
    """
    given = {} if given is None else given
    check_states(given)
    return {spec.name: value for spec, value in zip(specs, _fitting(specs, given), strict=True)}


def check_states(given: Any) -> None:
    """Raise InputError unless these are values by name."""
    if not isinstance(given, Mapping):
        raise InputError(f"states are given as a dictionary of name -> array, got a {type(given).__name__}")


def _fitting(specs: Sequence[Any], given: Mapping[str, ArrayLike]) -> list[NDArray[Any]]:
    unknown = sorted(set(given) - {spec.name for spec in specs})
    if unknown:
        known = ", ".join(str(spec) for spec in specs) or "none"
        raise InputError(f"there is no state {', '.join(map(repr, unknown))}; there is {known}")
    values = []
    for spec in specs:
        value = given.get(spec.name, np.zeros(spec.shape, spec.dtype))
        values.append(fitted(value, spec, "state").astype(spec.dtype))
    return values


def to_bytes(state: Mapping[str, NDArray[Any]]) -> bytes:
    """A saved state as the bytes of an .npz file."""
    file = BytesIO()
    np.savez(file, **state)  # type: ignore[arg-type]  # names are any text
    return file.getvalue()


_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""How an .npz file begins; an empty one."""


def from_bytes(data: bytes) -> dict[str, NDArray[Any]]:
    """What `to_bytes` made.

    Raises:
        InputError: these are not the bytes of a saved state.
    """
    if not data.startswith(_ZIP):  # NumPy would advise to load them unsafely
        raise InputError(f"these {len(data):,} bytes are no saved state: `to_bytes` makes them")
    try:
        with np.load(BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zipfile, NumPy and zlib each have their own
        raise InputError(f"these {len(data):,} bytes are no saved state: {error}") from error
