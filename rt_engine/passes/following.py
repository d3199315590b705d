"""The walk through lengths that are only known at run time: what `passes.specialise` asks for every node."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rt_engine.lower.lower import label
from rt_engine.ops.base import RT_DOMAIN, Refusal
from rt_engine.ops.graph import add_constant, constant, name_in_file
from rt_engine.passes.compilation import Compilation
from rt_engine.passes.lengths import Along, Length, Lengths, Size

BOUND_HELP = "load it with bounds={{'{0}': the most that there can be}}, --bound {0}=N"


def from_front(axis: int, rank: int) -> int:
    """An axis, from 0."""
    if not -rank <= axis < rank:
        raise Refusal(f"axis {axis} of a tensor with {rank} dimensions", "correct the axis")
    return axis % rank


@dataclass(slots=True)
class Step:
    """A node on the walk, and what a rule may do with it."""

    compilation: Compilation
    node: ir.Node
    infer: Callable[[ir.Node], None]

    @property
    def lengths(self) -> Lengths:
        """What is known so far."""
        return self.compilation.lengths

    def value(self, i: int) -> ir.Value | None:
        """An input, None where it is absent."""
        return self.node.inputs[i] if i < len(self.node.inputs) else None

    def given(self, i: int) -> ir.Value:
        """An input that must be there."""
        value = self.value(i)
        if value is None:
            raise Refusal(f"input {i} is missing")
        return value

    def along(self, i: int) -> Along | None:
        """The axis of an input whose length is only known at run time."""
        value = self.value(i)
        return None if value is None else self.lengths.along.get(value)

    def shape(self, i: int) -> tuple[int, ...]:
        """An input's shape, with bounds."""
        value = self.given(i)
        array = constant(value)
        if array is not None:
            return array.shape
        assert value.shape is not None, value
        return tuple(int(d) for d in value.shape)  # type: ignore[arg-type]  # static by now

    def dtype(self, i: int) -> Any:
        """An input's type."""
        value = self.given(i)
        array = constant(value)
        return array.dtype if array is not None else np.dtype(value.dtype.numpy())  # type: ignore[union-attr]

    def dims(self, i: int) -> list[Size]:
        """An input's shape, with lengths."""
        dims: list[Size] = list(self.shape(i))
        if (along := self.along(i)) is not None:
            dims[along.axis] = along.length
        return dims

    def sizes(self, i: int) -> list[Size] | None:
        """The elements of an input, as far as they are known; None if nothing is."""
        value = self.given(i)
        array = constant(value)
        if array is not None:
            return [int(n) for n in array.reshape(-1)] if array.dtype.kind in "iub" and array.size <= 64 else None
        return self.lengths.known.get(value)

    def ints(self, i: int, what: str) -> list[int]:
        """The elements of an input that must be known."""
        sizes = self.sizes(i)
        if sizes is None or not all(isinstance(size, int) for size in sizes):
            raise Refusal(f"{what} is computed at run time, and so is a length", "make it a constant")
        return sizes  # type: ignore[return-value]

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute's value."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.value

    def axis(self, default: int, rank: int, name: str = "axis") -> int:
        """An attribute that is an axis, from 0."""
        return from_front(int(self.attr(name, default)), rank)

    def bound(self, natural: int | None, what: str) -> int:
        """The smaller of what the operator says and the user gives.

        Raises:
            Refusal: neither does.
        """
        given = [
            self.compilation.binding.bounds[name] for name in self.names() if name in self.compilation.binding.bounds
        ]
        self.lengths.used.update(self.names())
        most = min([*given, *([] if natural is None else [natural])], default=None)
        if most is None:
            raise Refusal(f"{what} is only known at run time, and has no bound", BOUND_HELP.format(self.names()[0]))
        return most

    def names(self) -> list[str]:
        """What a user may call this node's length: the outputs, the node, a dimension that the file names; as the file has them first.

        A node that was inlined has another name in each place, and still the one of the file (`passes.inlining`).
        """
        names = [str(v.name) for v in self.node.outputs if v.name] + ([self.node.name] if self.node.name else [])
        names = list(dict.fromkeys([*map(name_in_file, names), *names]))
        for value in self.node.outputs:
            names += [str(d.value) for d in value.shape or () if isinstance(d, ir.SymbolicDim) and d.value]
        return names

    def emit(
        self, op: str, inputs: Sequence[ir.Value | None], outputs: int = 1, domain: str = RT_DOMAIN, **attributes: Any
    ) -> tuple[ir.Value, ...]:
        """The outputs of a node in front of this one; the one that is there already, if it is the same."""
        graph = self.compilation.graph
        key = (id(graph), domain, op, tuple(inputs), outputs, tuple(sorted((k, str(v)) for k, v in attributes.items())))
        if key not in self.lengths.made:
            name = f"{label(self.node)}.{op}.{len(self.lengths.made)}"
            made = ir.node(op, list(inputs), attributes, domain=domain, num_outputs=outputs, name=name)
            for i, value in enumerate(made.outputs):
                value.name = f"{name}.{i}"
            graph.insert_before(self.node, made)
            self.infer(made)
            self.lengths.made[key] = tuple(made.outputs)
        return self.lengths.made[key]

    def constant(self, array: NDArray[Any], name: str = "size") -> ir.Value:
        """A constant of the graph."""
        return add_constant(self.compilation.graph, f"{label(self.node)}.{name}", array)

    def take(self, i: int, value: ir.Value) -> None:
        """Let the node read another value."""
        self.node.replace_input_with(i, value)

    def become(self, values: Sequence[ir.Value]) -> None:
        """Other values take the place of this node and its outputs."""
        graph, given = self.compilation.graph, [v for v in self.node.outputs if v.is_graph_output()]
        for old, new in zip(self.node.outputs, values, strict=False):
            if old in given and new.is_graph_output():
                copied = ir.node("Identity", [new], name=f"{label(self.node)}.{old.name}")
                graph.insert_before(self.node, copied)
                self.infer(copied)
                if new in self.lengths.along:
                    self.lengths.along[copied.outputs[0]] = self.lengths.along[new]
                new = copied.outputs[0]
            ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
            if old in given and old.name:
                new.name = old.name
        graph.remove(self.node, safe=True)

    def scalar(self, length: Length, **attributes: Any) -> ir.Value:
        """A length, or what is made of it, as an int64 scalar."""
        if length.factor == 1 and not attributes:
            return length.count
        return self.emit("Length", [length.count], factor=length.factor, **attributes)[0]

    def clear(self, i: int, value: Any = 0, least: int = 0) -> None:
        """Let the node read this input with its rest set to a value; nothing, if it has none."""
        along = self.along(i)
        if along is not None:
            self.take(i, self.cleared(self.given(i), along, value, least))

    def cleared(self, x: ir.Value, along: Along, value: Any = 0, least: int = 0) -> ir.Value:
        """A tensor with its rest set to a value; it has at least so many elements, or the run has a status."""
        dtype = np.dtype(x.dtype.numpy()) if x.dtype is not None else constant(x).dtype  # type: ignore[union-attr]
        one = np.asarray(value).astype(dtype).tobytes()
        pattern = int(np.frombuffer((one * 8)[:8], np.int64)[0])
        (out,) = self.emit(
            "ClearRest",
            [x, along.length.count],
            axis=along.axis,
            factor=along.length.factor,
            pattern=pattern,
            least=least,
        )
        self.lengths.along[out] = along
        return out


def filled(sizes: Sequence[Size]) -> tuple[list[int], Along | None]:
    """(a shape with bounds, the axis that has one).

    Raises:
        Refusal: more than one axis, or a size that nothing is known of.
    """
    found: list[Along] = []
    for axis, size in enumerate(sizes):
        if size is None:
            raise Refusal("a size in its shape is only known at run time, and has no bound", "make it a constant")
        if isinstance(size, Length):
            found.append(Along(axis, size))
    if len(found) > 1:
        raise Refusal("two of its axes have a length that is only known at run time", "one is supported")
    return [size.bound if isinstance(size, Length) else int(size or 0) for size in sizes], (found[0] if found else None)
