"""What a caller gives for a tensor -> an array that its memory can take."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import InputError
from rt_engine.program.naming import UNKNOWN
from rt_engine.program.program import TensorSpec


def fitted(value: Any, spec: TensorSpec, what: str = "input") -> NDArray[Any]:
    """An array of the tensor's shape that may be copied into it: floats are rounded to its type, integers keep their value.

    Raises:
        InputError: it is no array, has another shape or type, or holds integers that the type does not.
    """
    if type(value) is np.ndarray and value.dtype == spec.dtype and value.shape == spec.shape:
        return value  # what is true of most needs no slower look
    array = converted(value, spec, what)
    if array.shape != spec.shape:
        raise InputError(unfit(array, spec, what))
    return array


def spread(value: Any, spec: TensorSpec, what: str = "tensor") -> NDArray[Any]:
    """As `fitted`; a number, or an array that NumPy repeats to the tensor's shape, fits too."""
    array = converted(value, spec, what)
    try:
        return np.broadcast_to(array, spec.shape)
    except ValueError:
        raise InputError(unfit(array, spec, what)) from None


def converted(value: Any, spec: TensorSpec, what: str) -> NDArray[Any]:
    """An array of a type that may be copied into the tensor, of whatever shape.

    Raises:
        InputError: as `fitted`, but for the shape.
    """
    try:
        array = np.asarray(value)
    except Exception as error:  # lists of unequal length; tensors of another library have errors of their own
        raise InputError(
            f"{what} '{spec.name}' takes {_type(spec)}, got a {type(value).__name__} that is no array: {error}"
        ) from error
    if spec.categories and array.dtype.kind in "USO":
        return _indices(array, spec, what)
    if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
        raise InputError(unfit(array, spec, what))
    if array.dtype.kind in "iu" and spec.dtype.kind in "iu" and (array != array.astype(spec.dtype)).any():
        raise InputError(
            f"{what} '{spec.name}' takes {spec.dtype}, got numbers from {array.min()} to {array.max()}, which it "
            f"cannot hold; scale or clip them"
        )
    return array


def _indices(names: NDArray[Any], spec: TensorSpec, what: str) -> NDArray[Any]:
    """Names as indices; a name that the model does not know is `UNKNOWN`."""
    places, given = spec.places, names.reshape(-1).tolist()
    for at, name in enumerate(given):
        if type(name) is not str:
            given[at] = _text(name, spec, what)
    return np.array([places.get(name, UNKNOWN) for name in given], spec.dtype).reshape(names.shape)


def _text(name: Any, spec: TensorSpec, what: str) -> str:
    """A name that is no plain `str`: bytes, or a string of NumPy's."""
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    if isinstance(name, str):
        return name
    raise InputError(f"{what} '{spec.name}' takes names or their indices, got a {type(name).__name__} among them")


def unfit(array: NDArray[Any], spec: TensorSpec, what: str) -> str:
    """The sentence for an array of another shape or type."""
    return f"{what} '{spec.name}' takes {_type(spec)}, got {array.dtype}{list(array.shape)}"


def _type(spec: TensorSpec) -> str:
    return f"{spec.dtype}{list(spec.shape)}"
