"""Give every graph input a static shape."""

import onnx_ir as ir

from rt_engine.errors import Reason, ShapeBindingError, UnsupportedModelError
from rt_engine.ops.graph import is_absurd
from rt_engine.passes.compilation import Compilation
from rt_engine.program.element_types import KNOWN


def bind_shapes(compilation: Compilation) -> bool:
    """Bind symbolic dimensions of the inputs.

    1. An input named in `shapes` takes that shape; fixed dimensions must agree.
    2. An unbound first dimension becomes 1 (the batch).
    3. Any other unbound dimension is an error; one error names all of them.
    4. A dimension with a name that case 1 bound elsewhere takes the same size.
    5. An input that is an initializer too is a constant, as in every runtime: it is no input any more.

    Requires: nothing. Ensures: static shapes on all inputs.
    """
    graph = compilation.graph
    for value in list(graph.inputs):
        if value.name in graph.initializers:
            graph.inputs.remove(value)
    names = {v.name: v for v in graph.inputs}
    for name in compilation.shapes:
        if name not in names:
            raise ShapeBindingError(
                f"{compilation.source} has no input '{name}'; its inputs are {', '.join(map(repr, names))}"
            )
    sizes: dict[str, int] = {}
    for name, shape in compilation.shapes.items():
        _bind_given(names[name], tuple(int(d) for d in shape), sizes, compilation.source)
    open_: list[str] = []
    for value in graph.inputs:
        if value.name not in compilation.shapes:
            open_ += _bind_rest(value, sizes, compilation.source)
    if open_:
        raise ShapeBindingError(_how_to_bind(open_, graph, compilation.source))
    reasons = [reason for value in graph.inputs for reason in _strange(value)]
    if reasons:
        raise UnsupportedModelError(compilation.source, reasons)
    for value in graph.inputs:
        if is_absurd(int(d) for d in value.shape or ()):  # type: ignore[arg-type]  # static by now
            raise ShapeBindingError(
                f"input '{value.name}' of {compilation.source} has the shape {value.shape}, more than memory can hold"
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


def _bind_given(value: ir.Value, shape: tuple[int, ...], sizes: dict[str, int], source: str) -> None:
    declared = value.shape
    if declared is not None and len(declared) != len(shape):
        raise ShapeBindingError(
            f"input '{value.name}' of {source} has {len(declared)} dimensions {declared}, got {list(shape)}"
        )
    for i, size in enumerate(shape):
        dim = declared[i] if declared is not None else None
        if size < 0 or (isinstance(dim, int) and dim != size):
            raise ShapeBindingError(f"dimension {i} of input '{value.name}' of {source} is {dim}, got {size}")
        if isinstance(dim, ir.SymbolicDim) and dim.value:
            sizes[str(dim.value)] = size
    value.shape = ir.Shape(shape)


def _bind_rest(value: ir.Value, sizes: dict[str, int], source: str) -> list[str]:
    """Bind what is known without the user; say what is not."""
    if value.shape is None:
        return [f"input '{value.name}' has no shape"]
    shape: list[int] = []
    unbound: list[str] = []
    for i, dim in enumerate(value.shape):
        if isinstance(dim, int):
            if dim < 0:
                raise ShapeBindingError(f"dimension {i} of input '{value.name}' of {source} is {dim}; export it again")
            shape.append(dim)
        elif dim.value is not None and str(dim.value) in sizes:
            shape.append(sizes[str(dim.value)])
        elif i == 0:
            shape.append(1)
        else:
            unbound.append(f"dimension {i} ('{dim.value or '?'}')")
    if unbound:
        known = ", ".join(str(d) if isinstance(d, int) else f"<{d.value or '?'}>" for d in value.shape)
        return [f"{' and '.join(unbound)} of input '{value.name}' [{known}]"]
    value.shape = ir.Shape(shape)
    return []


def _how_to_bind(unbound: list[str], graph: ir.Graph, source: str) -> str:
    """What has no size, and a call that would bind it, with gaps to fill in."""
    gaps = {
        str(v.name): "(1, ...)"
        if v.shape is None
        else f"({', '.join(str(d) if isinstance(d, int) else str(d.value or '?') for d in v.shape)})"
        for v in graph.inputs
        if v.shape is None or not all(isinstance(d, int) for d in v.shape)
    }
    shapes = ", ".join(f"'{name}': {shape}" for name, shape in gaps.items())
    return (
        f"{source} has sizes that are not known: {'; '.join(unbound)}; bind them with numbers: "
        f"rt_engine.load(path, shapes={{{shapes}}})"
    )
