"""What a user says of a model that its file leaves open, as one value: everything that loads a model takes it whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import ShapeBindingError, StateError

Shapes = Mapping[str, tuple[int, ...]]
States = Mapping[str, str]
Plain = Any
"""A number, a truth value, a name, or lists of them, as JSON and TOML write them."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What the file of a model leaves open, and what is to be fixed in it. Made by `binding`, it is what it says it is.

    Attributes:
        shapes: input name -> static shape.
        state: output name -> name of the input that it is in the next run.
        values: input name -> what it always is: it is no input any more.
        bounds: name of a tensor, a node or a symbolic dimension -> most that a length can be that is known at run time only.
    """

    shapes: Shapes = field(default_factory=dict)
    state: States = field(default_factory=dict)
    values: Mapping[str, Plain] = field(default_factory=dict)
    bounds: Mapping[str, int] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """For `rt_engine.load`, by its names."""
        return {name: dict(given) for name, given in self._parts() if given}

    def to_json(self) -> dict[str, Any]:
        """For another process, and for a file. What says nothing is left out."""
        return {
            name: {key: list(value) if name == "shapes" else value for key, value in given.items()}
            for name, given in self._parts()
            if given
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Binding:
        """What `to_json` gave, or tables of a station file that was read.

        Raises:
            ShapeBindingError, StateError: it is nothing of the kind.
        """
        shapes = data.get("shapes")
        if isinstance(shapes, Mapping):
            shapes = {name: tuple(given) if isinstance(given, list) else given for name, given in shapes.items()}
        return binding(shapes, data.get("state"), data.get("values"), data.get("bounds"))

    def _parts(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        return (("shapes", self.shapes), ("state", self.state), ("values", self.values), ("bounds", self.bounds))


def binding(shapes: Any = None, state: Any = None, values: Any = None, bounds: Any = None) -> Binding:
    """What `rt_engine.load` was given, checked: else the model would be blamed.

    Raises:
        ShapeBindingError, StateError: something is not what `rt_engine.load` documents.
    """
    for given, fits, what in (
        (shapes, _is_shape, "shapes are a dictionary of input name -> whole numbers, as {'x': (1, 16)}"),
        (bounds, _is_bound, "bounds are a dictionary of name -> whole number from 1 on, as {'boxes': 100}"),
        (values, lambda _: True, "values are a dictionary of input name -> what it always is, as {'sr': 16000}"),
    ):
        if given is not None and not (isinstance(given, Mapping) and all(map(fits, given.values()))):
            raise ShapeBindingError(f"{what}; got {given!r}")
    if state is not None and not (isinstance(state, Mapping) and all(isinstance(name, str) for name in state.values())):
        raise StateError(f"state is a dictionary of output name -> input name, as {{'h_out': 'h_in'}}; got {state!r}")
    return Binding(
        {name: tuple(map(int, shape)) for name, shape in (shapes or {}).items()},
        dict(state or {}),
        {name: _plain(name, value) for name, value in (values or {}).items()},
        {name: int(bound) for name, bound in (bounds or {}).items()},
    )


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, tuple | list) and all(isinstance(size, Integral) for size in shape)


def _is_bound(bound: Any) -> bool:
    return isinstance(bound, Integral) and not isinstance(bound, bool) and int(bound) >= 1


def _plain(name: str, value: Any) -> Plain:
    """As lists: equal values are equal then, and travel as JSON."""
    return array_of(name, value).tolist()


def array_of(name: str, value: Any) -> NDArray[Any]:
    """A value of `Binding.values` as an array of numbers, truth values or names.

    Raises:
        ShapeBindingError: it is none.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeBindingError(f"the value of input '{name}' is no array: {error}") from error
    if array.dtype.kind not in "biufU":
        raise ShapeBindingError(f"the value of input '{name}' is {value!r}; give numbers, true or false, or names")
    return array


UNBOUND = Binding()
"""Nothing is said."""
