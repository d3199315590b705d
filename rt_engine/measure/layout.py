"""Where the boxes of a graph stand, and the ways of the lines between them.

level 0      input                   boxes stand below all that they read; a level that would be too wide is several
level 1      Conv   .                a line that passes levels by has a place of its own in each (.),
level 2      Relu   .                so that no box hides it
level 3       Add <-+
"""

from collections.abc import Sequence
from dataclasses import dataclass

Sources = Sequence[Sequence[int]]
"""For each box, those whose values it reads: boxes before it."""
_Item = tuple[int, bool]
"""A box, or on a level that its lines pass by the place of these."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Middles of boxes and lines, to the right of 0 by half a box at least."""

    width: float
    levels: tuple[tuple[int, ...], ...]
    """The boxes on each, from left to right."""
    middle: dict[int, float]
    passing: dict[tuple[int, int], float]
    """(box, level) -> where its lines pass."""


def layout(sources: Sources, widest: int, box: float, line: float, room: float) -> Layout:
    """Places for boxes and lines of these widths, gaps included.

    At most `widest` boxes stand side by side, and lines beside them in `room`, closer together where they are many: nothing is
    wider than both.
    """
    levels = _levels(sources, widest)
    level_of = {i: at for at, level in enumerate(levels) for i in level}
    ends: dict[int, int] = {}
    for i, read in enumerate(sources):
        for s in read:
            ends[s] = max(ends.get(s, 0), level_of[i])
    x: dict[tuple[_Item, int], float] = {}
    for at, level in enumerate(levels):
        items: list[_Item] = [(i, True) for i in level]
        items += [(s, False) for s, end in ends.items() if level_of[s] < at < end]
        wanted = {item: _wanted(item, at, sources, x) for item in items}
        items.sort(key=lambda item: (wanted[item], not item[1], item[0]))
        narrow = min(line, room / max(len(items) - len(level), 1))
        halves = [(box if is_box else narrow) / 2 for _, is_box in items]
        packed = _packed([wanted[i] for i in items], halves, [is_box for _, is_box in items], (widest * box + room) / 2)
        x.update({(item, at): place for item, place in zip(items, packed, strict=True)})
    left = min((place - (box / 2 if is_box else 0) for ((_, is_box), _), place in x.items()), default=0.0)
    right = max((place + (box / 2 if is_box else 0) for ((_, is_box), _), place in x.items()), default=0.0)
    middle = {i: place - left for ((i, is_box), _), place in x.items() if is_box}
    ordered = tuple(tuple(sorted(level, key=lambda i: middle[i])) for level in levels)
    passing = {(s, at): place - left for ((s, is_box), at), place in x.items() if not is_box}
    return Layout(right - left, ordered, middle, passing)


def _levels(sources: Sources, widest: int) -> list[list[int]]:
    """Boxes by their longest way from the top; one that reads nothing but constants stands above its first reader."""
    depth: list[int] = []
    for read in sources:
        depth.append(1 + max((depth[s] for s in read), default=-1))
    first: dict[int, int] = {}
    for i, read in enumerate(sources):
        for s in read:
            first[s] = min(first.get(s, depth[i]), depth[i])
    deep: dict[int, list[int]] = {}
    for i, read in enumerate(sources):
        deep.setdefault(depth[i] if read else first.get(i, 1) - 1, []).append(i)
    return [
        level[start : start + widest] for _, level in sorted(deep.items()) for start in range(0, len(level), widest)
    ]


def _wanted(item: _Item, at: int, sources: Sources, x: dict[tuple[_Item, int], float]) -> float:
    """Below what it reads: boxes that stand right above, else lines that come from further up."""
    index, is_box = item
    read = sources[index] if is_box else (index,)
    for kind in (True, False):
        above = [x[(s, kind), at - 1] for s in read if ((s, kind), at - 1) in x]
        if above:
            return sum(above) / len(above)
    return 0.0


def _packed(wanted: Sequence[float], halves: Sequence[float], is_box: Sequence[bool], most: float) -> list[float]:
    """As near to where they want to be as their order and widths allow: the boxes' mean is as wanted, nothing beyond `most`."""
    found = _apart(wanted, halves, float("-inf"))
    moved = [place - want for place, want, box in zip(found, wanted, is_box, strict=True) if box]
    shift = sum(moved) / len(moved)
    mirrored = _apart([shift - place for place in reversed(found)], halves[::-1], -most)
    return _apart([-place for place in reversed(mirrored)], halves, -most)


def _apart(places: Sequence[float], halves: Sequence[float], start: float) -> list[float]:
    """The same or further to the right, so that none begins before `start` or on another."""
    found: list[float] = []
    for place, half in zip(places, halves, strict=True):
        found.append(max(place, start + half))
        start = found[-1] + half
    return found
