"""Inputs of convolutions that write over them lie elsewhere on several cores, so that these can be cut. Pure.

    arena        |x x x x x x          one core: an output pixel is written where input pixels were that nobody needs any more
             |out out out
    elsewhere    |x x x x x x          memory that a context has besides its arena: operands from `ELSEWHERE` on

Moved is what the records from the one that writes all of x to the convolution do with it; in between it is alive, so nothing else lies
there. Where it is not plain that a record writes all of it, it stays, and the convolution is one piece.
"""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from rt_engine.kernels.interface.conv import CONV, DEPTHWISE
from rt_engine.kernels.interface.elementwise import MAP
from rt_engine.kernels.interface.movement import COPY_BLOCKS, COPY_STRIDED, FILL
from rt_engine.kernels.interface.qdepthwise import QDEPTHWISE
from rt_engine.program.program import Program
from rt_engine.run.axes import FAMILIES, Reading, is_over
from rt_engine.run.jumps import borders
from rt_native.memory import align

ELSEWHERE = 1 << 44
"""No arena is so large."""
_BEHIND = 64
"""Bytes that may be read behind an input, as whole vectors are."""

Ranges = list[tuple[int, int]]


def _conv(r: Reading, item: int) -> tuple[int, int, int]:
    x, out = r.x_pixels * r.x_channels, r.out_pixels * r.out_channels
    return r.images * x * item, r.images * out * item, r.zeros * item


def _depthwise(r: Reading, item: int) -> tuple[int, int, int]:
    return r.images * r.x_image, r.images * r.pixels * max(r.count, 1) * r.channels * (4 if r.sums else 1), 0


_SIZES: dict[str, Callable[[Reading, int], tuple[int, int, int]]] = {CONV.name: _conv, QDEPTHWISE.name: _depthwise}
"""Bytes of the input, of the output, and of zeros behind the input that the convolution writes itself."""


def moved_elsewhere(program: Program, records: NDArray[Any], kept: Ranges) -> tuple[NDArray[Any], int]:
    """The records, and the bytes that they need elsewhere. `kept`: what outlives a run, and stays."""
    names = [program.kernels[int(kernel)] for kernel in records["kernel"]]
    begins, found, used = borders(program.kernels, records), records.copy(), 0
    for at, name in enumerate(names):
        family = FAMILIES.get(name)
        sizes = _SIZES.get(family.fields.name) if family and not name.startswith("dot") else None
        if family is not None and sizes is not None:
            values = Reading(family.fields, found[at])
            nbytes, out, zeros = sizes(values, family.item)
            span = (values.x, values.x + nbytes)
            if is_over(values, nbytes, out) and not any(first < span[1] and span[0] < end for first, end in kept):
                first = _writer(names, found, begins, at, span, nbytes - zeros)
                if first is not None:
                    _move(names, found, (first, at), span, ELSEWHERE + used)
                    used += align(nbytes + _BEHIND)
    return found, used


def _writer(
    names: list[str], records: NDArray[Any], begins: set[int], at: int, span: tuple[int, int], nbytes: int
) -> int | None:
    """The record before `at` that writes all `nbytes` that begin there, and no more than fits; None, where that is not plain.

    Copies may have come behind it. What was read before them is another tensor, which had the place before, and may be larger.
    """
    copied = False
    for index in range(at - 1, -1, -1):
        if index + 1 in begins:
            return None
        if not _inside(records[index], span):
            continue
        family = FAMILIES.get(names[index])
        if family is None:
            return None
        values = Reading(family.fields, records[index])
        written = [getattr(values, name) for name in family.fields.written]
        if written == [span[0]] and nbytes <= _written(family.fields.name, values, family.item) <= span[1] - span[0]:
            return index
        copies = family.fields.name in (COPY_STRIDED.name, COPY_BLOCKS.name) and written == [span[0]]
        if not copies and (copied or any(span[0] <= place < span[1] for place in written)):
            return None
        copied = copied or copies
    return None


def _written(family: str, values: Reading, item: int) -> int:
    """Bytes that a record surely writes, in a row."""
    if family == FILL.name:
        return int(values.nbytes)
    if family in (CONV.name, DEPTHWISE.name):
        return int(values.images * values.out_pixels * values.out_channels * item)
    return int(values.n * item) if family == MAP.name else 0


def _inside(record: Any, span: tuple[int, int]) -> list[int]:
    """Operands of the arena that lie in a range."""
    return [i for i, place in enumerate(record["operand"]) if place % 2 == 0 and span[0] <= place < span[1]]


def _move(names: list[str], records: NDArray[Any], ends: tuple[int, int], span: tuple[int, int], to: int) -> None:
    """From what the first record writes to what the last one reads."""
    first, last = ends
    for index in range(first, last + 1):
        places = set(_inside(records[index], span))
        if index in ends:
            fields = FAMILIES[names[index]].fields
            places &= {fields.places[name].index for name in (fields.written if index == first else ("x",))}
        for place in places:
            records["operand"][index, place] += to - span[0]
