"""Where each storage lies in the arena: lifetimes, in-place reuse, offsets. Pure; nothing here knows of ONNX or kernels.

time (calls)  0 1 2 3 4
input         # # # # #      inputs and outputs live always
a             # #            a temporary lives from its first write to its last read
b               # #
c                 # #        c may take the bytes of a: their lives do not touch
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rt_engine.layout import ARENA_HEADER
from rt_engine.lower import Call, Kind, Storage
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


def merge_in_place(calls: Sequence[Call]) -> dict[Storage, Storage]:
    """Storage -> the storage whose memory it takes, where a call may overwrite an input that nobody reads later."""
    last_use = {b.storage: i for i, call in enumerate(calls) for b in call.operands if b is not None}
    first_use: dict[Storage, int] = {}
    for i, call in enumerate(calls):
        for b in call.operands:
            if b is not None:
                first_use.setdefault(b.storage, i)
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


def _root(merged: dict[Storage, Storage], storage: Storage) -> Storage:
    while storage in merged:
        storage = merged[storage]
    return storage


def lifetimes(calls: Sequence[Call], merged: dict[Storage, Storage], always: Sequence[Storage]) -> list[Life]:
    """The life of every root storage that is not a constant."""
    spans: dict[Storage, tuple[int, int]] = {_root(merged, s): (0, len(calls)) for s in always}
    for i, call in enumerate(calls):
        for buffer in call.operands:
            if buffer is None or buffer.storage.kind is Kind.CONSTANT:
                continue
            root = _root(merged, buffer.storage)
            first, last = spans.get(root, (i, i))
            spans[root] = (min(first, i), max(last, i))
    return [Life(storage, *span) for storage, span in spans.items()]


def allocate(lives: Sequence[Life]) -> tuple[dict[Storage, int], int]:
    """Offsets by first fit, largest first; (offsets, bytes used). Sizes are rounded up to whole cache lines."""
    placed: list[tuple[int, int, Life]] = []
    offsets: dict[Storage, int] = {}
    end = align(ARENA_HEADER.itemsize)
    for life in sorted(lives, key=lambda item: (-item.storage.nbytes, item.first)):
        size = align(max(life.storage.nbytes, 1))
        at = align(ARENA_HEADER.itemsize)
        for start, stop, other in sorted(placed, key=lambda p: p[0]):
            if other.last < life.first or life.last < other.first:
                continue  # never alive at the same time
            if at + size <= start:
                break
            at = max(at, stop)
        placed.append((at, at + size, life))
        offsets[life.storage] = at
        end = max(end, at + size)
    return offsets, end


def plan(calls: Sequence[Call], always: Sequence[Storage]) -> Layout:
    """Lay out the arena for `calls`; the storages of `always` (inputs, outputs) live from start to end."""
    merged = merge_in_place(calls)
    lives = lifetimes(calls, merged, always)
    offsets, nbytes = allocate(lives)
    bound = max(
        (sum(align(x.storage.nbytes) for x in lives if x.first <= i <= x.last) for i in range(len(calls) + 1)),
        default=0,
    )
    for storage in merged:
        offsets[storage] = offsets[_root(merged, storage)]
    return Layout(offsets, nbytes, bound + align(ARENA_HEADER.itemsize))
