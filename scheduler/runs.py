"""Entries of a task that lie in a row become one run: native code moves it as a whole (INPUT, OUTPUT of `scheduler.task_block`).

entries   a: cell 4 -> x[0]   b: cell 5 -> x[1]   c: cell 6 -> x[2], scale 0.1   d: cell 9 -> x[3]
runs      a b: cells 4, 5 -> x[0], x[1]           c                              d
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from scheduler.task import Input, Output

Entry = TypeVar("Entry", Input, Output)


@dataclass(frozen=True, slots=True)
class Run(Generic[Entry]):
    """Entries in a row as one: `entry` with the count of all; its first value is number `number` among all of the task."""

    entry: Entry
    number: int


def runs(entries: Sequence[Entry]) -> Iterator[Run[Entry]]:
    """The runs of a task's inputs, or outputs, in their order."""
    number = start = 0
    first: Entry | None = None
    count = 0
    for entry in entries:
        if first is not None and _goes_on(first, count, entry):
            count += entry.count
        else:
            if first is not None:
                yield Run(_whole(first, count), start)
            first, count, start = entry, entry.count, number
        number += entry.count
    if first is not None:
        yield Run(_whole(first, count), start)


def spacing_of(entry: Input) -> int:
    """Elements from one sample of a window to the next."""
    return entry.spacing or entry.count


def _whole(first: Entry, count: int) -> Entry:
    if isinstance(first, Input):
        return replace(first, count=count, spacing=spacing_of(first))
    return replace(first, count=count)


def _goes_on(first: Input | Output, count: int, entry: Input | Output) -> bool:
    """Is `entry` the next after `count` values from `first` on, cell and element, moved in the same way?"""
    return (
        entry.channel is first.channel
        and entry.cell == first.cell + count
        and entry.tensor == first.tensor
        and (entry.tensor is None or entry.index == first.index + count)
        and (entry.scale, entry.offset) == (first.scale, first.offset)
        and _window(entry) == _window(first)
        and _clipping(entry) == _clipping(first)
    )


def _window(entry: Input | Output) -> tuple[int, int, int]:
    """(window, stride, spacing); the spacing does not matter where the window is one sample."""
    if isinstance(entry, Output):
        return 1, 1, 0
    return entry.window, entry.stride, spacing_of(entry) if entry.window > 1 else 0


def _clipping(entry: Input | Output) -> tuple[float | None, float | None]:
    """(low, high) of an input; an output's are in arrays of their own."""
    return (entry.low, entry.high) if isinstance(entry, Input) else (None, None)


def bounds_of(entry: Input) -> tuple[float, float]:
    """(least, greatest) of what the model gets, as elements: after scale and offset."""
    low = -math.inf if entry.low is None else entry.low
    high = math.inf if entry.high is None else entry.high
    ends = low * entry.scale + entry.offset, high * entry.scale + entry.offset
    return min(ends), max(ends)
