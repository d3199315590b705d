"""Give every graph input a static shape."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.binding import Plain, array_of
from rt_engine.errors import InputError, Reason, ShapeBindingError, UnsupportedModelError
from rt_engine.ops.graph import is_absurd
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.sequences import spread_inputs
from rt_engine.program.element_types import KNOWN
from rt_engine.program.program import TensorSpec
from rt_engine.program.values import fitted
from rt_engine.read.frontend import NAMING

_Sizes = dict[str, tuple[int, str]]
"""Name of a dimension -> its size, and the input that gave it."""


def bind_shapes(compilation: Compilation) -> bool:
    """Bind symbolic dimensions of the inputs.

    1. An input named in `shapes` takes that shape; fixed dimensions must agree, and equal names must have equal sizes.
    2. A dimension with a name that case 1 bound elsewhere takes the same size. What exporters write where they know no name
       (`?`, `None`) is none.
    3. An unbound first dimension is assumed to be 1 (the batch), unless its name stands at another place too.
    4. Any other unbound dimension is an error; one error names all of them.
    5. An input that is an initializer too is a constant, as in every runtime: it is no input any more.
    6. An input named in `values` has that value's shape, and is a constant from here on.
    7. An input that is a sequence becomes an input for each of its tensors (`passes.sequences`).

    Requires: nothing. Ensures: static shapes on all inputs; what was assumed is in `compilation.assumed`.
    """
    graph, source = compilation.graph, compilation.source
    for value in list(graph.inputs):
        if value.name in graph.initializers:
            graph.inputs.remove(value)
    spread_inputs(compilation)
    sizes = _bind_given(compilation)
    given = {*compilation.binding.shapes, *compilation.binding.values}
    rest = [value for value in graph.inputs if value.name not in given]
    _take_known(rest, sizes, source)
    _check_known(rest, source)
    compilation.assumed.extend(_assume_batches(rest))
    _fix_values(compilation)
    reasons = [reason for value in graph.inputs for reason in _strange(value)]
    if reasons:
        raise UnsupportedModelError(source, reasons)
    for value in graph.inputs:
        if is_absurd(int(d) for d in value.shape or ()):  # type: ignore[arg-type]  # static by now
            raise ShapeBindingError(
                f"input '{value.name}' of {source} has the shape {value.shape}, more than memory can hold"
            )
    return True


_NUMBERS = {ir.DataType.from_numpy(dtype) for dtype in KNOWN}


def _strange(value: ir.Value) -> list[Reason]:
    """Only numbers are fed."""
    if value.dtype in _NUMBERS:
        return []
    return [
        Reason(str(value.name), "input", f"the type of input '{value.name}' is {value.dtype}", "feed numbers or bool")
    ]


def _bind_given(compilation: Compilation) -> _Sizes:
    """Case 1; gives the sizes of names."""
    source, sizes = compilation.source, _Sizes()
    inputs = {value.name: value for value in compilation.graph.inputs}
    binding = compilation.binding
    fixed = {name: _fixed(inputs.get(name), name, value).shape for name, value in binding.values.items()}
    if twice := [name for name in fixed if name in binding.shapes and tuple(binding.shapes[name]) != fixed[name]]:
        raise ShapeBindingError(f"input '{twice[0]}' of {source} has a shape and a value of another shape")
    for name, given in {**binding.shapes, **fixed}.items():
        if name not in inputs:
            raise ShapeBindingError(f"{source} has no input '{name}'; its inputs are {', '.join(map(repr, inputs))}")
        value, shape = inputs[name], tuple(int(d) for d in given)
        declared = value.shape
        if declared is not None and len(declared) != len(shape):
            raise ShapeBindingError(
                f"input '{name}' of {source} has {len(declared)} dimensions {declared}, got {list(shape)}"
            )
        for i, size in enumerate(shape):
            dim = declared[i] if declared is not None else None
            if size < 0 or (isinstance(dim, int) and dim != size):
                raise ShapeBindingError(f"dimension {i} of input '{name}' of {source} is {dim}, got {size}")
            if dim is None or not (called := _name(dim)):
                continue
            known, by = sizes.setdefault(called, (size, name))
            if known != size:
                raise ShapeBindingError(
                    f"'{called}' is one size in {source}: input '{by}' has {known} for it, input '{name}' has {size}"
                )
        value.shape = ir.Shape(shape)
    return sizes


def _fix_values(compilation: Compilation) -> None:
    """Case 6."""
    graph = compilation.graph
    for value in [value for value in graph.inputs if value.name in compilation.binding.values]:
        name, given = str(value.name), compilation.binding.values[str(value.name)]
        array = _fixed(value, name, given)
        naming = compilation.model.meta[NAMING]
        categories = naming.categories.pop(name, ())
        if value.dtype not in _NUMBERS or (array.dtype.kind == "U" and not categories):
            raise ShapeBindingError(f"input '{name}' of {compilation.source} is {value.dtype}: it cannot be {given!r}")
        try:
            spec = TensorSpec(name, array.shape, value.dtype.numpy(), categories)
            fixed = fitted(array, spec, "input").astype(spec.dtype)
        except InputError as error:
            raise ShapeBindingError(f"{error}, in {compilation.source}") from error
        graph.inputs.remove(value)
        value.const_value = ir.Tensor(fixed, name=name)
        graph.register_initializer(value)
        shown = f"{given}" if fixed.size <= _SHOWN else f"{fixed.dtype}{list(fixed.shape)}"
        compilation.fixed.append(f"input '{name}' is fixed: {shown}")


def _fixed(value: ir.Value | None, name: str, given: Plain) -> NDArray[Any]:
    """What is given, as an array; one number or name fills the shape that the file declares, with 1 for a first size that is open."""
    array = array_of(name, given)
    declared = () if value is None or value.shape is None else tuple(value.shape)
    assumed = (1 if not (i or isinstance(size, int)) else size for i, size in enumerate(declared))
    sizes = [size for size in assumed if isinstance(size, int) and size >= 0]
    if not array.ndim and prod(sizes) > _MOST_FIXED:
        raise ShapeBindingError(
            f"input '{name}' {list(declared)} has more than {_MOST_FIXED:,} elements: too many for a value"
        )
    return np.broadcast_to(array, sizes) if not array.ndim and len(sizes) == len(declared) else array


def _take_known(values: list[ir.Value], sizes: _Sizes, source: str) -> None:
    """Case 2."""
    for value in values:
        for i, dim in enumerate(value.shape or ()):
            if isinstance(dim, int) and dim < 0:
                raise ShapeBindingError(f"dimension {i} of input '{value.name}' of {source} is {dim}; export it again")
        if value.shape is not None:
            value.shape = ir.Shape(sizes.get(_name(d), (d, ""))[0] for d in value.shape)


def _check_known(values: list[ir.Value], source: str) -> None:
    """Case 4. What is said shows first dimensions by their names too: it is the user's to say what they are."""
    elsewhere = {_name(dim) for value in values for i, dim in enumerate(value.shape or ()) if i} - {""}
    words: list[str] = []
    gaps: dict[str, tuple[int | str, ...]] = {}
    for value in values:
        missing = [
            f"dimension {i} ('{_name(dim) or '?'}')"
            for i, dim in enumerate(value.shape or ())
            if not isinstance(dim, int) and (i or _name(dim) in elsewhere)
        ]
        if value.shape is None:
            words.append(f"input '{value.name}' has no shape")
            gaps[str(value.name)] = (1, "...")
        elif missing:
            shape = tuple(dim if isinstance(dim, int) else _name(dim) or "?" for dim in value.shape)
            shown = ", ".join(str(d) if isinstance(d, int) else f"<{d}>" for d in shape)
            words.append(f"{' and '.join(missing)} of input '{value.name}' [{shown}]")
            gaps[str(value.name)] = shape
    if gaps:
        raise ShapeBindingError(f"{source} has sizes that are not known: {'; '.join(words)}", gaps)


def _assume_batches(values: list[ir.Value]) -> Iterator[str]:
    """Case 3; gives what was assumed."""
    batches: dict[str, list[str]] = {}
    for value in values:
        first, *others = value.shape or (1,)
        if not isinstance(first, int):
            batches.setdefault(_name(first), []).append(str(value.name))
            value.shape = ir.Shape([1, *others])
    for name, inputs in batches.items():
        called = f" ('{name}')" if name else ""
        shown = ", ".join(inputs[:_SHOWN]) + (f" and {len(inputs) - _SHOWN} more" if len(inputs) > _SHOWN else "")
        yield f"the file leaves the first size{called} of {shown} open: taken as 1"


_SHOWN = 5
_MOST_FIXED = 1 << 26
"""Elements of an input that one number is the value of."""


_NO_NAMES = ("?", "None")
"""PaddlePaddle's and other exporters' words for a size that they do not know: two of them need not be equal."""


def _name(dim: int | ir.SymbolicDim) -> str:
    name = "" if isinstance(dim, int) else str(dim.value or "")
    return "" if name in _NO_NAMES else name
