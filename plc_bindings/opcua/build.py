"""Database and models -> the nodes of the address space. Nothing runs: a station at rest has the same tree."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from asyncua import ua

from plc_bindings.data.database import Area, Database, Symbol, Writable
from plc_bindings.data.models import Models, Served
from plc_bindings.data.types import UDINT, Field, Leaf, Struct, leaves
from plc_bindings.opcua.codec import Codec
from plc_bindings.opcua.tree import Argument, Class, Link, Method, Names, Node, Place, Tree, Type
from plc_bindings.opcua.units import unit
from plc_bindings.opcua.words import standard

_IDS = ua.ObjectIds
PREDICT, PULSE, GENERATE, COMMIT_FILE, WRITE, CLOSE, POSITION = (
    "Predict", "Pulse", "GenerateFileForWrite", "CloseAndCommit", "Write", "Close", "GetPosition",
)  # fmt: skip
"""What methods do. Pulse: a command of an area, as if a client had written FALSE and then TRUE."""
UPDATE: Final = "Update"
TRANSFER: Final = "Transfer"
NAMEPLATE: Final = ("Manufacturer", "Model", "ComponentName")
"""Properties of a machine's identification that are texts for people; the others are plain."""
_NUMBERS: Final = {"YearOfConstruction": ua.VariantType.UInt16, "MonthOfConstruction": ua.VariantType.Byte}


@dataclass(frozen=True, slots=True)
class Plate:
    """A machine's nameplate, and what a model's update shows: what the tree takes beside the database."""

    machine: str = ""
    identification: Mapping[str, str | int] = field(default_factory=dict)
    updatable: tuple[str, ...] = ()
    """Models that clients may send a file for."""
    update_state: Callable[[str], tuple[str, int, str]] = lambda model: ("Idle", 0, "")
    """(state of its file transfer, status, words) of a model."""


def tree_of(database: Database, models: Models, writable: Writable, plate: Plate) -> Tree:
    """The whole address space of a station."""
    tree = Tree()
    for symbol in database.symbols:
        _show(tree, database, symbol, writable)
    for served in models.all:
        _callable(tree, served)
        if served.name in plate.updatable:
            _updatable(tree, served.name, _model(tree, served), plate)
    if plate.machine:
        _machine(tree, plate)
    return tree


def _show(tree: Tree, database: Database, symbol: Symbol, writable: Writable) -> None:
    """A symbol, and all in it. Elements of an area that are commands are methods."""
    area = database.areas[symbol.area]
    for name, leaf in symbol.leaves():
        if area.writes and leaf.path in area.writes:
            parent, last = _parent(tree, name)
            _method(tree, parent, last, PULSE, (symbol.area, leaf.offset, leaf.type.size), description=leaf.comment)
        else:
            _variable(tree, area, symbol, name, leaf, writable)


def _parent(tree: Tree, name: str) -> tuple[Node, str]:
    """The object that a name stands in, made if need be, and its last part: Tags / speed; Tasks / axis / WakeUp / P99."""
    first, *path, last = name.split(".")
    node = tree.root(first, Type.FOLDER)
    for part in path:
        is_one_of_many = node.parent is None and first in ("Tasks", "Models", "Links")
        node = tree.object(node, part, link=Link.ORGANIZES if is_one_of_many else Link.HAS_COMPONENT)
    return node, last


def _variable(tree: Tree, area: Area, symbol: Symbol, name: str, leaf: Leaf, writable: Writable) -> None:
    parent, last = _parent(tree, name)
    can = writable.allows(symbol.area, leaf.offset, leaf.type.size)
    codec = replace(Codec.of(leaf), low=symbol.low, high=symbol.high)
    place = Place(symbol.area, leaf.offset, codec, can, leaf.names)
    has_range = math.isfinite(symbol.low) and math.isfinite(symbol.high)
    kinds = {
        (True, True): Type.ANALOG_UNIT_RANGE,
        (True, False): Type.ANALOG_UNIT,
        (False, True): Type.ANALOG_ITEM,
        (False, False): Type.VARIABLE,
    }
    node = Node(name, last, Class.VARIABLE, kinds[bool(leaf.unit), has_range], description=leaf.comment, content=place)
    tree.put(parent, node)
    if leaf.unit:
        tree.property(node, "EngineeringUnits", partial(_constant, unit(leaf.unit)), _IDS.EUInformation)
    if has_range:
        limits = ua.Variant(ua.Range(symbol.low, symbol.high), ua.VariantType.ExtensionObject)
        tree.property(node, "EURange", partial(_constant, limits), _IDS.Range)
    if leaf.names:
        tree.enumeration(_enumeration_name(area.type, last), leaf.names)


def _constant(value: Any) -> ua.Variant:
    return value if isinstance(value, ua.Variant) else ua.Variant(value)


def _enumeration_name(struct: Struct, last: str) -> str:
    """`TaskState`, `ModelChangeState`: the structure's own name and the field's."""
    return f"{struct.name.removeprefix('ST_Rt')}{last}"


def enumeration_of(tree: Tree, database: Database, node: Node) -> Node:
    """The data type of a value whose numbers have names."""
    return tree.enumeration(_enumeration_name(database.areas[node.content.area].type, node.name), node.content.names)


def _method(
    tree: Tree,
    parent: Node,
    name: str,
    key: str,
    subject: Any,
    inputs: tuple[Argument, ...] = (),
    outputs: tuple[Argument, ...] = (),
    description: str = "",
) -> Node:
    content = Method(key, subject, inputs, outputs)
    node = Node(f"{parent.path}.{name}", name, Class.METHOD, description=description, content=content)
    tree.put(parent, node)
    for end, arguments in (("InputArguments", inputs), ("OutputArguments", outputs)):
        if arguments:
            value = ua.Variant([_argument(a) for a in arguments], ua.VariantType.ExtensionObject, is_array=True)
            tree.property(node, end, partial(_constant, value), _IDS.Argument, rank=1)
    return node


def _argument(argument: Argument) -> ua.Argument:
    shown = ua.Argument()
    shown.Name, shown.Description = argument.name, ua.LocalizedText(argument.description)
    codec: Codec | None = argument.codec
    shown.DataType = standard(argument.data_type if codec is None else codec.type.value)
    shown.ValueRank = 1 if codec is not None and codec.count else -1
    shown.ArrayDimensions = [codec.count] if codec is not None and codec.count else []
    return shown


def _model(tree: Tree, served: Served) -> Node:
    from plc_bindings.data.types import identifier

    return tree.object(tree.root("Models"), identifier(served.name), link=Link.ORGANIZES)


def _callable(tree: Tree, served: Served) -> None:
    header = Struct("", (Field("Status", UDINT, comment="0 is good"), Field("Version", UDINT, comment="that computed")))
    ends, model = served.signature, _model(tree, served)
    inputs, outputs = _arguments(ends.inputs), (*_arguments(header), *_arguments(ends.outputs))
    words = "Runs the model once, in a context of this session's own."
    _method(tree, model, PREDICT, PREDICT, served.number, inputs, outputs, words)


def _arguments(end: Struct) -> tuple[Argument, ...]:
    return tuple(Argument(leaf.path, Codec.of(leaf), leaf.comment) for leaf in leaves(end))


def _plain(name: str, data_type: int, description: str = "") -> Argument:
    return Argument(name, None, description, data_type)


def _updatable(tree: Tree, name: str, model: Node, plate: Plate) -> None:
    """OPC 10000-20, 4.4: a temporary file for a new version, and the state machine of what becomes of it."""
    update = tree.object(model, UPDATE, Type.TEMPORARY_FILE_TRANSFER)
    tree.property(update, "ClientProcessingTimeout", partial(_constant, ua.Variant(30_000.0)), _IDS.Duration)
    handle = _plain("FileHandle", _IDS.UInt32)
    options = _plain(
        "GenerateOptions", _IDS.BaseDataType, "ByteString: the file's signature, as `rt-engine sign` writes it"
    )
    target = _plain("FileNodeId", _IDS.NodeId)
    machine = _plain("CompletionStateMachine", _IDS.NodeId)
    _method(tree, update, GENERATE, GENERATE, name, (options,), (target, handle))
    _method(tree, update, COMMIT_FILE, COMMIT_FILE, name, (handle,), (machine,))
    file = tree.object(update, "File", Type.FILE)
    data, position = _plain("Data", _IDS.ByteString), _plain("Position", _IDS.UInt64)
    _method(tree, file, WRITE, WRITE, name, (handle, data))
    _method(tree, file, CLOSE, CLOSE, name, (handle,))
    _method(tree, file, POSITION, POSITION, name, (handle,), (position,))
    steps = tree.object(update, TRANSFER, Type.FILE_TRANSFER_STATE_MACHINE)

    def said(part: int) -> ua.Variant:
        state, status, words = plate.update_state(name)
        return (
            ua.Variant(ua.LocalizedText(state)),
            ua.Variant(status, ua.VariantType.UInt32),
            ua.Variant(words, ua.VariantType.String),
        )[part]

    state = tree.property(steps, "CurrentState", partial(said, 0), _IDS.LocalizedText)
    state.link, state.type = Link.HAS_COMPONENT, Type.STATE_VARIABLE
    identifiers = {
        "Idle": _IDS.FileTransferStateMachineType_Idle,
        "ApplyWrite": _IDS.FileTransferStateMachineType_ApplyWrite,
        "Error": _IDS.FileTransferStateMachineType_Error,
    }
    tree.property(state, "Id", lambda: ua.Variant(standard(identifiers[plate.update_state(name)[0]])), _IDS.NodeId)
    tree.property(steps, "Status", partial(said, 1), _IDS.UInt32)
    tree.property(steps, "Message", partial(said, 2), _IDS.String)


def _machine(tree: Tree, plate: Plate) -> None:
    """Nouns of OPC 40001-1, 8.6: MachineIdentification. The types are not bound: they come with a nodeset of their own."""
    machines = tree.root("Machines", description="The machines of this server.")
    machine = tree.object(machines, plate.machine, link=Link.ORGANIZES)
    identification = tree.object(machine, "Identification")
    for name, value in plate.identification.items():
        is_text = name in NAMEPLATE
        type_ = _NUMBERS.get(name, ua.VariantType.LocalizedText if is_text else ua.VariantType.String)
        shown = ua.Variant(ua.LocalizedText(str(value)) if is_text else value, type_)
        tree.property(identification, name, partial(_constant, shown), type_.value)


def names_of(node: Node) -> Names:
    """Of an enumeration."""
    found: Names = node.content
    return found
