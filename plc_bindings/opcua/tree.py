"""What the address space shows, as plain nodes: one for each value, structure, method and file. Nothing of asyncua, nothing that runs.

    Objects
      Tags          speed, position, ...                      what tasks read and drive, with unit and range
      Tasks         axis        CycleCount, WakeUp, ..., Reset(), ResetState()
      Models        policy      Version, ChangeState, ..., Predict(), Commit(), Rollback(), Update
      Links         plant       State, RoundTrip, ..., Reset()
      Server..., Recorder
      Machines      <station>   Identification              (nouns of OPC 40001-1)
    Types
      Enumerations  one for each list of names

A node's identifier is the name that `rt-engine symbols` lists, in every release and every station.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

Names = tuple[tuple[str, int], ...]


class Class(Enum):
    """Node classes; the values are OPC UA's."""

    OBJECT = 1
    VARIABLE = 2
    METHOD = 4
    DATA_TYPE = 64


class Link(Enum):
    """References between nodes; the values are their identifiers in namespace 0."""

    ORGANIZES = 35
    HAS_TYPE_DEFINITION = 40
    HAS_SUBTYPE = 45
    HAS_PROPERTY = 46
    HAS_COMPONENT = 47


class Type(Enum):
    """Types of objects and variables; the values are their identifiers in namespace 0."""

    FOLDER = 61
    OBJECT = 58
    VARIABLE = 63
    PROPERTY = 68
    STATE_VARIABLE = 2760
    ANALOG_ITEM = 2368
    ANALOG_UNIT = 17497
    ANALOG_UNIT_RANGE = 17570
    FILE = 11575
    TEMPORARY_FILE_TRANSFER = 15744
    FILE_TRANSFER_STATE_MACHINE = 15803
    NONE = 0


@dataclass(slots=True, eq=False)
class Node:
    """One node. `content`: of a variable where its value comes from, of a method what it does, of a data type its names."""

    path: str
    name: str
    cls: Class
    type: Type = Type.NONE
    parent: Node | None = None
    link: Link = Link.HAS_COMPONENT
    """From the parent to this one."""
    description: str = ""
    content: Any = None
    children: dict[str, Node] = field(default_factory=dict)

    def add(self, node: Node) -> Node:
        """A child; gives it."""
        node.parent = self
        self.children[node.name] = node
        return node


@dataclass(frozen=True, slots=True)
class Place:
    """A value in an area. `writable`: whether its server lets clients write it."""

    area: int
    offset: int
    codec: Any
    writable: bool
    names: Names = ()


@dataclass(frozen=True, slots=True)
class Computed:
    """A value that is asked for: a Variant. `data_type`: its identifier in namespace 0."""

    read: Callable[[], Any]
    data_type: int
    rank: int = -1


@dataclass(frozen=True, slots=True)
class Argument:
    """Of a method. `codec` packs it; None: `data_type` in namespace 0, as it comes."""

    name: str
    codec: Any
    description: str = ""
    data_type: int = 0


@dataclass(frozen=True, slots=True)
class Method:
    """What a method takes and gives; `key` finds what it does, `subject` is its object: a model's name, an area's number."""

    key: str
    subject: Any
    inputs: tuple[Argument, ...] = ()
    outputs: tuple[Argument, ...] = ()


class Tree:
    """All nodes of ours, by their identifiers. `roots` hang below Objects, `types` below Enumeration."""

    SEPARATOR: Final = "."

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.roots: dict[str, Node] = {}
        self.types: dict[str, Node] = {}

    def root(self, name: str, type_: Type = Type.FOLDER, description: str = "") -> Node:
        """A node below Objects, made when it is first asked for."""
        if name not in self.roots:
            node = Node(name, name, Class.OBJECT, type_, link=Link.ORGANIZES, description=description)
            self.roots[name] = self.nodes[name] = node
        return self.roots[name]

    def put(self, parent: Node, node: Node) -> Node:
        """Hang a node below another."""
        self.nodes[node.path] = parent.add(node)
        return node

    def object(self, parent: Node, name: str, type_: Type = Type.OBJECT, link: Link = Link.HAS_COMPONENT) -> Node:
        """An object below another, made when it is first asked for."""
        found = parent.children.get(name)
        path = f"{parent.path}{self.SEPARATOR}{name}"
        return found or self.put(parent, Node(path, name, Class.OBJECT, type_, link=link))

    def property(self, parent: Node, name: str, read: Callable[[], Any], data_type: int, rank: int = -1) -> Node:
        """What belongs to a node, and does not change by itself."""
        content = Computed(read, data_type, rank)
        node = Node(
            f"{parent.path}/{name}", name, Class.VARIABLE, Type.PROPERTY, link=Link.HAS_PROPERTY, content=content
        )
        return self.put(parent, node)

    def enumeration(self, name: str, names: Names) -> Node:
        """The data type of numbers with names, made when it is first asked for."""
        path = f"Types.{name}"
        if path not in self.types:
            node = Node(path, name, Class.DATA_TYPE, link=Link.HAS_SUBTYPE, content=names)
            self.types[path] = self.nodes[path] = node
        return self.types[path]

    def below(self, node: Node) -> Iterator[Node]:
        """A node and all below it."""
        yield node
        for child in node.children.values():
            yield from self.below(child)
