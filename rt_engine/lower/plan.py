"""Where each storage lies in the arena: lifetimes, in-place reuse, offsets. Pure; nothing here knows of ONNX or kernels.

time (calls)  0 1 2 3 4
input         # # # # #      inputs and outputs live always
a             # #            a temporary lives from its first write to its last read
b               # #
c                 # #        c may take the bytes of a: their lives do not touch
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rt_engine.lower.loops import STRAIGHT, Loops, Ranges
from rt_engine.lower.placing import LOWEST, Life, Overlap, allocate, busiest
from rt_engine.program.calls import Call, Kind, Storage


@dataclass(frozen=True, slots=True)
class Layout:
    """Byte offset of every storage in the arena, the arena's size, and the least that any layout could need."""

    offsets: dict[Storage, int]
    nbytes: int
    lower_bound: int
    bare_bound: int
    """The lower bound without header and without rounding to whole cache lines."""


Spans = dict[Storage, tuple[int, int]]
"""Storage -> the first and the last call that use it, by the first one."""


def uses(calls: Sequence[Call]) -> Spans:
    """What the calls use, and when."""
    spans: dict[Storage, tuple[int, int]] = {}
    for i, call in enumerate(calls):
        for b in call.operands:
            if b is not None:
                spans[b.storage] = (spans[b.storage][0] if b.storage in spans else i, i)
    return spans


def _with_loops(spans: Spans, loops: Loops) -> Spans:
    """The same, with the loops that the calls stand in."""
    return {storage: loops.extended(*span) for storage, span in spans.items()} if loops.ranges else spans


def merge_in_place(
    calls: Sequence[Call], loops: Loops = STRAIGHT, spans: Spans | None = None
) -> dict[Storage, Storage]:
    """Storage -> the storage whose memory it takes, where a call may overwrite an input that nobody reads later.

    `spans` is `uses(calls)`, where that is known.
    """
    used = _with_loops(uses(calls) if spans is None else spans, loops)
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
    if not pairs:
        return
    body = calls[: len(calls) - len(pairs)]
    used = _with_loops(uses(body), loops)
    begins: dict[Storage, int] = {}
    for storage, (first, _) in used.items():
        root = _root(merged, storage)
        begins[root] = min(first, begins.get(root, first))
    taken: set[Storage] = set()
    for start, end in pairs:
        root = _root(merged, end)
        _, last = loops.extended(-1, used.get(start, (-1, -1))[1])  # it is there before the first call
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
    spans: Spans, merged: dict[Storage, Storage], always: Sequence[Storage], end: int, loops: Loops = STRAIGHT
) -> list[Life]:
    """The life of every root storage that is not a constant; those of `always` live to the `end`."""
    whole: Spans = {_root(merged, s): (0, end) for s in always}
    for storage, (begin, stop) in spans.items():
        if storage.kind is not Kind.CONSTANT:
            root = _root(merged, storage)
            first, last = whole.get(root, (begin, stop))
            whole[root] = (min(first, begin), max(last, stop))
    return [Life(storage, *loops.extended(*span)) for storage, span in whole.items()]


def plan(
    calls: Sequence[Call],
    always: Sequence[Storage],
    ranges: Ranges = (),
    state: Sequence[tuple[Storage, Storage]] = (),
) -> Layout:
    """Lay out the arena for `calls`; the storages of `always` (inputs, outputs) live from start to end.

    `state` are (input, output) that are carried from run to run; `ranges` are the first and last
    call of everything that is repeated.
    """
    loops, spans = Loops(ranges), uses(calls)
    merged = merge_in_place(calls, loops, spans)
    share_state(calls, merged, state, loops)
    lives = lifetimes(spans, merged, always, len(calls), loops)
    pairs = overlaps(calls, merged, lives)
    offsets, nbytes = allocate(lives, pairs)
    bound, bare = busiest(lives, pairs), busiest(lives, pairs, int)
    for storage in merged:
        offsets[storage] = offsets[_root(merged, storage)]
    return Layout(offsets, nbytes, bound + LOWEST, bare)
