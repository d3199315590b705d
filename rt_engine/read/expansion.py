"""What functions of a model become when they are put in place: each may call others twice, and a small file never ends."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from onnx import FunctionProto, ModelProto, NodeProto

from rt_engine.errors import Reason, UnsupportedModelError
from rt_engine.read.walking import nodes_in

MOST_NODES, MOST_BYTES, MOST_DEPTH = 1 << 17, 1 << 30, 100
_Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Size:
    nodes: int = 0
    nbytes: int = 0
    depth: int = 0

    @property
    def is_bearable(self) -> bool:
        return self.nodes <= MOST_NODES and self.nbytes <= MOST_BYTES and self.depth <= MOST_DEPTH


def check_expansion(proto: ModelProto, source: str) -> None:
    """Refuse functions that become too many nodes or bytes, or that call each other too deeply. A circle is the checker's to say.

    Raises:
        UnsupportedModelError: they do.
    """
    functions = {(f.domain, f.name): f for f in proto.functions}
    calls = {name: _called(f.node, functions) for name, f in functions.items()}
    sizes: dict[_Name, _Size] = {}
    for name in _inner_first(calls):
        sizes[name] = _size(functions[name], calls[name], sizes)
    whole = _total(_called(proto.graph.node, functions), sizes)
    if not whole.is_bearable:
        why = (
            f"put in place, its functions are {whole.nodes:,} nodes of {whole.nbytes:,} bytes, {whole.depth:,} one in the other; "
            f"the most is {MOST_NODES:,}, {MOST_BYTES:,} and {MOST_DEPTH}"
        )
        raise UnsupportedModelError(
            source, [Reason("the whole model", "functions", why, "export it without functions")]
        )


def _called(nodes: Iterable[NodeProto], functions: Mapping[_Name, FunctionProto]) -> list[_Name]:
    return [name for n in nodes_in(nodes) if (name := (n.domain, n.op_type)) in functions] if functions else []


def _size(function: FunctionProto, calls: list[_Name], sizes: Mapping[_Name, _Size]) -> _Size:
    inner = _total(calls, sizes)
    return _Size(len(function.node) + inner.nodes, function.ByteSize() + inner.nbytes, 1 + inner.depth)


def _total(calls: list[_Name], sizes: Mapping[_Name, _Size]) -> _Size:
    found = [sizes[name] for name in calls if name in sizes]
    depth = max((size.depth for size in found), default=0)
    return _Size(sum(size.nodes for size in found), sum(size.nbytes for size in found), depth)


def _inner_first(calls: Mapping[_Name, list[_Name]]) -> list[_Name]:
    """Each function behind those that it calls; what is in a circle is left out."""
    callers: dict[_Name, list[_Name]] = {name: [] for name in calls}
    waiting = {name: len(called) for name, called in calls.items()}
    for name, called in calls.items():
        for one in called:
            callers[one].append(name)
    ready = [name for name, count in waiting.items() if not count]
    for name in ready:  # which grows meanwhile
        for caller in callers[name]:
            waiting[caller] -= 1
            if not waiting[caller]:
                ready.append(caller)
    return ready
