"""Does a contract fit the model that it is of? Everything that contradicts is named."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rt_engine.contract.terms import Contract, TensorContract, TestVector
from rt_engine.errors import ContractError

Shape = tuple[int | None, ...]
"""None: a size that the file leaves open."""
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a model as far as it is known; `shape` None: nothing is known of it."""

    name: str
    shape: Shape | None

    @property
    def size(self) -> int | None:
        """How many elements; a first size that is left open is taken as 1, as `load` does. None: not known."""
        if self.shape is None:
            return None
        sizes = [1 if at == 0 and size is None else size for at, size in enumerate(self.shape)]
        return None if None in sizes else math.prod(size for size in sizes if size is not None)


@dataclass(frozen=True, slots=True)
class Ends:
    """What goes in and out of a model; `states` are inputs that its runs carry themselves."""

    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    states: Sequence[Tensor] = ()


def check(contract: Contract, ends: Ends, title: str) -> None:
    """Raise ContractError unless the contract fits; names every contradiction.

    Args:
        contract: of this model.
        ends: the model's tensors.
        title: what messages call the model.
    """
    if wrong := list(_contradictions(contract, ends)):
        more = f"\n  and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        lines = "".join(f"\n  - {line}" for line in wrong[:_SHOWN])
        raise ContractError(f"the contract of {title} contradicts the model:{lines}{more}\n{_HELP}")


_HELP = "correct it, and attach it again: `rt-engine contract MODEL --template` writes one that fits"


def _contradictions(contract: Contract, ends: Ends) -> Iterator[str]:
    inputs = {tensor.name: tensor for tensor in (*ends.inputs, *ends.states)}
    outputs = {tensor.name: tensor for tensor in ends.outputs}
    for side, tensors, there in (("input", contract.inputs, inputs), ("output", contract.outputs, outputs)):
        for name in dict.fromkeys(part.name for part in tensors):
            yield from _of_tensor(side, [part for part in tensors if part.name == name], there)
    yield from _of_state(contract, inputs, outputs)
    sizes = {part.name: len(contract.elements(part.name)) for part in (*contract.inputs, *contract.outputs)}
    for found in contract.statistics:
        tensor_size = sizes.get(found.tensor)
        if tensor_size is None and (there_is := (inputs | outputs).get(found.tensor)) is not None:
            tensor_size = there_is.size
        elif tensor_size is None:
            yield f"there are statistics of '{found.tensor}', the model has {_names(inputs | outputs)}"
        if tensor_size is not None and tensor_size != len(found.mean):
            yield f"the statistics of '{found.tensor}' have {len(found.mean)} elements, one sample of it has {tensor_size}"
    carried = {tensor.name for tensor in ends.states} | set(contract.state.values())
    fed = {name: tensor for name, tensor in inputs.items() if name not in carried}
    for at, vector in enumerate(contract.vectors):
        yield from _of_vector(f"test vector {at}", vector, fed, outputs)


def _of_tensor(side: str, parts: list[TensorContract], there: dict[str, Tensor]) -> Iterator[str]:
    name = parts[0].name
    if name not in there:
        yield f"it describes the {side} '{name}', the model has {_names(there)}"
        return
    size, described = there[name].size, sum(part.size for part in parts)
    if size is not None and size != described:
        said = " + ".join(f"{len(p.elements)}" + (f" x {p.window} samples" if p.window > 1 else "") for p in parts)
        total = f" = {described}" if not said.isdigit() else ""
        yield f"{side} '{name}' has {said}{total} elements, its shape {_shape(there[name])} has {size}"


def _of_state(contract: Contract, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> Iterator[str]:
    for output, name in contract.state.items():
        if output not in outputs or name not in inputs:
            yield (
                f"its state '{output}' -> '{name}' is no output and input; the model has the outputs {_names(outputs)} and the "
                f"inputs {_names(inputs)}"
            )
        elif None not in (sizes := (outputs[output].size, inputs[name].size)) and sizes[0] != sizes[1]:
            yield (
                f"its state '{output}' -> '{name}' has {_shape(outputs[output])} on one side and {_shape(inputs[name])} on the other"
            )


def _of_vector(what: str, vector: TestVector, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> Iterator[str]:
    if set(vector.inputs) != set(inputs):
        yield f"{what} has the inputs {_names(vector.inputs)}, the model takes {_names(inputs)}"
    if not set(vector.outputs) <= set(outputs):
        yield f"{what} has the outputs {_names(vector.outputs)}, the model has {_names(outputs)}"
    for arrays, there in ((vector.inputs, inputs), (vector.outputs, outputs)):
        for name, array in arrays.items():
            tensor = there.get(name)
            if tensor is not None and tensor.shape is not None and not _fits(array.shape, tensor.shape):
                yield f"{what} has {list(array.shape)} for '{name}', its shape is {_shape(tensor)}"


def _fits(given: tuple[int, ...], shape: Shape) -> bool:
    return len(given) == len(shape) and all(size is None or size == n for n, size in zip(given, shape, strict=True))


def _shape(tensor: Tensor) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in tensor.shape or ()) + "]"


def _names(names: object) -> str:
    listed = [f"'{name}'" for name in names]  # type: ignore[attr-defined]  # dictionaries
    return ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "") or "none"
