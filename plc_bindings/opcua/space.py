"""The address space for asyncua: the standard nodes as it has them; ours made of the tree when somebody asks, and forgotten again.

asyncua keeps an object for each attribute of each node, 1.5 ms of building for a variable. Ours is one `Node`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData, ViewService

from plc_bindings.opcua.requests import Wanted
from plc_bindings.opcua.tree import Class, Computed, Link, Method, Names, Node, Place, Tree, Type
from plc_bindings.opcua.words import named, standard, status

NAMESPACE: Final = "urn:rt-engine:station"
INDEX: Final = 2
"""Of `NAMESPACE` in every server's list: after OPC UA's own and the application's."""
_A = ua.AttributeIds
_READ, _WRITE = 0x01, 0x02
_SCALAR, _ONE_DIMENSION = -1, 1
_OBJECTS, _ENUMERATION = standard(ua.ObjectIds.ObjectsFolder), standard(ua.ObjectIds.Enumeration)


def node_id(node: Node) -> ua.NodeId:
    """Its identifier."""
    return named(node.path, INDEX)


def browse_name(node: Node) -> ua.QualifiedName:
    """Its name: what the standard has named is the standard's."""
    is_standard = node.name in STANDARD and (node.cls is Class.METHOD or isinstance(node.content, Computed))
    return ua.QualifiedName(node.name, 0 if is_standard else INDEX)


STANDARD: Final = frozenset(
    {"EngineeringUnits", "EURange", "InputArguments", "OutputArguments", "EnumValues", "ClientProcessingTimeout"}
    | {"GenerateFileForWrite", "CloseAndCommit", "Write", "Close", "GetPosition", "CurrentState", "Id"}
)
"""Names that the standard gives."""

Reference = tuple[Link, bool, ua.NodeId, Node | None]
"""(type, forward, target, target if it is ours)"""


class Space(AddressSpace):
    """The nodes. `read`: a DataValue of a variable in an area; `data_type`: of numbers with names."""

    def __init__(self, tree: Tree, data_type: Callable[[Node], Node]) -> None:
        super().__init__()
        self._tree, self._data_type = tree, data_type

    def ours(self, nodeid: ua.NodeId) -> Node | None:
        """The node, if it is one of the tree's."""
        if nodeid.NamespaceIndex != INDEX or not isinstance(nodeid.Identifier, str):
            return None
        return self._tree.nodes.get(nodeid.Identifier)

    def wanted(self, one: Wanted) -> Node | None:
        """The node that a request means, if it is one of the tree's."""
        if one.name:
            return self._tree.nodes.get(one.name) if one.namespace == INDEX else None
        return self.ours(one.node_id)

    def hang_in(self) -> None:
        """Let the standard nodes point at ours."""
        for parent, link, nodes in (
            (_OBJECTS, Link.ORGANIZES, self._tree.roots.values()),
            (_ENUMERATION, Link.HAS_SUBTYPE, self._tree.types.values()),
        ):
            for node in nodes:
                self._nodes[parent].references.append(self.described((link, True, node_id(node), node)))

    # --- what asyncua asks --------------------------------------------------------------------------------------------

    def __contains__(self, nodeid: ua.NodeId) -> bool:
        return nodeid in self._nodes or self.ours(nodeid) is not None

    def __getitem__(self, nodeid: ua.NodeId) -> NodeData:
        found = self.get(nodeid)
        if found is None:
            raise KeyError(nodeid)
        return found

    def get(self, nodeid: ua.NodeId) -> NodeData | None:
        """A node's data; of ours, made now."""
        node = self.ours(nodeid)
        if node is None:
            return self._nodes.get(nodeid)
        data = NodeData(nodeid)
        data.references = [self.described(reference) for reference in self.references(node)]
        return data

    def read_attribute_value(self, nodeid: ua.NodeId, attr: ua.AttributeIds) -> ua.DataValue:
        """An attribute. Values in areas are read elsewhere, many at once."""
        node = self.ours(nodeid)
        return super().read_attribute_value(nodeid, attr) if node is None else self.attribute(node, attr)

    async def write_attribute_value(
        self, nodeid: ua.NodeId, attr: ua.AttributeIds, value: ua.DataValue
    ) -> ua.StatusCode:
        """Of the standard nodes, by the server itself: ours are written elsewhere."""
        if self.ours(nodeid) is not None:
            return status(ua.StatusCodes.BadNotWritable)
        return await super().write_attribute_value(nodeid, attr, value)

    # --- a node of ours -----------------------------------------------------------------------------------------------

    def attribute(self, node: Node, attr: ua.AttributeIds) -> ua.DataValue:
        """What it has; Bad_AttributeIdInvalid: nothing of the kind."""
        found = _COMMON.get(attr) or _OF_CLASS[node.cls].get(attr)
        if found is None:
            return ua.DataValue(StatusCode=status(ua.StatusCodes.BadAttributeIdInvalid))
        return ua.DataValue(found(self, node))

    def data_type(self, node: Node) -> ua.NodeId:
        """Of a variable."""
        content = node.content
        if isinstance(content, Computed):
            return standard(content.data_type)
        return node_id(self._data_type(node)) if content.names else standard(content.codec.type.value)

    def references(self, node: Node) -> Iterator[Reference]:
        """All of a node: to its type, its parent, its children."""
        if node.type is not Type.NONE:
            yield Link.HAS_TYPE_DEFINITION, True, standard(node.type.value), None
        if node.parent is not None:
            yield node.link, False, node_id(node.parent), node.parent
        else:
            yield node.link, False, _ENUMERATION if node.cls is Class.DATA_TYPE else _OBJECTS, None
        for child in node.children.values():
            yield child.link, True, node_id(child), child

    def described(self, reference: Reference) -> ua.ReferenceDescription:
        """As a client sees it."""
        link, forward, target, node = reference
        made = ua.ReferenceDescription()
        made.ReferenceTypeId, made.IsForward, made.NodeId = standard(link.value), forward, target
        if node is not None:
            made.BrowseName, made.DisplayName = browse_name(node), ua.LocalizedText(node.name)
            made.NodeClass = ua.NodeClass(node.cls.value)
            made.TypeDefinition = standard(node.type.value)
            return made
        known = self._nodes.get(target)
        if known is not None:
            made.BrowseName = _plain(known.attributes[_A.BrowseName])
            made.DisplayName = _plain(known.attributes[_A.DisplayName])
            made.NodeClass = ua.NodeClass(_plain(known.attributes[_A.NodeClass]))
        return made


def _plain(value: AttributeValue) -> Any:
    assert value.value is not None and value.value.Value is not None
    return value.value.Value.Value


def _variant(type_: ua.VariantType, of: Callable[[Space, Node], Any]) -> Callable[[Space, Node], ua.Variant]:
    return lambda space, node: ua.Variant(of(space, node), type_)


def _value(space: Space, node: Node) -> ua.Variant:
    content = node.content
    return content.read() if isinstance(content, Computed) else ua.Variant()


def _rank(space: Space, node: Node) -> int:
    content = node.content
    if isinstance(content, Computed):
        return content.rank
    return _ONE_DIMENSION if content.codec.count else _SCALAR


def _dimensions(space: Space, node: Node) -> ua.Variant:
    content = node.content
    count = content.codec.count if isinstance(content, Place) else 0
    return ua.Variant([count] if count else None, ua.VariantType.UInt32, is_array=True)


def _access(space: Space, node: Node) -> int:
    return _READ | (_WRITE if isinstance(node.content, Place) and node.content.writable else 0)


def _definition(space: Space, node: Node) -> ua.Variant:
    names: Names = node.content
    fields = []
    for name, number in names:
        one = ua.EnumField()
        one.Name, one.Value, one.DisplayName = name, number, ua.LocalizedText(name)
        fields.append(one)
    made = ua.EnumDefinition()
    made.Fields = fields
    return ua.Variant(made, ua.VariantType.ExtensionObject)


_V = ua.VariantType
_Attributes = dict[ua.AttributeIds, Callable[[Space, Node], ua.Variant]]
_COMMON: Final[_Attributes] = {
    _A.NodeId: _variant(_V.NodeId, lambda space, node: node_id(node)),
    _A.NodeClass: _variant(_V.Int32, lambda space, node: node.cls.value),
    _A.BrowseName: _variant(_V.QualifiedName, lambda space, node: browse_name(node)),
    _A.DisplayName: _variant(_V.LocalizedText, lambda space, node: ua.LocalizedText(node.name)),
    _A.Description: _variant(_V.LocalizedText, lambda space, node: ua.LocalizedText(node.description)),
    _A.WriteMask: _variant(_V.UInt32, lambda space, node: 0),
    _A.UserWriteMask: _variant(_V.UInt32, lambda space, node: 0),
}
_OF_CLASS: Final[dict[Class, _Attributes]] = {
    Class.OBJECT: {_A.EventNotifier: _variant(_V.Byte, lambda space, node: 0)},
    Class.VARIABLE: {
        _A.Value: _value,
        _A.DataType: _variant(_V.NodeId, lambda space, node: space.data_type(node)),
        _A.ValueRank: _variant(_V.Int32, _rank),
        _A.ArrayDimensions: _dimensions,
        _A.AccessLevel: _variant(_V.Byte, _access),
        _A.UserAccessLevel: _variant(_V.Byte, _access),
        _A.MinimumSamplingInterval: _variant(_V.Double, lambda space, node: 0.0),
        _A.Historizing: _variant(_V.Boolean, lambda space, node: False),
    },
    Class.METHOD: {
        _A.Executable: _variant(_V.Boolean, lambda space, node: True),
        _A.UserExecutable: _variant(_V.Boolean, lambda space, node: True),
    },
    Class.DATA_TYPE: {
        _A.IsAbstract: _variant(_V.Boolean, lambda space, node: False),
        _A.DataTypeDefinition: _definition,
    },
}


class View(ViewService):
    """Browsing: of ours only what the client asks for is made."""

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self._space = space

    def wanted(self, request: ua.BrowseDescription, node: Node) -> Iterator[Reference]:
        """The references of one of ours that a client asks for, one by one."""
        fits = {
            link
            for link in Link
            if self._suitable_reftype(request.ReferenceTypeId, standard(link.value), bool(request.IncludeSubtypes))
        }
        for reference in self._space.references(node):
            link, forward, _, other = reference
            if link not in fits or not self._suitable_direction(request.BrowseDirection, forward):
                continue
            if request.NodeClassMask and other is not None and not request.NodeClassMask & other.cls.value:
                continue
            yield reference

    def _find_elements_in_node(self, el: ua.RelativePathElement, nodeid: ua.NodeId) -> list[ua.NodeId]:
        node = self._space.ours(nodeid)
        if node is None or el.IsInverse:
            return super()._find_elements_in_node(el, nodeid)
        child = node.children.get(el.TargetName.Name)
        if child is None or browse_name(child) != el.TargetName:
            return []
        fits = self._suitable_reftype(el.ReferenceTypeId, standard(child.link.value), bool(el.IncludeSubtypes))
        return [node_id(child)] if fits else []


def method_of(node: Node | None) -> Method | None:
    """What a node does when it is called; None: it is no method."""
    return node.content if node is not None and isinstance(node.content, Method) else None
