"""Where storages with known lives lie in the arena. Pure; nothing here knows of calls.

The work is bounded by the number of storages: several layouts are tried, each looks only at what is alive at the same time
(`_Placed`), and where that is so much that the steps run out, one walk through time (`_swept`) has the last word.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from rt_engine.kernels.interface.record import ARENA_HEADER
from rt_engine.program.calls import Storage
from rt_native.memory import align


@dataclass(frozen=True, slots=True)
class Life:
    """A storage is in use from call `first` to call `last`, both included."""

    storage: Storage
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """`target` may lie over `source`, which ends where it begins, if it begins at least `ahead` bytes before it."""

    source: Life
    target: Life
    ahead: int

    @property
    def saved(self) -> int:
        """Bytes that the two need less than one after the other."""
        source, target = (_rounded(x.storage.nbytes) for x in (self.source, self.target))
        return max(source + target - max(target, max(align(self.ahead), 0) + source), 0)


Offsets = tuple[dict[Storage, int], int]
"""The offset of every storage, and the bytes used."""

LOWEST = align(ARENA_HEADER.itemsize)
"""Where the first storage lies."""
MOST_CHANGES, MOST_PLACED = 300, 30_000
"""How long the search goes on: changes to the order, and storages placed in all."""
MOST_STEPS, STEPS_PER_LIFE = 2_000_000, 20
"""Storages looked at in all layouts together."""


def _rounded(nbytes: int) -> int:
    return align(max(nbytes, 1))


@dataclass(slots=True)
class Steps:
    """Storages that may still be looked at, and those that have been."""

    left: int
    taken: int = 0

    def take(self, count: int) -> None:
        """Look at so many.

        Raises:
            Exhausted: that would be too many.
        """
        self.taken += count
        self.left -= count
        if self.left < 0:
            raise Exhausted


class Exhausted(Exception):
    """The steps have run out; caught in `allocate`."""


def allocate(lives: Sequence[Life], pairs: Sequence[Overlap] = (), steps: Steps | None = None) -> Offsets:
    """(offsets, bytes used) of the best of several layouts. Sizes are rounded up to whole cache lines.

    Each layout places the storages one after the other, each in the lowest gap that has room for it. They differ in the order: by
    size, by time, by what is alive at the busiest moments, and then by changes to the best order so far: what lies highest goes
    first. The search ends where the lower bound is reached, or with its steps.
    """
    steps = steps or Steps(MOST_STEPS + STEPS_PER_LIFE * len(lives))
    bound = busiest(lives, pairs) + LOWEST
    best: Offsets | None = None
    try:
        for found in _layouts(lives, pairs, steps):
            best = found if best is None or found[1] < best[1] else best
            if best[1] <= bound:
                return best
    except Exhausted:
        swept = _swept(lives)
        return swept if best is None or swept[1] < best[1] else best
    assert best is not None
    return best


def _layouts(lives: Sequence[Life], pairs: Sequence[Overlap], steps: Steps) -> Iterator[Offsets]:
    related: dict[Storage, list[Overlap]] = {}
    for pair in pairs:
        related.setdefault(pair.source.storage, []).append(pair)
        related.setdefault(pair.target.storage, []).append(pair)
    for order in _orders(lives, pairs):
        yield _place_in(order, related, steps)
    order, changes = list(lives), 0
    order.sort(key=lambda x: (-x.storage.nbytes, x.first))
    while changes < MOST_CHANGES and len(lives) * changes < MOST_PLACED:
        offsets, end = _place_in(order, related, steps)
        yield offsets, end
        highest = max(order, key=lambda x: offsets[x.storage] + _rounded(x.storage.nbytes), default=None)
        if highest is None:
            return
        at = order.index(highest)
        order.insert(at * (changes % 3) // 3, order.pop(at))
        changes += 1


def _orders(lives: Sequence[Life], pairs: Sequence[Overlap]) -> Iterator[list[Life]]:
    """Orders that are known to do well."""
    yield sorted(lives, key=lambda x: (-x.storage.nbytes, x.first))
    yield sorted(lives, key=lambda x: (x.first - x.last, -x.storage.nbytes, x.first))
    yield sorted(lives, key=lambda x: (x.first, -x.storage.nbytes))
    yield sorted(lives, key=lambda x: (-x.last, -x.storage.nbytes))
    alive = alive_bytes(lives, pairs)
    for moment in sorted(alive, key=lambda m: -alive[m])[:4]:  # from a busy moment outwards
        distance = {x.storage: max(x.first - moment, moment - x.last, 0) for x in lives}
        yield sorted(lives, key=lambda x, far=distance: (far[x.storage], -x.storage.nbytes))  # type: ignore[misc]
        yield sorted(lives, key=lambda x, far=distance: (far[x.storage], x.last - x.first, -x.storage.nbytes))  # type: ignore[misc]


_Obstacle = list[int]
"""[start, stop, first, last] of what has a place."""


@dataclass(slots=True)
class _Placed:
    """What has a place so far, by time: a life of up to 2**k calls stands in those one or two ranges of 2**k calls that it touches.

    What lives equally long and touches is one obstacle: all outputs, for instance.
    """

    steps: Steps
    levels: dict[int, dict[int, list[_Obstacle]]] = field(default_factory=dict)
    latest: dict[tuple[int, int], _Obstacle] = field(default_factory=dict)

    def add(self, start: int, stop: int, first: int, last: int, alone: bool) -> None:
        """`alone`: others may come to lie over it, so it stays an obstacle of its own."""
        known = self.latest.get((first, last))
        if known is not None and known[1] == start and not alone:
            known[1] = stop
            return
        obstacle = [start, stop, first, last]
        if not alone:
            self.latest[first, last] = obstacle
        level = (last - first).bit_length()
        ranges = self.levels.setdefault(level, {})
        for i in range(first >> level, (last >> level) + 1):
            ranges.setdefault(i, []).append(obstacle)

    def meeting(self, first: int, last: int) -> list[_Obstacle]:
        """Those that are alive at a moment between `first` and `last`, each once, by start."""
        found, looked = [], 0
        for level, ranges in self.levels.items():
            low, high = first >> level, last >> level
            for i in range(low, high + 1) if high - low < len(ranges) else sorted(ranges):
                if low <= i <= high and i in ranges:
                    some = ranges[i]
                    looked += len(some)
                    # One that stands in two ranges is taken in the first of them that is looked at.
                    found += [o for o in some if o[2] <= last and first <= o[3] and (i == low or o[2] >> level == i)]
            looked += min(high - low, len(ranges))
        self.steps.take(looked + 1)
        found.sort()
        return found


def _place_in(order: Sequence[Life], related: dict[Storage, list[Overlap]], steps: Steps) -> Offsets:
    """Offsets, each the lowest gap among those placed before, and the bytes used."""
    placed = _Placed(steps)
    offsets: dict[Storage, int] = {}
    end = LOWEST
    for life in order:
        size, at = _rounded(life.storage.nbytes), LOWEST
        obstacles = placed.meeting(life.first, life.last)
        alone = life.storage in related
        if alone:
            obstacles = _with_overlaps(obstacles, life, size, related[life.storage], offsets)
        for start, stop, _, _ in obstacles:
            if at + size <= start:
                break
            at = max(at, stop)
        placed.add(at, at + size, life.first, life.last, alone)
        offsets[life.storage] = at
        end = max(end, at + size)
    return offsets, end


def _with_overlaps(
    obstacles: list[_Obstacle], life: Life, size: int, pairs: Sequence[Overlap], offsets: dict[Storage, int]
) -> list[_Obstacle]:
    """What stands in the way of `life`: of its partners only what it must not touch.

    It must end before such an obstacle begins, or begin behind its end, which may lie before its beginning.
    """
    for pair in pairs:
        partner = pair.target if life is pair.source else pair.source
        if partner.storage not in offsets:
            continue
        start, ahead = offsets[partner.storage], align(pair.ahead)
        stop = start + _rounded(partner.storage.nbytes)
        obstacles.remove([start, stop, partner.first, partner.last])
        if life is pair.source:  # it may begin `ahead` after its target
            stop = min(stop, start + ahead)
        else:  # it may begin `ahead` before its source
            start = max(start, start - ahead + size)
        obstacles.append([start, stop, partner.first, partner.last])
    obstacles.sort()
    return obstacles


@dataclass(slots=True)
class _Gaps:
    """Free bytes below `end`: no two gaps touch."""

    end: int
    by_size: list[tuple[int, int]] = field(default_factory=list)
    """(bytes, start), the smallest first."""
    stops: dict[int, int] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)
    """Start -> stop of every gap, and the other way round."""

    def take(self, size: int) -> int:
        """The start of `size` bytes: of the smallest gap that has room, or at the end."""
        at = bisect_left(self.by_size, (size, 0))
        if at < len(self.by_size):
            found, start = self.by_size[at]
            self._remove(start)
            self._add(start + size, start + found)
            return start
        start = self.starts.get(self.end, self.end)
        self._remove(start)
        self.end = start + size
        return start

    def free(self, start: int, stop: int) -> None:
        """Give bytes back."""
        before, behind = self.starts.get(start, start), self.stops.get(stop, stop)
        self._remove(before)
        self._remove(stop)
        self._add(before, behind)

    def _add(self, start: int, stop: int) -> None:
        if start < stop:
            self.stops[start], self.starts[stop] = stop, start
            insort(self.by_size, (stop - start, start))

    def _remove(self, start: int) -> None:
        stop = self.stops.pop(start, None)
        if stop is not None:
            del self.starts[stop]
            del self.by_size[bisect_left(self.by_size, (stop - start, start))]


def _swept(lives: Sequence[Life]) -> Offsets:
    """Offsets by one walk through time: each storage takes the smallest gap that has room when it is first used."""
    gaps, offsets = _Gaps(LOWEST), dict[Storage, int]()
    ends = sorted(lives, key=lambda x: x.last)
    ended = 0
    for life in sorted(lives, key=lambda x: (x.first, -x.last, -x.storage.nbytes)):
        while ends[ended].last < life.first:
            dead = ends[ended].storage
            gaps.free(offsets[dead], offsets[dead] + _rounded(dead.nbytes))
            ended += 1
        offsets[life.storage] = gaps.take(_rounded(life.storage.nbytes))
    return offsets, gaps.end


def busiest(lives: Sequence[Life], pairs: Sequence[Overlap] = (), size: Callable[[int], int] = _rounded) -> int:
    """The most bytes that are needed at one moment; `size` rounds those of a storage."""
    return max(alive_bytes(lives, pairs, size).values(), default=0)


def alive_bytes(
    lives: Sequence[Life], pairs: Sequence[Overlap] = (), size: Callable[[int], int] = _rounded
) -> dict[int, int]:
    """Moment -> bytes that what is alive from it on needs, for the moments at which that changes."""
    change: dict[int, int] = {}
    for life in lives:
        nbytes = size(life.storage.nbytes)
        change[life.first] = change.get(life.first, 0) + nbytes
        change[life.last + 1] = change.get(life.last + 1, 0) - nbytes
    moments = sorted(change)
    alive = dict(zip(moments, accumulate(change[m] for m in moments), strict=True))
    for pair in pairs:
        alive[pair.target.first] -= pair.saved
    return alive
