"""Outputs paired with the inputs that they become in the next run."""

from collections.abc import Mapping, Sequence
from typing import Any

from rt_engine.errors import StateError
from rt_engine.program.calls import Buffer


def pair_state(
    state: Mapping[str, str], inputs: Sequence[Buffer], outputs: Sequence[Buffer], source: str
) -> tuple[tuple[Buffer, Buffer], ...]:
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
