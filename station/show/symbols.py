"""What PLC clients see of a station, as rows: `rt-engine symbols`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

from plc_bindings.data.models import call_leaves
from rt_native.text import in_cell
from station.file.reading import read_station
from station.servers import Columns, ServerTable, server_tables
from station.wiring.parts import build
from station.wiring.plc_side import plc_side_at_rest

Row = dict[str, str]
"""One named value: heading -> text. Empty: the station has no server of that kind."""
PLAIN = ("symbol", "type", "unit", "access", "bytes", "comment")
"""What every value has."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The rows, and what a person should know about them. `servers`: where each is; `columns`: of their kinds."""

    rows: list[Row]
    remarks: tuple[str, ...]
    servers: tuple[str, ...]
    columns: tuple[Columns, ...]


def of_station(path: Path) -> Listed:
    """What clients of a station's servers see.

    Raises:
        StationFileError: the file cannot be used.
    """
    file = read_station(path)
    side = plc_side_at_rest(file, build(file))
    database, models = side.offer.database, side.offer.models
    tables = file.config.servers.values()
    writable = [database.writable(table.writable) for table in tables]
    remarks = [] if writable else ["no client can reach these: the station has no [servers.NAME]"]
    rows = []
    for symbol in database.symbols:
        for name, leaf in symbol.leaves():
            may = any(one.allows(symbol.area, leaf.offset, leaf.type.size) for one in writable)
            cells = (name, leaf.type.name, leaf.unit, "write" if may else "read", str(leaf.type.size), leaf.comment)
            rows.append(dict(zip(PLAIN, cells, strict=True)))
    for served in models.all if writable else ():
        for name, leaf, _ in call_leaves(served):
            rows.append(dict(zip(PLAIN, (name, leaf.type.name, "", "call", str(leaf.type.size), ""), strict=True)))
    kinds: tuple[type[ServerTable], ...] = tuple(map(type, tables)) or server_tables()[:1]
    by_columns = {kind.columns: kind for kind in kinds if kind.columns}
    for columns, kind in by_columns.items():
        listing = kind.listing(database, models)
        remarks += listing.remarks
        for row in rows:
            row.update(zip(columns.names, listing.places.get(row["symbol"], ("",) * len(columns.names)), strict=True))
    shown = tuple(columns for columns in all_columns() if columns in by_columns)
    servers = tuple(f"server {name}: {table.place()}" for name, table in file.config.servers.items())
    return Listed([{h: row.get(h, "") for h in headings()} for row in rows], tuple(remarks), servers, shown)


@cache
def all_columns() -> tuple[Columns, ...]:
    """Those of all kinds of servers, in their order."""
    return tuple(dict.fromkeys(table.columns for table in server_tables() if table.columns))


@cache
def headings() -> tuple[str, ...]:
    """Of all columns, whatever servers a station has: who reads the list finds each at the same place."""
    return tuple(chain.from_iterable((*_before(heading), heading) for heading in PLAIN))


def _before(heading: str) -> Iterable[str]:
    return chain.from_iterable(columns.names for columns in all_columns() if columns.before == heading)


def to_csv(found: Iterable[Row]) -> str:
    """The rows with a heading, as RFC 4180 says."""
    text = io.StringIO()
    writer = csv.DictWriter(text, headings())
    writer.writeheader()
    writer.writerows({heading: in_cell(text) for heading, text in row.items()} for row in found)
    return text.getvalue()
