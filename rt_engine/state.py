"""State that a model carries from run to run: an output that becomes an input of the next run.

The input leaves the caller's inputs. It is memory of the context: at its initial value until the first run, then what the
output was. The program itself moves it, with its last records, so whoever runs the program carries the state; where an output
may be written over its input, the two are the same memory and nothing moves.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rt_engine.errors import InputError, StateError

if TYPE_CHECKING:
    from rt_engine.lower.lower import Buffer


def pair_state(
    state: Mapping[str, str], inputs: "Sequence[Buffer]", outputs: "Sequence[Buffer]", source: str
) -> "tuple[tuple[Buffer, Buffer], ...]":
    """(input, output) of every pair of output name -> input name.

    Raises:
        StateError: a name is unknown or used twice, or a pair differs in shape or type.
    """
    starts, ends = {b.name: b for b in inputs}, {b.name: b for b in outputs}
    pairs: list[tuple[Buffer, Buffer]] = []
    for output, name in state.items():
        for kind, wanted, there in (("output", output, ends), ("input", name, starts)):
            if wanted not in there:
                raise StateError(f"{source} has no {kind} '{wanted}' for a state; its {kind}s are {_names(there)}")
        start, end = starts[name], ends[output]
        if (start.shape, start.dtype) != (end.shape, end.dtype):
            raise StateError(
                f"state '{output}' -> '{name}' of {source}: the output is {end.dtype}{list(end.shape)}, the input "
                f"{start.dtype}{list(start.shape)}; a state has one shape and type: bind the input's shape with `shapes`"
            )
        if any(start is other for other, _ in pairs):
            raise StateError(f"input '{name}' of {source} is the state of two outputs; pair each input once")
        pairs.append((start, end))
    return tuple(pairs)


def _names(there: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, there)) or "none"


def initial_values(specs: Sequence[Any], given: Mapping[str, ArrayLike] | None) -> dict[str, NDArray[Any]]:
    """State name -> the array it starts at: what is given, else zeros.

    Raises:
        InputError: a name is unknown, or a value has another shape or type.
    """
    return {spec.name: value for spec, value in zip(specs, _fitting(specs, given or {}), strict=True)}


def _fitting(specs: Sequence[Any], given: Mapping[str, ArrayLike]) -> list[NDArray[Any]]:
    unknown = sorted(set(given) - {spec.name for spec in specs})
    if unknown:
        known = ", ".join(str(spec) for spec in specs) or "none"
        raise InputError(f"there is no state {', '.join(map(repr, unknown))}; there is {known}")
    values = []
    for spec in specs:
        value = np.asarray(given.get(spec.name, np.zeros(spec.shape, spec.dtype)))
        if value.shape != spec.shape or not np.can_cast(value.dtype, spec.dtype, "same_kind"):
            raise InputError(f"state '{spec.name}' is {spec}, got {value.dtype}{list(value.shape)}")
        values.append(value.astype(spec.dtype))
    return values


def to_bytes(state: Mapping[str, NDArray[Any]]) -> bytes:
    """A saved state as the bytes of an .npz file."""
    file = BytesIO()
    np.savez(file, **state)  # type: ignore[arg-type]  # names are any text
    return file.getvalue()


def from_bytes(data: bytes) -> dict[str, NDArray[Any]]:
    """What `to_bytes` made.

    Raises:
        InputError: these are not the bytes of a saved state.
    """
    try:
        with np.load(BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zipfile, NumPy and zlib each have their own
        raise InputError(f"these {len(data):,} bytes are no saved state: {error}") from error
