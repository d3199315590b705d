"""What a server has that nobody has described yet: its variables, with type, unit and value. Nothing is written.

Objects -> children of children, level by level -> their attributes, EngineeringUnits and EURange -> `Variable`, in the server's order
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua

from fieldbus.opcua.address import Kind, NodeAddress
from fieldbus.opcua.lookup import ATTRIBUTES, Lookup
from fieldbus.opcua.protocol import BUILTIN, CAN_WRITE, HAS_PROPERTY, HIERARCHICAL, OBJECTS, SERVER, VALUE
from fieldbus.opcua.session import Session, Where
from fieldbus.opcua.values import builtin_of, flat, node0, type_name

MOST_NODES: Final = 20_000
MOST_LEVELS: Final = 20
PER_REQUEST: Final = 100
REFERENCES: Final = 1000
"""Of a node, in one answer; the others are asked for."""
_UNIT, _RANGE = "EngineeringUnits", "EURange"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable. `type`: that of a tag, empty where it is no number; `count`: elements of an array, 0: one value."""

    path: tuple[str, ...]
    address: NodeAddress
    builtin: str
    type: str
    count: int
    unit: str
    limits: tuple[float, float] | None
    is_writable: bool
    value: Any


@dataclass(slots=True)
class _Node:
    node: ua.NodeId
    path: tuple[str, ...]
    properties: dict[str, ua.NodeId] = field(default_factory=dict)


async def browse(
    where: Where, timeout_s: float, under: str, tell: Callable[[str], object]
) -> tuple[list[Variable], bool]:
    """(the variables below the way `under`, as "Line/Axis", were there more than `MOST_NODES`); raises `DeviceError`."""
    session = Session(where, timeout_s)
    try:
        await session.open()
        tell("browsing")
        walk = _Walk(session, [part for part in under.split("/") if part], tell)
        await walk.go()
        tell(f"reading {len(walk.variables)} variables")
        return [one async for one in _described(session, walk.variables)], walk.is_cut
    finally:
        await session.close()


class _Walk:
    def __init__(self, session: Session, under: Sequence[str], tell: Callable[[str], object]) -> None:
        self._session, self._under, self._tell = session, under, tell
        self.variables: list[_Node] = []
        self.is_cut = False
        self._seen: set[ua.NodeId] = {node0(OBJECTS), node0(SERVER)}

    async def go(self) -> None:
        """Level by level: a server's nodes may refer to each other in circles."""
        level = [_Node(node0(OBJECTS), ())]
        for _ in range(MOST_LEVELS):
            following: list[_Node] = []
            for first in range(0, len(level), PER_REQUEST):
                part = level[first : first + PER_REQUEST]
                for parent, references in zip(part, await self._children(part), strict=True):
                    following.extend(self._took(parent, references))
                self._tell(f"browsing: {len(self._seen)} nodes, {len(self.variables)} variables")
            level = following
            if not level or self.is_cut:
                return

    def _took(self, parent: _Node, references: Sequence[ua.ReferenceDescription]) -> Iterator[_Node]:
        for reference in references:
            node = ua.NodeId(reference.NodeId.Identifier, reference.NodeId.NamespaceIndex)
            name = reference.BrowseName.Name or ""
            if reference.ReferenceTypeId == node0(HAS_PROPERTY):
                parent.properties[name] = node
                continue
            path = (*parent.path, name)
            if node in self._seen or any(a != b for a, b in zip(path, self._under, strict=False)):
                continue
            if len(self._seen) >= MOST_NODES:
                self.is_cut = True
                return
            self._seen.add(node)
            child = _Node(node, path)
            if reference.NodeClass == ua.NodeClass.Variable and len(path) >= len(self._under):
                self.variables.append(child)
            yield child

    async def _children(self, nodes: Sequence[_Node]) -> list[list[ua.ReferenceDescription]]:
        answers = await self._session.batched(nodes, _browse, "browse")
        found = [list(answer.References or ()) for answer in answers]
        more = [(number, answer.ContinuationPoint) for number, answer in enumerate(answers) if answer.ContinuationPoint]
        while more and len(self._seen) + sum(map(len, found)) < MOST_NODES:
            answers = await self._session.batched([point for _, point in more], _browse_next, "browse_next")
            if not any(answer.References for answer in answers):  # it would go on so for ever
                break
            for (number, _), answer in zip(more, answers, strict=True):
                found[number].extend(answer.References or ())
            more = [(n, a.ContinuationPoint) for (n, _), a in zip(more, answers, strict=True) if a.ContinuationPoint]
        return found


async def _described(session: Session, nodes: Sequence[_Node]) -> Any:
    lookup = Lookup(session, lambda: None)
    answers = await session.read([(one.node, attribute, None) for one in nodes for attribute in ATTRIBUTES])
    extra = [one.properties[name] for one in nodes for name in (_UNIT, _RANGE) if name in one.properties]
    values = iter(await session.read([(node, VALUE, None) for node in extra]))
    for number, one in enumerate(nodes):
        kind, _, access, value = answers[number * len(ATTRIBUTES) : (number + 1) * len(ATTRIBUTES)]
        said = {name: _value(next(values)) for name in (_UNIT, _RANGE) if name in one.properties}
        builtin = await lookup.builtin(_value(kind)) or builtin_of(value.Value)
        held, level = _value(value), _value(access)
        yield Variable(
            path=one.path,
            address=address_of(one.node, session.namespaces),
            builtin=type_name(builtin),
            type=BUILTIN.get(builtin, ""),
            count=len(flat(held)) if isinstance(held, list) else 0,
            unit=_unit(said.get(_UNIT)),
            limits=_limits(said.get(_RANGE)),
            is_writable=isinstance(level, int) and bool(level & CAN_WRITE),
            value=held,
        )


def address_of(node: ua.NodeId, namespaces: Sequence[str]) -> NodeAddress:
    """As a station file has it, by the namespace's URI."""
    space = node.NamespaceIndex
    namespace: int | str = namespaces[space] if 0 < space < len(namespaces) and ";" not in namespaces[space] else space
    identifier = node.Identifier
    kind: Kind = "i" if isinstance(identifier, int) else "s" if isinstance(identifier, str) else "g"
    if isinstance(identifier, bytes):
        return NodeAddress(namespace, "b", base64.b64encode(identifier).decode())
    return NodeAddress(namespace, kind, str(identifier))


def _browse(part: Sequence[_Node]) -> ua.BrowseParameters:
    wanted = ua.BrowseParameters()
    wanted.RequestedMaxReferencesPerNode = REFERENCES
    for one in part:
        asked = ua.BrowseDescription(NodeId=one.node, BrowseDirection=ua.BrowseDirection.Forward)
        asked.ReferenceTypeId = node0(HIERARCHICAL)
        asked.NodeClassMask = ua.NodeClass.Object | ua.NodeClass.Variable
        asked.ResultMask = ua.BrowseResultMask.All
        wanted.NodesToBrowse.append(asked)
    return wanted


def _browse_next(part: Sequence[bytes]) -> ua.BrowseNextParameters:
    return ua.BrowseNextParameters(ReleaseContinuationPoints=False, ContinuationPoints=list(part))


def _value(answer: ua.DataValue) -> Any:
    return answer.Value.Value if answer.Value is not None else None


def _unit(said: Any) -> str:
    return str(said.DisplayName.Text or "") if isinstance(said, ua.EUInformation) else ""


def _limits(said: Any) -> tuple[float, float] | None:
    return (float(said.Low), float(said.High)) if isinstance(said, ua.Range) else None
