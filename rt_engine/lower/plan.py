"""Where each storage lies in the arena: lifetimes, in-place reuse, offsets. Pure; nothing here knows of ONNX or kernels.

time (calls)  0 1 2 3 4
input         # # # # #      inputs and outputs live always
a             # #            a temporary lives from its first write to its last read
b               # #
c                 # #        c may take the bytes of a: their lives do not touch
"""

from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rt_engine.kernels.interface.record import ARENA_HEADER
from rt_engine.program.calls import Call, Kind, Storage
from rt_native.memory import align


@dataclass(frozen=True, slots=True)
class Life:
    """A storage is in use from call `first` to call `last`, both included."""

    storage: Storage
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Byte offset of every storage in the arena, the arena's size, and the least that any layout could need."""

    offsets: dict[Storage, int]
    nbytes: int
    lower_bound: int
    bare_bound: int
    """The lower bound without header and without rounding to whole cache lines."""


Loops = Sequence[tuple[int, int]]
"""First and last call of every range of calls that is repeated."""


def extended(first: int, last: int, loops: Loops) -> tuple[int, int]:
    """A life, with every loop that it crosses the border of: what enters a loop is read, what leaves it kept, each time."""
    for _ in range(len(loops) + 1):  # a longer life may cross further borders
        for begin, end in loops:
            if first < begin <= last <= end:
                last = end
            if begin < first <= end < last:
                first = begin
    return first, last


def uses(calls: Sequence[Call], loops: Loops = ()) -> dict[Storage, tuple[int, int]]:
    """Storage -> the first and the last call that use it, with the loops that they stand in."""
    spans: dict[Storage, tuple[int, int]] = {}
    for i, call in enumerate(calls):
        for b in call.operands:
            if b is not None:
                spans[b.storage] = (spans.get(b.storage, (i, i))[0], i)
    return {storage: extended(*span, loops) for storage, span in spans.items()} if loops else spans


def merge_in_place(calls: Sequence[Call], loops: Loops = ()) -> dict[Storage, Storage]:
    """Storage -> the storage whose memory it takes, where a call may overwrite an input that nobody reads later."""
    used = uses(calls, loops)
    first_use, last_use = ({s: span[i] for s, span in used.items()} for i in (0, 1))
    merged: dict[Storage, Storage] = {}
    for i, call in enumerate(calls):
        if not call.inplace:
            continue
        target = _operand(call, call.writes[0])
        if target is None or first_use[target] != i or target in merged:
            continue
        for index in call.inplace:
            source = _operand(call, index)
            if source is None or source.kind is not Kind.TEMPORARY or last_use[source] != i or source is target:
                continue
            if not _places(call, source) <= set(call.inplace):
                continue  # it is also read where it may not change: x + conv(x)
            root = _root(merged, source)
            if target.nbytes > root.nbytes or root.kind is not Kind.TEMPORARY:
                continue
            if target.kind is Kind.TEMPORARY:
                merged[target] = root
            elif root.nbytes == target.nbytes:  # an output lends its memory to the temporary that becomes it
                merged[root] = target
            else:
                continue
            break
    return merged


def _operand(call: Call, index: int) -> Storage | None:
    buffer = call.operands[index]
    return None if buffer is None else buffer.storage


def _places(call: Call, storage: Storage) -> set[int]:
    """The operands that lie in this storage."""
    return {i for i, b in enumerate(call.operands) if b is not None and b.storage is storage}


def _root(merged: dict[Storage, Storage], storage: Storage) -> Storage:
    while storage in merged:
        storage = merged[storage]
    return storage


def share_state(
    calls: Sequence[Call], merged: dict[Storage, Storage], pairs: Sequence[tuple[Storage, Storage]], loops: Loops
) -> None:
    """Give a state's input the memory of its output where nothing reads the one after the other is first written.

    The last calls, one for each pair, copy the outputs to the inputs; where memory is shared they move nothing.
    """
    body = calls[: len(calls) - len(pairs)]
    used = uses(body, loops)
    begins: dict[Storage, int] = {}
    for storage, (first, _) in used.items():
        root = _root(merged, storage)
        begins[root] = min(first, begins.get(root, first))
    taken: set[Storage] = set()
    for start, end in pairs:
        root = _root(merged, end)
        _, last = extended(-1, used.get(start, (-1, -1))[1], loops)  # it is there before the first call
        begin = begins.get(root, len(calls))
        fits = root not in taken and start.nbytes == root.nbytes
        if fits and (last < begin or (last == begin and _may_overwrite(calls[last], start, root, merged))):
            merged[start] = root
            taken.add(root)


def _may_overwrite(call: Call, source: Storage, root: Storage, merged: dict[Storage, Storage]) -> bool:
    """May the call write `root` in place of `source`?"""
    target = _operand(call, call.writes[0])
    indices = _places(call, source)
    others = [b.storage for i, b in enumerate(call.operands) if b is not None and i not in (*indices, call.writes[0])]
    alone = all(_root(merged, s) is not root for s in others)
    return target is not None and _root(merged, target) is root and indices <= set(call.inplace) and alone


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


def overlaps(calls: Sequence[Call], merged: dict[Storage, Storage], lives: Sequence[Life]) -> tuple[Overlap, ...]:
    """Pairs of temporaries that a call lets overlap."""
    life_of = {life.storage: life for life in lives}
    found = []
    for i, call in enumerate(calls):
        ends = None if call.overlap is None else (_operand(call, call.overlap[0]), _operand(call, call.writes[0]))
        if call.overlap is None or ends is None or None in ends:
            continue
        source, target = (life_of.get(_root(merged, s)) for s in ends if s is not None)
        if source is None or target is None or source is target or source.last != i or target.first != i:
            continue
        if source.storage.kind is target.storage.kind is Kind.TEMPORARY:
            found.append(Overlap(source, target, call.overlap[1]))
    return tuple(found)


def lifetimes(
    calls: Sequence[Call], merged: dict[Storage, Storage], always: Sequence[Storage], loops: Loops = ()
) -> list[Life]:
    """The life of every root storage that is not a constant."""
    spans: dict[Storage, tuple[int, int]] = {_root(merged, s): (0, len(calls)) for s in always}
    for i, call in enumerate(calls):
        for buffer in call.operands:
            if buffer is None or buffer.storage.kind is Kind.CONSTANT:
                continue
            root = _root(merged, buffer.storage)
            first, last = spans.get(root, (i, i))
            spans[root] = (min(first, i), max(last, i))
    return [Life(storage, *extended(*span, loops)) for storage, span in spans.items()]


def _rounded(nbytes: int) -> int:
    return align(max(nbytes, 1))


def allocate(lives: Sequence[Life], pairs: Sequence[Overlap] = ()) -> tuple[dict[Storage, int], int]:
    """(offsets, bytes used) of the best of several layouts. Sizes are rounded up to whole cache lines.

    Each layout places the storages one after the other, each in the lowest gap that has room for it. They differ in the order: by
    size, by time, by what is alive at the busiest moments, and then by changes to the best order so far: what lies highest goes
    first. The search ends where the lower bound is reached.
    """
    bound = busiest(lives, pairs) + align(ARENA_HEADER.itemsize)
    best: tuple[dict[Storage, int], int] | None = None
    for order in _orders(lives, pairs):
        best = _better(best, _place_in(order, pairs))
        if best[1] <= bound:
            return best
    assert best is not None
    order, changes = list(lives), 0
    order.sort(key=lambda x: (-x.storage.nbytes, x.first))
    while changes < MOST_CHANGES and len(lives) * changes < MOST_PLACED:
        offsets, end = _place_in(order, pairs)
        best = _better(best, (offsets, end))
        if best[1] <= bound:
            break
        highest = max(order, key=lambda x: offsets[x.storage] + _rounded(x.storage.nbytes))
        at = order.index(highest)
        order.insert(at * (changes % 3) // 3, order.pop(at))
        changes += 1
    return best


MOST_CHANGES, MOST_PLACED = 300, 30_000
"""How long the search goes on: changes to the order, and storages placed in all."""


def _better(
    best: tuple[dict[Storage, int], int] | None, found: tuple[dict[Storage, int], int]
) -> tuple[dict[Storage, int], int]:
    return found if best is None or found[1] < best[1] else best


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


def _place_in(order: Sequence[Life], pairs: Sequence[Overlap]) -> tuple[dict[Storage, int], int]:
    """Offsets, each the lowest gap among those placed before, and the bytes used."""
    placed: list[tuple[int, int, int, int]] = []  # (start, end, first, last), by start
    offsets: dict[Storage, int] = {}
    lowest = end = align(ARENA_HEADER.itemsize)
    related: dict[Storage, list[Overlap]] = {}
    for pair in pairs:
        related.setdefault(pair.source.storage, []).append(pair)
        related.setdefault(pair.target.storage, []).append(pair)
    for life in order:
        size, first, last, at = _rounded(life.storage.nbytes), life.first, life.last, lowest
        obstacles = placed
        if life.storage in related:
            obstacles = _with_overlaps(placed, life, size, related[life.storage], offsets)
        for start, stop, begins, ends in obstacles:
            if ends < first or last < begins:
                continue  # never alive at the same time
            if at + size <= start:
                break
            at = max(at, stop)
        insort(placed, (at, at + size, first, last))
        offsets[life.storage] = at
        end = max(end, at + size)
    return offsets, end


def _with_overlaps(
    placed: Sequence[tuple[int, int, int, int]],
    life: Life,
    size: int,
    pairs: Sequence[Overlap],
    offsets: dict[Storage, int],
) -> list[tuple[int, int, int, int]]:
    """What stands in the way of `life`: of its partners only what it must not touch.

    It must end before such an obstacle begins, or begin behind its end, which may lie before its beginning.
    """
    obstacles = list(placed)
    for pair in pairs:
        partner = pair.target if life is pair.source else pair.source
        if partner.storage not in offsets:
            continue
        start, ahead = offsets[partner.storage], align(pair.ahead)
        stop = start + _rounded(partner.storage.nbytes)
        obstacles.remove((start, stop, partner.first, partner.last))
        if life is pair.source:  # it may begin `ahead` after its target
            stop = min(stop, start + ahead)
        else:  # it may begin `ahead` before its source
            start = max(start, start - ahead + size)
        obstacles.append((start, stop, partner.first, partner.last))
    obstacles.sort()
    return obstacles


def plan(
    calls: Sequence[Call],
    always: Sequence[Storage],
    loops: Loops = (),
    state: Sequence[tuple[Storage, Storage]] = (),
) -> Layout:
    """Lay out the arena for `calls`; the storages of `always` (inputs, outputs) live from start to end.

    `state` are (input, output) that are carried from run to run.
    """
    merged = merge_in_place(calls, loops)
    share_state(calls, merged, state, loops)
    lives = lifetimes(calls, merged, always, loops)
    pairs = overlaps(calls, merged, lives)
    offsets, nbytes = allocate(lives, pairs)
    bound, bare = busiest(lives, pairs), busiest(lives, pairs, int)
    for storage in merged:
        offsets[storage] = offsets[_root(merged, storage)]
    return Layout(offsets, nbytes, bound + align(ARENA_HEADER.itemsize), bare)


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
