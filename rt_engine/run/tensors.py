"""A context's tensors by name: views of its memory that are written, never replaced."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rt_engine.errors import InputError
from rt_engine.program.program import TensorSpec
from rt_engine.program.values import fitted, spread


class Tensors(dict[str, NDArray[Any]]):
    """Name -> view in the arena. Assigning to a name copies into its view; names cannot be added or removed."""

    def __init__(
        self, views: Mapping[str, NDArray[Any]], categories: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        super().__init__(views)
        names = categories or {}
        self._specs = {n: TensorSpec(n, view.shape, view.dtype, tuple(names.get(n, ()))) for n, view in views.items()}
        self._forms = tuple((name, view, view.dtype, view.shape) for name, view in views.items())

    def __missing__(self, name: str) -> NDArray[Any]:
        raise InputError(f"there is no tensor '{name}' here; there is {', '.join(map(repr, self)) or 'none'}")

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        view = self[name]
        view[...] = spread(value, self._specs[name])

    def update(self, *others: Any, **named: Any) -> None:
        """Copy several values into their views."""
        for name, value in dict(*others, **named).items():
            self[name] = value

    def assign(self, values: Mapping[str, ArrayLike], what: str) -> None:
        """Copy a value into every view, or change nothing.

        Raises:
            InputError: a name is unknown or missing, or a shape or type does not fit.
        """
        if values is self:  # what `tensors |= {...}` ends with
            return
        if not self._are_alike(values):
            check_names(values, self, what)
            values = {name: fitted(values[name], spec, what) for name, spec in self._specs.items()}
        for name, view, _, _ in self._forms:
            view[...] = values[name]

    def _are_alike(self, values: Any) -> bool:
        """Is it a dictionary of just such arrays as are here? What is true of most needs no slower look."""
        if type(values) is not dict or len(values) != len(self._forms):
            return False
        for name, _, dtype, shape in self._forms:
            array = values.get(name)
            if type(array) is not np.ndarray or array.dtype != dtype or array.shape != shape:
                return False
        return True

    def __ior__(self, others: Any) -> "Tensors":  # type: ignore[override,misc]
        self.update(others)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and deeply copied, they are a dictionary of arrays of its own."""
        return dict, ({name: view.copy() for name, view in self.items()},)

    def _fixed(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a context's tensors cannot be added or removed")

    __delitem__ = pop = popitem = clear = setdefault = _fixed


def check_names(given: Any, wanted: Mapping[str, Any], what: str) -> None:
    """Raise InputError unless `given` is a mapping of just the names of `wanted`, specifications or arrays."""
    if isinstance(given, Mapping) and given.keys() == wanted.keys():
        return
    names = ", ".join(f"{name}: {tensor.dtype}{list(tensor.shape)}" for name, tensor in wanted.items()) or "none"
    if not isinstance(given, Mapping):
        raise InputError(
            f"{what}s are given as a dictionary of name -> array, got a {type(given).__name__}; the names are {names}"
        )
    wrong = [f"unknown {what} {name!r}" for name in sorted(map(str, given.keys() - wanted.keys()))]
    wrong += [f"missing {what} {name!r}" for name in sorted(wanted.keys() - given.keys())]
    if wrong:
        raise InputError(f"{', '.join(wrong)}; the {what}s are {names}")
