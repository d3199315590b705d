"""The order of nodes: each behind those whose results it reads. Some converters append theirs at the end of the list."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

from onnx import GraphProto, NodeProto

from rt_engine.read.walking import bodies_of


def order_of(nodes: Sequence[NodeProto]) -> list[int] | None:
    """The order in which nodes can be computed, as near to theirs as it can be; None: theirs is one, or there is none.

    A node with sub-graphs reads what these read from outside.
    """
    made_by = {name: number for number, node in enumerate(nodes) for name in node.output if name}
    reads = [{made_by[name] for name in _read(node) if name in made_by} for node in nodes]
    if all(before < number for number, all_before in enumerate(reads) for before in all_before):
        return None
    readers: list[list[int]] = [[] for _ in nodes]
    for number, before in enumerate(reads):
        for one in before:
            readers[one].append(number)
    waiting = [len(before) for before in reads]
    ready = [number for number, count in enumerate(waiting) if not count]
    order: list[int] = []
    while ready:
        order.append(number := heapq.heappop(ready))
        for reader in readers[number]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    return order if len(order) == len(nodes) else None  # nodes in a circle: the checker says which


def sort(nodes: Any, order: Sequence[int]) -> None:
    """Put the nodes of a graph or function into an order."""
    kept = GraphProto()
    kept.node.extend(nodes[number] for number in order)
    del nodes[:]
    nodes.extend(kept.node)


def _read(node: NodeProto) -> Sequence[str]:
    found = bodies_of(node)
    return [*node.input, *_free(found)] if found else node.input


def _free(bodies: Sequence[GraphProto]) -> Iterator[str]:
    for body in bodies:
        inside = {v.name for v in body.input} | {t.name for t in body.initializer}
        inside.update(name for inner in body.node for name in inner.output)
        read = [name for inner in body.node for name in _read(inner)]
        yield from (name for name in (*read, *(v.name for v in body.output)) if name not in inside)
