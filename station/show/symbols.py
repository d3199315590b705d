"""What PLC clients see of a station, as rows: `rt-engine symbols`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from plc_bindings.ads.groups import AREA, PREDICT
from plc_bindings.data.database import Database, Writable
from plc_bindings.data.models import Served
from plc_bindings.data.types import identifier
from plc_bindings.modbus.map import RegisterMap, call_leaves
from station.file.config import AdsServerTable
from station.file.reading import read_station
from station.wiring.parts import build
from station.wiring.plc_side import plc_side_at_rest
from station.wiring.server_places import place_of


@dataclass(frozen=True, slots=True)
class Row:
    """One named value. Empty: the station has no server of that kind."""

    symbol: str
    type: str
    unit: str
    access: str
    ads_group: str
    ads_offset: str
    bytes: int
    register: str
    coil: str
    comment: str


HEADINGS = tuple(field.name for field in fields(Row))


def rows(database: Database, writable: Sequence[Writable], registers: dict[str, tuple[str, str]]) -> list[Row]:
    """One row for each scalar, string and array of scalars.

    Args:
        database: all symbols.
        writable: what each server lets clients write.
        registers: name -> (registers, coils) of the Modbus map.
    """
    found = []
    for symbol in database.symbols:
        for name, leaf in symbol.leaves():
            may = any(one.allows(symbol.area, leaf.offset, leaf.type.size) for one in writable)
            register, coil = registers.get(name, ("", ""))
            found.append(
                Row(
                    name,
                    leaf.type.name,
                    leaf.unit,
                    "write" if may else "read",
                    f"0x{AREA + symbol.area:08X}",
                    str(leaf.offset),
                    leaf.type.size,
                    register,
                    coil,
                    leaf.comment,
                )
            )
    return found


@dataclass(frozen=True, slots=True)
class Listed:
    """The rows, and what a person should know about them. `servers`: where each server is."""

    rows: list[Row]
    remarks: tuple[str, ...]
    servers: tuple[str, ...]


def of_station(path: Path) -> Listed:
    """What clients of a station's servers see.

    Raises:
        StationFileError: the file cannot be used.
    """
    file = read_station(path)
    parts = build(file)
    side = plc_side_at_rest(file, parts)
    tables = file.config.servers.values()
    writable = [side.database.writable(table.writable) for table in tables]
    remarks = [] if writable else ["no client can reach these: the station has no [servers.NAME]"]
    registers: dict[str, tuple[str, str]] = {}
    if any(not isinstance(table, AdsServerTable) for table in tables):
        registers_of = RegisterMap(side.database, side.models)
        registers = registers_of.columns()
        remarks += registers_of.left_out
    calls = [row for served in side.models.all for row in _calls(served, registers)] if writable else []
    servers = tuple(f"server {name}: {place_of(table)}" for name, table in file.config.servers.items())
    found = [*rows(side.database, writable, registers), *calls]
    if writable and not any(isinstance(table, AdsServerTable) for table in tables):
        found = [replace(row, ads_group="", ads_offset="") for row in found]
    return Listed(found, tuple(remarks), servers)


def _calls(served: Served, registers: dict[str, tuple[str, str]]) -> Iterator[Row]:
    """What a call takes and gives: over Modbus registers, over ADS the two halves of one ReadWrite."""
    group, number = f"0x{PREDICT:08X}", str(served.number)
    for leaf, _ in call_leaves(served):
        name = f"Models.{identifier(served.name)}.Predict.{leaf.path}"
        register, coil = registers.get(name, ("", ""))
        yield Row(name, leaf.type.name, "", "call", group, number, leaf.type.size, register, coil, "")


def to_csv(found: Iterable[Row]) -> str:
    """The rows with a heading, as RFC 4180 says."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADINGS)
    writer.writerows(astuple(row) for row in found)
    return text.getvalue()
