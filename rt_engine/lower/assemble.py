"""Lowered calls -> Program: constants are gathered, the arena is laid out, records are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rt_engine.errors import Reason, UnsupportedModelError
from rt_engine.kernels.interface.later import used
from rt_engine.kernels.interface.record import RECORD
from rt_engine.lower.plan import plan
from rt_engine.program.calls import Buffer, Call, Kind, Lowered, Storage
from rt_engine.program.program import ABSENT, MOST_ARENA_BYTES, NodeCost, Place, Program, TensorSpec
from rt_engine.state import initial_values
from rt_native.memory import Block, align


@dataclass(slots=True)
class _Weights:
    """Gathers constants, each once, at 64-byte offsets."""

    arrays: list[tuple[int, NDArray[Any]]] = field(default_factory=list)
    known: dict[tuple[int, bytes], int] = field(default_factory=dict)
    of: dict[Storage, int] = field(default_factory=dict)
    end: int = 0

    def place_of(self, storage: Storage) -> int:
        """Where a constant lies; its bytes are looked at once, however many calls read it."""
        if storage not in self.of:
            assert storage.value is not None
            self.of[storage] = self.place(storage.value)
        return self.of[storage]

    def place(self, value: NDArray[Any]) -> int:
        key = (value.nbytes, blake2b(_bytes(value).data).digest())
        if key not in self.known:
            self.known[key] = self.end
            self.arrays.append((self.end, value))
            self.end += align(max(value.nbytes, 1))
        return self.known[key]

    def block(self) -> Block:
        block = Block(self.end)
        for at, value in self.arrays:
            block.view(np.uint8, at, value.nbytes)[:] = _bytes(value)
        return block


def _bytes(value: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of an array, without a copy if it is contiguous."""
    return np.ascontiguousarray(value).reshape(-1).view(np.uint8)


def assemble(lowered: Lowered, source: str, initial: Mapping[str, ArrayLike] | None = None) -> Program:
    """Lay out the memory and write the records.

    Raises:
        UnsupportedModelError: a context would need more than `MOST_ARENA_BYTES`.
        InputError: an initial value does not fit its state.
    """
    pairs = [(start.storage, end.storage) for start, end in lowered.state]
    ends = [b.storage for b in (*lowered.inputs, *(start for start, _ in lowered.state), *lowered.outputs)]
    layout = plan(lowered.calls, ends, lowered.loops, pairs)
    if layout.nbytes > MOST_ARENA_BYTES:
        why = f"a context needs {layout.nbytes:,} bytes, the most is {MOST_ARENA_BYTES:,}"
        raise UnsupportedModelError(source, [Reason("the whole model", "memory", why, "check its shapes")])
    weights = _Weights()
    calls, places = _effective(lowered.calls, layout.offsets)
    names = tuple(dict.fromkeys(c.kernel for c in calls))
    records = _records(calls, names, places, weights, layout.offsets)
    state = tuple(_place(start, layout.offsets) for start, _ in lowered.state)
    return Program(
        names,
        records,
        weights.block(),
        tuple(_place(b, layout.offsets) for b in lowered.inputs),
        tuple(_place(b, layout.offsets) for b in lowered.outputs),
        _costs(lowered),
        layout.nbytes,
        layout.lower_bound,
        state,
        tuple(initial_values([place.spec for place in state], initial).values()),
        layout.bare_bound,
        _results(calls, layout.offsets),
        makers=_makers(lowered),
        later=used(records, names, {c.kernel: c.record.fields for c in calls}),
    )


def _records(
    calls: Sequence[Call],
    names: Sequence[str],
    places: Sequence[int],
    weights: _Weights,
    offsets: Mapping[Storage, int],
) -> NDArray[Any]:
    """The records, in memory of their own, not to be written; constants are gathered in their order."""

    def where(buffer: Buffer | None) -> int:
        if buffer is None:
            return ABSENT
        storage = buffer.storage
        return weights.place_of(storage) | 1 if storage.kind is Kind.CONSTANT else offsets[storage]

    records = Block(max(len(calls) * RECORD.itemsize, 1)).view(RECORD, 0, len(calls))
    number = {name: i for i, name in enumerate(names)}
    records["kernel"] = [number[c.kernel] for c in calls]
    records["node"] = [c.node for c in calls]
    _fill(records["operand"], [[where(b) for b in c.operands] for c in calls])
    _fill(records["size"], [c.record.sizes for c in calls])
    _fill(records["param"], [c.record.params for c in calls])
    for record, call in enumerate(calls):
        if call.jump >= 0:
            records["size"][record, call.record.fields.places["target"].index] = places[call.jump]
    records.flags.writeable = False
    return records


def _fill(column: NDArray[Any], rows: Sequence[Sequence[Any]]) -> None:
    """Write rows of several lengths, each to the beginning of its own."""
    by_length: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(i)
    for length, which in by_length.items():
        if length:
            column[which, :length] = [rows[i] for i in which]


def _effective(calls: Sequence[Call], offsets: dict[Storage, int]) -> tuple[list[Call], list[int]]:
    """Calls without the copies of memory to itself, and for each place in `calls` (the end too) what it is now."""
    kept: list[Call] = []
    places: list[int] = []
    for call in calls:
        places.append(len(kept))
        if call.kernel == "copy_blocks":
            record = call.record
            moved = record.x_stride or record.out_stride or record.x_first or record.out_first
            whole = record.count == 1 and not moved
            source, target = record.x.storage, record.out.storage
            if whole and source in offsets and offsets[source] == offsets[target]:
                continue
        kept.append(call)
    return kept, [*places, len(kept)]


def _written(call: Call) -> Buffer | None:
    """The first operand that a call writes, if it lies in the arena."""
    buffer = call.operands[call.writes[0]] if call.writes else None
    return None if buffer is None or buffer.storage.kind is Kind.CONSTANT else buffer


def _place(buffer: Buffer, offsets: dict[Storage, int]) -> Place:
    return Place(TensorSpec(buffer.name, buffer.shape, buffer.dtype), offsets[buffer.storage])


def _results(calls: Sequence[Call], offsets: dict[Storage, int]) -> tuple[Place | None, ...]:
    """What each call writes first; of calls that write the same buffer, it is one object."""
    written = [_written(call) for call in calls]
    places = {b: _place(b, offsets) for b in written if b is not None}
    return tuple(None if b is None else places[b] for b in written)


def _makers(lowered: Lowered) -> tuple[int, ...]:
    """For each output, the node that writes it last."""
    written = {b.storage: c.node for c in lowered.calls for b in (c.operands[i] for i in c.writes) if b is not None}
    return tuple(written.get(b.storage, -1) for b in lowered.outputs)


def _costs(lowered: Lowered) -> tuple[NodeCost, ...]:
    costs = []
    made_by: dict[Storage, int] = {}
    of_node: dict[int, list[Call]] = {}
    for call in lowered.calls:
        of_node.setdefault(call.node, []).append(call)
    for index, (name, operator) in enumerate(lowered.nodes):
        calls = of_node.get(index, [])
        buffers = {b for c in calls for b in c.operands if b is not None}
        constants = {b.storage for b in buffers if b.storage.kind is Kind.CONSTANT}
        memory = {b.storage for b in buffers if b.storage.kind is not Kind.CONSTANT}
        written = [c.operands[i] for c in calls for i in c.writes]
        last = next((c.operands[c.writes[0]] for c in reversed(calls) if c.writes), None)
        sources = {made_by[s] for s in memory if s in made_by}
        made_by.update({b.storage: index for b in written if b is not None})
        costs.append(
            NodeCost(
                name,
                operator,
                f"{last.dtype}{list(last.shape)}" if last is not None else "view",
                tuple(c.kernel for c in calls),
                sum(c.macs for c in calls),
                sum(s.nbytes for s in constants),
                sum(s.nbytes for s in memory),
                tuple(sorted(sources)),
            )
        )
    return tuple(costs)
