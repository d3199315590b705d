"""The register map: where every value of a station is. The same station gives the same map.

    registers                                                          coils
        0   tags, in the order of the station's file, without gaps         0   BOOLs among the tags
    10000   predict blocks
    40000   the server                                                 10000   BOOLs of the server
    41000   tasks                                                      11000   of tasks
    50000   links                                                      12000   of links
    55000   models                                                     13000   of models
    65300   the newest change of the first model; of the second at 65100, and so on downwards

What is no tag begins at a multiple of 100; what does not fit before the next kind moves that on. A change whose place models have
taken has no registers.

Holding and input registers are the same; so are coils and discrete inputs. So a value has one address, whatever the
function code; and a tag, task, link or model that is added behind the others of its kind moves nothing.

    a value of 8 or 16 bits   1 register; BOOL is 0 or 1, SINT keeps its sign
    32 bits, 64 bits          2, 4 registers, in the server's byte order
    STRING(n)                 (n + 2) // 2 registers, two characters each, the first in the high byte
    arrays                    element after element

    predict block             inputs | UDINT status | UDINT version | outputs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fieldbus.modbus.protocol import ADDRESSES
from plc_bindings.data.database import Database, Symbol, Writable
from plc_bindings.data.model_area import FIRST_OF_CHANGE
from plc_bindings.data.models import Models, Served, call_leaves
from plc_bindings.data.types import BOOL, UDINT, Array, Leaf, Scalar, String, Struct
from plc_bindings.errors import BindingError

PREDICT: Final = 10_000
STATUS: Final = 40_000
MODELS: Final = "Models."
KINDS: Final = (
    ("", STATUS, 10_000),
    ("Tasks.", 41_000, 11_000),
    ("Links.", 50_000, 12_000),
    (MODELS, 55_000, 13_000),
)
"""How names begin, and the first register and coil of these: the specific ones last."""
ALIGNMENT: Final = 100
CHANGES: Final = 65_300
"""Of the newest change of the first model; downwards, so that a model that is added moves no other's."""
PER_CHANGE: Final = 200
"""Registers, with room for more."""


class MapError(BindingError):
    """A station has more values than Modbus has addresses."""


@dataclass(frozen=True, slots=True)
class Place:
    """One leaf of an area: its first register, its first coil if it is a BOOL, its bytes in the area."""

    name: str
    type: Scalar | String | Array
    area: int
    offset: int
    register: int
    coil: int | None
    unit: str = ""

    @property
    def count(self) -> int:
        """Registers."""
        return registers(self.type)


@dataclass(frozen=True, slots=True)
class Block:
    """A model's predict block. `inputs` and `result` are first registers, `end` is behind the last."""

    served: Served
    inputs: int
    result: int
    end: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the exported map. `coil` is None for what is no BOOL."""

    name: str
    register: int
    count: int
    coil: int | None
    type: str
    access: str
    unit: str = ""


def registers(type_: Scalar | String | Array | Struct) -> int:
    """How many registers a value takes."""
    match type_:
        case Scalar():
            return max(1, type_.size // 2)
        case String():
            return (type_.size + 1) // 2
        case Array():
            return type_.count * registers(type_.element)
        case Struct():
            return sum(registers(field.type) for field in type_.fields)


class RegisterMap:
    """Addresses of all symbols, and a predict block for each model.

    `left_out` says which models have none, and why: they are too large, or take nothing; `unplaced`, whose change has none.

    Raises:
        MapError: tags or other values do not fit.
    """

    def __init__(self, database: Database, models: Models) -> None:
        self.database = database
        kinds = ("Tags.", *(prefix for prefix, _, _ in KINDS[1:]))
        groups: dict[str, list[Symbol]] = {prefix: [] for prefix in ("", *kinds)}
        for symbol in database.symbols:
            groups[next((prefix for prefix in kinds if symbol.name.startswith(prefix)), "")].append(symbol)
        places = list(_places(groups["Tags."], 0, 0, 1, (PREDICT, KINDS[0][2])))
        register = coil = 0
        for prefix, first, first_coil in KINDS:
            register, coil = max(register, first), max(coil, first_coil)
            for place in _places(groups[prefix], register, coil, ALIGNMENT, (ADDRESSES, ADDRESSES)):
                places.append(place)
                register = place.register + place.count
                coil += place.count if place.coil is not None else 0
        changes, self.unplaced = _changes(groups[MODELS], register, coil)
        places += changes
        self.places = tuple(places)
        self.blocks, self.left_out = _blocks(models)

    def block(self, model: str) -> Block | None:
        """A model's predict block."""
        return next((block for block in self.blocks if block.served.name == model), None)

    def rows(self, writable: Writable | None = None) -> list[Row]:
        """The map, in the order of the registers; without `writable` no symbol is."""
        found = [self._row(place, writable) for place in self.places]
        found += [row for block in self.blocks for row in block_rows(block)]
        return sorted(found, key=lambda row: row.register)

    def columns(self) -> dict[str, tuple[str, str]]:
        """Name -> (registers, coils) as text: `("40000-40003", "")`."""
        found = {}
        for place in self.places:
            coils = place.type.count if isinstance(place.type, Array) else 1
            coil = "" if place.coil is None else _span(place.coil, coils)
            found[place.name] = (_span(place.register, place.count), coil)
        rows = (row for block in self.blocks for row in block_rows(block))
        return found | {row.name: (_span(row.register, row.count), "") for row in rows}

    def _row(self, place: Place, writable: Writable | None) -> Row:
        may = writable is not None and writable.allows(place.area, place.offset, place.type.size)
        access = "write" if may else "read"
        return Row(place.name, place.register, place.count, place.coil, place.type.name, access, place.unit)


def is_bool(type_: Scalar | String | Array) -> bool:
    """Has it coils?"""
    return type_ == BOOL or (isinstance(type_, Array) and type_.element == BOOL)


def _places(
    symbols: Sequence[Symbol], register: int, coil: int, alignment: int, ends: tuple[int, int]
) -> Iterator[Place]:
    for symbol in symbols:
        register = -(-register // alignment) * alignment
        for name, leaf in _parts(symbol)[0]:
            has_coils = is_bool(leaf.type)
            yield Place(name, leaf.type, symbol.area, leaf.offset, register, coil if has_coils else None, leaf.unit)
            register += registers(leaf.type)
            coil += registers(leaf.type) if has_coils else 0
        if register > ends[0] or coil > ends[1]:
            raise MapError(
                f"{symbol.name} would lie beyond register {ends[0] - 1} or coil {ends[1] - 1}; "
                "move values of its kind to another station, or serve them over ADS alone"
            )


def _parts(symbol: Symbol) -> tuple[list[tuple[str, Leaf]], list[tuple[str, Leaf]]]:
    """(what lies where values of its kind do, of a model what belongs to its newest change)."""
    found = list(symbol.leaves())
    is_model = symbol.name.startswith(MODELS)
    first = next((i for i, (_, leaf) in enumerate(found) if is_model and leaf.path == FIRST_OF_CHANGE), len(found))
    return found[:first], found[first:]


def _changes(models: Sequence[Symbol], end: int, coil: int) -> tuple[list[Place], tuple[str, ...]]:
    """Places of the newest changes of all models, none of which lies before `end`; of those that have none, why."""
    places: list[Place] = []
    unplaced = []
    for i, symbol in enumerate(models):
        register = CHANGES - i * PER_CHANGE
        _, parts = _parts(symbol)
        if parts and register < end:
            unplaced.append(
                f"{symbol.name}: its newest change has no registers, models have taken them: read it over ADS"
            )
            coil += sum(is_bool(leaf.type) for _, leaf in parts)
            continue
        for name, leaf in parts:
            has_coils = is_bool(leaf.type)
            places.append(
                Place(name, leaf.type, symbol.area, leaf.offset, register, coil if has_coils else None, leaf.unit)
            )
            register += registers(leaf.type)
            coil += has_coils
    return places, tuple(unplaced)


def _blocks(models: Models) -> tuple[tuple[Block, ...], tuple[str, ...]]:
    blocks, left_out, at = [], [], PREDICT
    for served in models.all:
        ends = served.signature
        result = at + registers(ends.inputs)
        end = result + 2 * registers(UDINT) + registers(ends.outputs)
        if not ends.inputs.size:
            left_out.append(f"model '{served.name}' takes no inputs: there is nothing to write that would start it")
        elif end > STATUS:
            left_out.append(
                f"model '{served.name}' needs {end - at} registers and only {STATUS - at} are left: call it over ADS"
            )
        else:
            blocks.append(Block(served, at, result, end))
            at = -(-end // ALIGNMENT) * ALIGNMENT
    return tuple(blocks), tuple(left_out)


def block_rows(block: Block) -> Iterator[Row]:
    """The values of a predict block, in the order of their registers."""
    at = block.inputs
    for name, leaf, access in call_leaves(block.served):
        yield Row(name, at, registers(leaf.type), None, leaf.type.name, access)
        at += registers(leaf.type)


def _span(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first}-{first + count - 1}"
