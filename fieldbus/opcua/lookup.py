"""Looking nodes up after connecting: where each tag's value lies in this server today, and whether it is what the tag says.

addresses -> namespaces of today -> paths followed -> types, ranks, rights read -> `Found`, or a sentence that says what is wrong
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua

from fieldbus.opcua.address import NodeAddress
from fieldbus.opcua.protocol import (
    BUILTIN,
    CAN_READ,
    CAN_WRITE,
    DATA_TYPE,
    ENUMERATION,
    HAS_SUBTYPE,
    HIERARCHICAL,
    INT32,
    NUMBER_OF,
    OBJECTS,
    USER_ACCESS_LEVEL,
    VALUE,
    VALUE_RANK,
)
from fieldbus.opcua.session import Session
from fieldbus.opcua.values import builtin_of, flat, node0, status_name, type_name
from fieldbus.tags import Tag

ATTRIBUTES: Final = (DATA_TYPE, VALUE_RANK, USER_ACCESS_LEVEL, VALUE)
MOST_SUPERTYPES: Final = 20
MOST_NAMED: Final = 8
MOST_LETTERS: Final = 100
"""Of what a server says, in a message: so many names, so much of each."""
_SCALAR: Final = -1


@dataclass(frozen=True, slots=True)
class Found:
    """Where a tag's value lies: `first` of an array, None: a scalar; `elements` is the range to be written, None: all."""

    node: ua.NodeId
    builtin: int
    first: int | None
    elements: str | None


class Lookup:
    """The nodes of some tags. `faults`: tag -> what is wrong; the others are in `found`."""

    def __init__(self, session: Session, stopped: Callable[[], None]) -> None:
        self._session, self._stopped = session, stopped
        self._builtins: dict[ua.NodeId, int] = {}
        self.found: dict[str, Found] = {}
        self.faults: dict[str, str] = {}

    async def look(self, tags: Iterable[Tag]) -> None:
        """Ask; may be called again for those that were not there."""
        wanted = list(tags)
        for tag in wanted:
            self.faults.pop(tag.name, None)
        nodes = await self._nodes(wanted)
        most = self._session.most["read"]
        for first in range(0, len(wanted), most):
            self._stopped()
            await self._check([tag for tag in wanted[first : first + most] if tag.name in nodes], nodes)

    async def _nodes(self, tags: Sequence[Tag]) -> dict[str, ua.NodeId]:
        nodes: dict[str, ua.NodeId] = {}
        paths: list[tuple[Tag, int]] = []
        for tag in tags:
            address = tag.address
            assert isinstance(address, NodeAddress)
            space = self._space(address.namespace)
            if space is None:
                has = ", ".join(name[:MOST_LETTERS] for name in self._session.namespaces[:MOST_NAMED])
                self.faults[tag.name] = f"the server has no namespace {address.namespace}; it has {has}"
            elif address.kind == "path":
                paths.append((tag, space))
            else:
                nodes[tag.name] = ua.NodeId(identifier_of(address), ua.Int16(space))
        for (tag, _), answer in zip(paths, await self._follow(paths), strict=True):
            if answer.StatusCode.is_good() and answer.Targets:
                target = answer.Targets[0].TargetId
                nodes[tag.name] = ua.NodeId(target.Identifier, target.NamespaceIndex)
            else:
                self.faults[tag.name] = f"there is no such way from Objects: {status_name(answer.StatusCode.value)}"
        return nodes

    def _space(self, namespace: int | str) -> int | None:
        spaces = self._session.namespaces
        if isinstance(namespace, str):
            return spaces.index(namespace) if namespace in spaces else None
        return namespace

    async def _follow(self, paths: Sequence[tuple[Tag, int]]) -> list[Any]:
        return await self._session.batched(
            paths, lambda part: [_path(*one) for one in part], "translate_browsepaths_to_nodeids"
        )

    async def _check(self, tags: Sequence[Tag], nodes: dict[str, ua.NodeId]) -> None:
        answers = await self._session.read(
            [(nodes[tag.name], attribute, None) for tag in tags for attribute in ATTRIBUTES]
        )
        for number, tag in enumerate(tags):
            kind, rank, access, value = answers[number * len(ATTRIBUTES) : (number + 1) * len(ATTRIBUTES)]
            why = _missing(kind) or _rights(tag, access)
            builtin = 0 if why else await self.builtin(_value(kind)) or builtin_of(value.Value) or NUMBER_OF[tag.type]
            why = why or _mistyped(tag, builtin) or _misshapen(tag, _value(rank), value)
            if why:
                self.faults[tag.name] = why
            else:
                await self._keep(tag, nodes[tag.name], builtin, value)

    async def _keep(self, tag: Tag, node: ua.NodeId, builtin: int, value: ua.DataValue) -> None:
        address = tag.address
        assert isinstance(address, NodeAddress)
        is_array = tag.count > 1 or address.index is not None
        first = (address.index or 0) if is_array else None
        elements = None
        if tag.direction == "out" and first is not None and (first or len(flat(_value(value))) != tag.count):
            elements = f"{first}:{first + tag.count - 1}" if tag.count > 1 else str(first)
            (part,) = await self._session.read([(node, VALUE, elements)])
            is_good = part.StatusCode is None or part.StatusCode.is_good()
            if is_good and len(flat(_value(part))) != tag.count:  # it would take the part for the whole
                self.faults[tag.name] = "the server does not know ranges of an array: make the tag all of its elements"
                return
        self.found[tag.name] = Found(node, builtin, first, elements)

    async def builtin(self, data_type: Any) -> int:
        """The built-in type of a data type; 0: an abstract one, such as Number, or none that is known."""
        if not isinstance(data_type, ua.NodeId):
            return 0
        if data_type not in self._builtins:
            self._builtins[data_type] = await self._climb(data_type)
        return self._builtins[data_type]

    async def _climb(self, data_type: ua.NodeId) -> int:
        for _ in range(MOST_SUPERTYPES):
            if data_type.NamespaceIndex == 0 and isinstance(data_type.Identifier, int):
                if 1 <= data_type.Identifier <= 23:
                    return data_type.Identifier
                if data_type.Identifier == ENUMERATION:
                    return INT32
            one = ua.BrowseDescription(NodeId=data_type, BrowseDirection=ua.BrowseDirection.Inverse)
            one.ReferenceTypeId = node0(HAS_SUBTYPE)
            (answer,) = await self._session.batched([one], _browse, "browse")
            if not answer.References:
                return 0
            data_type = ua.NodeId(answer.References[0].NodeId.Identifier, answer.References[0].NodeId.NamespaceIndex)
        return 0


def _browse(part: Sequence[ua.BrowseDescription]) -> ua.BrowseParameters:
    return ua.BrowseParameters(NodesToBrowse=list(part))


def identifier_of(address: NodeAddress) -> Any:
    """As asyncua has it."""
    if address.kind == "i":
        return ua.Int32(int(address.identifier))
    if address.kind == "g":
        return uuid.UUID(address.identifier)
    return base64.b64decode(address.identifier) if address.kind == "b" else address.identifier


def _path(tag: Tag, space: int) -> ua.BrowsePath:
    address = tag.address
    assert isinstance(address, NodeAddress)
    path = ua.BrowsePath(StartingNode=node0(OBJECTS))
    for own, name in address.names:
        step = ua.RelativePathElement(
            ReferenceTypeId=node0(HIERARCHICAL),
            IsInverse=False,  # type: ignore[arg-type]  # asyncua's Boolean cannot be made
            IncludeSubtypes=True,  # type: ignore[arg-type]
        )
        step.TargetName = ua.QualifiedName(name, ua.UInt16(space if own is None else own))
        path.RelativePath.Elements.append(step)
    return path


def _value(answer: ua.DataValue) -> Any:
    return answer.Value.Value if answer.Value is not None else None


def _missing(kind: ua.DataValue) -> str:
    """Nodes that are no variables have no data type, either."""
    status = kind.StatusCode
    if status is None or not status.is_bad():
        return ""
    name = status_name(status.value)
    return f"there is no such node ({name})" if name != "BadAttributeIdInvalid" else "it is no variable"


def _rights(tag: Tag, access: ua.DataValue) -> str:
    level = _value(access)
    wanted, words = (CAN_READ, "read") if tag.direction == "in" else (CAN_WRITE, "written")
    is_known = isinstance(level, int) and (access.StatusCode is None or access.StatusCode.is_good())
    return f"it may not be {words} by us" if is_known and not level & wanted else ""


def _mistyped(tag: Tag, builtin: int) -> str:
    if BUILTIN.get(builtin) == tag.type:
        return ""
    mend = f'; write type = "{BUILTIN[builtin]}"' if builtin in BUILTIN else ", which is no number"
    return f"it is a {type_name(builtin)}, not a {type_name(NUMBER_OF[tag.type])}{mend}"


def _misshapen(tag: Tag, rank: Any, value: ua.DataValue) -> str:
    address = tag.address
    assert isinstance(address, NodeAddress)
    wants_array = tag.count > 1 or address.index is not None
    held = _value(value)
    is_array = isinstance(held, list) if held is not None else isinstance(rank, int) and rank >= 0
    if is_array and not wants_array:
        return "it is an array: say which element, with index= in the address, or how many, with count"
    if wants_array and (held is not None or rank == _SCALAR) and not is_array:
        return "it is one value, not an array"
    needed = (address.index or 0) + tag.count
    if is_array and held is not None and len(flat(held)) < needed:
        return f"its array has {len(flat(held))} elements, and {needed} are needed"
    return ""
