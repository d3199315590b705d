"""The places where a value may lie, kept in a file between two runs: JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fieldbus.modbus.scan.blocks import TABLES, Block, Table
from fieldbus.modbus.scan.units import Units
from fieldbus.modbus.scan.values import ORDERS, TYPES, Found, Place
from station.errors import ScanError
from station.scans.shared.modbus_results import Device, Hit, Manners, Unit
from station.scans.shared.modbus_target import Target

FORMAT = "rt-engine scan modbus 1"


def keep(device: Device, path: Path) -> None:
    """Write them; raises `OSError`."""
    units = {hit.unit: sorted({h.found.place.table for h in device.hits if h.unit == hit.unit}) for hit in device.hits}
    kept = {
        "format": FORMAT,
        "where": str(device.target),
        "settings": device.settings,
        "manners": asdict(device.manners),
        "units": [
            {"number": unit.number, "tables": [_table(t) for t in unit.tables if t.name in units[unit.number]]}
            for unit in device.units
            if unit.number in units
        ],
        "places": [{"unit": hit.unit, **asdict(place)} for hit in device.hits for place in hit.found.places],
    }
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _table(table: Table) -> dict[str, Any]:
    rows = [[block.start, len(block.values)] for block in table.blocks]
    return {"name": table.name, "most": table.most, "is_limited": table.is_limited, "blocks": rows}


def kept(path: Path, target: Target) -> Device:
    """What was kept, without values.

    Raises:
        ScanError: the file is none, or of another device.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(found["format"])
        device = _device(found, target)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ScanError(f"{path} is not what --again keeps; name a file that is not there, and it is made") from error
    if found["where"] != str(target):
        raise ScanError(f"{path} has places of {found['where']}, not of {target}; name another file")
    return device


def _device(found: dict[str, Any], target: Target) -> Device:
    units = tuple(Unit(int(u["number"]), tuple(_kept_table(t) for t in u["tables"])) for u in found["units"])
    hits = []
    for entry in found["places"]:
        place = Place(**{key: value for key, value in entry.items() if key != "unit"})
        if place.table not in TABLES or place.type not in (*TYPES, "bool") or place.order not in ORDERS:
            raise ValueError(place)
        hits.append(Hit(int(entry["unit"]), Found(place, 0.0)))
    settings = found["settings"] and (int(found["settings"][0]), str(found["settings"][1]), int(found["settings"][2]))
    numbers = Units(tuple(unit.number for unit in units))
    return Device(target, settings, units, numbers, Manners(**found["manners"]), tuple(hits))


def _kept_table(found: dict[str, Any]) -> Table:
    blocks = tuple(Block(int(start), (0,) * int(count)) for start, count in found["blocks"])
    return Table(str(found["name"]), blocks, int(found["most"]), bool(found["is_limited"]))
