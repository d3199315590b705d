"""Convolutions by Winograd's algorithms, whose three steps are cut together: a piece is all of them, for a range of tiles. Pure.

    records    in  product  out | in  product  out | ...      blocks of tiles, one after the other in the same memory, v and m
    tiles      0 ............ 24 | 24 ........... 48 | ...
    piece 0    in  product  out | in' product' out'           tiles 0 to 30, with v and m of its own
    piece 1    in' product' out' | in  product  out           tiles 30 to 60, with v and m of its own

Cut one by one, each record would be waited for by all cores, and half of v and m would travel to the core that did not make it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.kernels.interface.conv import CONV
from rt_engine.kernels.interface.winograd import WINOGRAD_IN, WINOGRAD_OUT
from rt_engine.program.program import ABSENT, Program
from rt_engine.run.axes import FAMILIES, Reading
from rt_engine.run.pieces import part_of

_IN, _PRODUCT, _OUT = "_in", "conv_f32", "_out"
_STEPS = ((WINOGRAD_IN, "tiles", ("v",)), (CONV, "out_pixels", ("x", "out")), (WINOGRAD_OUT, "tiles", ("m",)))
"""What each record is, along what it is cut, and which of its operands are v and m."""
_LINE = 64
_TALL, _LEAST = 6, 4
"""Tiles that a product works through at once, and how many take no less time than one."""
_WEIGHTS = 4
"""To read all weights takes about as long as so many tiles."""

Records = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A record of a piece. The operands in `own` count bytes in memory that a context has for its pieces, besides its arena."""

    record: NDArray[Any]
    own: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """One convolution: the records from `first` to `end` - 1 of a program, three for each block of tiles."""

    first: int
    end: int
    kernels: tuple[str, str, str]
    records: Records

    @property
    def tiles(self) -> list[int]:
        """Of each block."""
        place = WINOGRAD_IN.places["tiles"].index
        return [int(record["size"][place]) for record in self.records[::3]]

    def named(self, step: int, block: int = 0) -> Reading:
        """The fields of a record: 0 is the transform of the input, 1 the product, 2 the transform of the output."""
        return Reading(_STEPS[step][0], self.records[3 * block + step])

    def pieces(self, parts: int) -> tuple[list[list[Step]], int]:
        """Up to `parts` pieces, and the bytes that all of them need besides the arena."""
        borders, most = _borders(self.tiles, parts), max(self.tiles)
        v, m = (-(-most * self._move(step, name) // _LINE) * _LINE for step, name in ((0, "v"), (2, "m")))
        found = [list(self._steps(*ends, (i * (v + m), i * (v + m) + v))) for i, ends in enumerate(pairwise(borders))]
        return found, len(found) * (v + m)

    def within(self, times: Sequence[float], longest_ns: float) -> Iterator["Chain"]:
        """The same, as chains of so many blocks as take no longer on one core; `times`: nanoseconds of the program's records."""
        first, together = self.first, 0.0
        for at in range(self.first, self.end, 3):
            ns = sum(times[at : at + 3])
            if at > first and together + ns > longest_ns:
                yield self._of(first, at)
                first, together = at, 0.0
            together += ns
        yield self._of(first, self.end)

    def _of(self, first: int, end: int) -> "Chain":
        return Chain(first, end, self.kernels, self.records[first - self.first : end - self.first])

    def _steps(self, first: int, end: int, own: tuple[int, int]) -> Iterator[Step]:
        """The records of tiles `first` to `end` - 1, with v and m at `own`."""
        begin = 0
        for block, tiles in enumerate(self.tiles):
            low, high = max(first - begin, 0), min(end - begin, tiles)
            begin += tiles
            for step, (fields, size, names) in enumerate(_STEPS if low < high else ()):
                axes = FAMILIES[self.kernels[step]].axes(self.named(step, block), 4)
                axis = next(axis for axis in axes if axis.size == size)
                record = self.records[3 * block + step].copy()
                places = tuple(fields.places[name].index for name in names)
                record["operand"][list(places)] = own if step == 1 else own[step // 2]
                yield Step(part_of(fields, record, axis, low, high), places)

    def _move(self, step: int, name: str) -> int:
        """Bytes of an operand for each tile."""
        return FAMILIES[self.kernels[step]].axes(self.named(step), 4)[0].moves[name]


def chains_of(program: Program, records: Records) -> Iterator[Chain]:
    """The convolutions of a program that can be cut so; `records` are the program's, as they are quickest here."""
    names, at = [program.kernels[int(kernel)] for kernel in records["kernel"]], 0
    while at < len(names):
        end = _end_of(names, records, at)
        if end > at:
            chain = Chain(at, end, (names[at], names[at + 1], names[at + 2]), records[at:end])
            if _is_apart(program, chain):
                yield chain
        at = max(end, at + 1)


def _end_of(names: Sequence[str], records: Records, first: int) -> int:
    """Behind the last block of the convolution that begins at a record; `first`, where none does."""
    if not (names[first].startswith("winograd") and names[first].endswith(_IN)):
        return first
    wanted, end = [names[first], _PRODUCT, names[first].removesuffix(_IN) + _OUT], first
    while list(names[end : end + 3]) == wanted and _is_like(records[first], *records[end : end + 3]):
        end += 3
    return end


def _is_like(head: Any, *block: Any) -> bool:
    """Is it a block of the convolution of which `head` is the first record?"""
    first = Reading(WINOGRAD_IN, head)
    forward, product, backward = (Reading(step[0], record) for step, record in zip(_STEPS, block, strict=True))
    same = {(first.x, first.v, first.channels, int(head["node"]))}
    return (
        {(forward.x, forward.v, forward.channels, int(record["node"])) for record in block} == same
        and (product.x, product.out, product.images) == (forward.v, backward.m, 1)
        and product.out_pixels == backward.tiles == forward.tiles > 0
    )


def _is_apart(program: Program, chain: Chain) -> bool:
    """Does no piece write what another one reads? The output may have the place of an input that ends here."""
    ends = [chain.named(2, block) for block in range(len(chain.tiles))]
    if len({(end.out, end.addend) for end in ends}) > 1:
        return False
    x, out = _reached(program, chain, 0, "x", "table"), _reached(program, chain, 2, "out", "places")
    addend = chain.named(2).addend
    if x is None or out is None:
        return False
    read = [x] if addend in (ABSENT, out.start) else [x, range(addend, addend + len(out))]
    return all(r.start % 2 == 1 or r.stop <= out.start or out.stop <= r.start for r in read)


def _reached(program: Program, chain: Chain, step: int, name: str, table: str) -> range | None:
    """The bytes of an image that tables of offsets, which are constants, lead to; None where they are not."""
    end, each = 0, chain._move(step, table)
    for block, tiles in enumerate(chain.tiles):
        values = chain.named(step, block)
        at = getattr(values, table) - 1
        if at % 2 or at < 0 or at + each * tiles > program.weight_nbytes:
            return None
        end = max(end, int(program.weights.view(np.int32, at, each * tiles // 4).max()) + 4 * values.channels)
    begin = getattr(chain.named(step), name)
    return range(begin, begin + end)


def _borders(blocks: Sequence[int], parts: int) -> list[int]:
    """Where pieces begin and end in the tiles of all blocks: of three ways to cut, the one whose longest piece is shortest."""
    total, ends = sum(blocks), list(accumulate(blocks))
    count = max(min(parts, total // _LEAST), 1)
    even = [i * total / count for i in range(1, count)]
    ways = [[round(at / unit) * unit for at in even] for unit in (1, _TALL)]
    ways.append([min(ends, key=lambda end: abs(end - at)) for at in even])
    found = [sorted({0, *way, total}) for way in ways]
    return min(found, key=lambda way: max(_rows(blocks, *ends) for ends in pairwise(way)))


def _rows(blocks: Sequence[int], first: int, end: int) -> int:
    """About how long tiles `first` to `end` - 1 take, in rows of products: all weights are read for each block."""
    rows, begin = 0, 0
    for tiles in blocks:
        some = min(end - begin, tiles) - max(first - begin, 0)
        if some > 0:
            rows += _WEIGHTS + some // _TALL * _TALL + (max(some % _TALL, _LEAST) if some % _TALL else 0)
        begin += tiles
    return rows
