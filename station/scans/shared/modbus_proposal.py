"""A station file for a Modbus device that was scanned: links, and tags to choose from. Every tag is an input.

[links.device]     how it is reached, and how it has to be treated; one for all units, as one line leads to them
[tags]             the places of the value that was looked for; or a tag for each readable block
                   what there is beyond that: as comments
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

from fieldbus.modbus.scan.blocks import BIT_TABLES, Table
from fieldbus.modbus.scan.values import Place, apart, are_twins
from rt_native.text import visible
from station.links.modbus import ModbusRtuLink, ModbusTcpLink
from station.scans.shared.modbus_results import Device, Hit, Unit
from station.scans.shared.modbus_target import PORT, Tcp
from station.scans.shared.proposed import head_of, text_of_file
from station.scans.shared.toml_text import inline, text_of
from station.terms.tables import NAME_PATTERN

MOST_READ: Final = 500
"""Addresses of a unit that are proposed to be read every cycle; more as comments."""
LONGEST: Final = 2000
"""Values of a tag."""
MOST_LINES: Final = 40
OTHERS: Final = 10
_CYCLES_MS: Final = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_USUAL_MS: Final = 10
_USUAL_LINE_MS: Final = 50
_USUAL_ANSWER_S: Final = 0.1


def proposal(device: Device, command: str, name: str, unit: str) -> str:
    """The station file's text.

    Args:
        device: what was found; something of it can be read.
        command: by which it was found, for people.
        name: of the tag for the value that was looked for.
        unit: of that value.
    """
    chosen = [hit for number in dict.fromkeys(h.unit for h in device.hits) for hit in _apart(device, number)]
    order = next((h.found.place.order for h in chosen if h.found.place.width > 1), "ABCD")
    wanted = {chosen[0].unit} if chosen else {u.number for u in device.units if u.readable}
    units = [u for u in device.units if u.number in wanted]
    requests = 1 if chosen else sum(map(_requests, units))
    lines = [
        *head_of(command),
        *(line for one in units for line in _about(one)),
        "[links.device]",
        *_link(device, units[0], order),
        *_pace(device, requests),
        *_manners(device),
        "",
        "[tags]",
    ]
    if chosen:
        lines += _value_tags(chosen, name, unit, order)
        lines += _twins(device, chosen[0])
        lines += ["", *(line for one in units for line in _readable(one))]
    else:
        for one in units:
            lines += _block_tags(one, "" if one is units[0] else f"unit {one.number} ")
    return text_of_file(lines)


def is_name(text: str) -> bool:
    """May a tag be called so?"""
    return re.match(NAME_PATTERN, text) is not None


def _apart(device: Device, number: int) -> list[Hit]:
    return [Hit(number, found) for found in apart([hit.found for hit in device.hits if hit.unit == number])]


def _about(unit: Unit) -> Iterator[str]:
    if str(unit.identity):
        yield f"# unit {unit.number}: {visible(str(unit.identity))}"


def _link(device: Device, unit: Unit, order: str) -> Iterator[str]:
    if isinstance(device.target, Tcp):
        yield 'type = "modbus-tcp"'
        yield f"host = {text_of(device.target.host)}"
        if device.target.port != PORT:
            yield f"port = {device.target.port}"
    else:
        yield 'type = "modbus-rtu"'
        yield f"device = {text_of(device.target.device)}"
    for key, value in zip(("baudrate", "parity", "stopbits"), device.settings or (), strict=False):
        yield f"{key} = {text_of(value)}"
    if unit.number != 1:
        yield f"unit = {unit.number}"
    if order != "ABCD":
        yield f"order = {text_of(order)}"


def _pace(device: Device, requests: int) -> Iterator[str]:
    """A cycle in which all can be read, where the usual one is too short: measured, half as much again."""
    m, is_line = device.manners, device.settings is not None
    needed_ms = 1500 * requests * (m.usual_s + m.pause_s)
    cycle = next((ms for ms in _CYCLES_MS if ms >= needed_ms), 10_000)
    if cycle > (_USUAL_LINE_MS if is_line else _USUAL_MS):
        yield f'cycle = "{cycle} ms"'
        yield f'timeout = "{max(1000, 5 * cycle)} ms"'
    if is_line and 2 * m.usual_s > _USUAL_ANSWER_S:
        yield f'answer = "{math.ceil(20 * m.usual_s) * 100} ms"'


def _requests(unit: Unit) -> int:
    return sum(math.ceil(min(table.count, MOST_READ) / table.most) for table in unit.readable)


def _manners(device: Device) -> Iterator[str]:
    """Keys of the link for how the device has to be treated; those that its table does not have are comments."""
    m = device.manners
    keys = {
        "max_read": m.max_read,
        "max_bits": m.max_bits,
        "request_pause": _duration(m.pause_s),
        "connect_pause": _duration(math.ceil(m.deaf_s * 10) / 10),
        "any_transaction_id": m.any_transaction_id,
        "any_unit": m.any_unit,
        "echo": m.echo,
    }
    fields = (ModbusTcpLink if isinstance(device.target, Tcp) else ModbusRtuLink).model_fields
    known = {field.alias or key for key, field in fields.items()}
    for key, value in keys.items():
        if value:
            yield f"{'' if key in known else '# '}{key} = {text_of(value)}"


def _value_tags(hits: list[Hit], name: str, unit: str, order: str) -> Iterator[str]:
    """The likeliest place; the others as comments."""
    yield f"{name} = {_tag(hits[0].found.place, unit, order)}"
    mine = [hit for hit in hits[1:] if hit.unit == hits[0].unit]
    if mine:
        yield "# It also lies here; change the value and look again (--again) to see which one follows:"
    for number, hit in enumerate(mine[:OTHERS], 2):
        yield f"# {name}_{number} = {_tag(hit.found.place, unit, order)}"
    if len(mine) > OTHERS:
        yield f"# and {len(mine) - OTHERS} more"


def _twins(device: Device, chosen: Hit) -> Iterator[str]:
    """The float of the other word order whose first half is the same register: no change of the value tells which it is."""
    for hit in device.hits:
        if hit.unit == chosen.unit and are_twins(hit.found.place, chosen.found.place):
            place = hit.found.place
            yield f"# {place.type} at {place.table} {place.register} {place.order} shares its first half with it, and is always near."
            yield "# Which of them it is, more digits of --value tell, or the orders of the values beside it."


def _tag(place: Place, unit: str, order: str) -> str:
    own = f" {place.order}" if place.order != (order if place.width > 1 else "ABCD") else ""
    if place.width == 1 and not own and order in ("BADC", "DCBA") and place.type != "bool":
        own = " ABCD"
    keys = {
        "type": place.type,
        "address": f"{place.table} {place.register}{own}",
        **({"scale": place.scale} if place.scale != 1.0 else {}),
        **({"offset": place.offset} if place.offset else {}),
        **({"unit": unit} if unit else {}),
    }
    return inline(keys)


def _block_tags(unit: Unit, prefix: str) -> Iterator[str]:
    """A tag for each block, until enough is read every cycle; the first is cut where that is too much already."""
    left = MOST_READ
    pieces = [(table, start, count) for table in unit.readable for start, count in _pieces(table)]
    for table, start, count in pieces[:MOST_LINES]:
        taken = count if count <= left else left if left == MOST_READ else 0
        left = left - count if count <= left else 0
        yield ("" if taken else "# ") + _block_tag(unit, prefix, table.name, start, taken or count)
        if 0 < taken < count:
            yield f"#   {table.name} can be read up to {start + count - 1}"
    if len(pieces) > MOST_LINES:
        yield f"# and {len(pieces) - MOST_LINES} more blocks: --addresses says where to look"


def _block_tag(unit: Unit, prefix: str, table: str, start: int, count: int) -> str:
    keys = {
        "type": "bool" if table in BIT_TABLES else "uint16",
        "address": f"{prefix}{table} {start}",
        **({"count": count} if count > 1 else {}),
    }
    return f"{f'u{unit.number}_' if prefix else ''}{table}_{start} = {inline(keys)}"


def _pieces(table: Table) -> Iterator[tuple[int, int]]:
    for block in table.blocks:
        for start in range(block.start, block.end, LONGEST):
            yield start, min(LONGEST, block.end - start)


def _readable(unit: Unit) -> Iterator[str]:
    yield f"# What unit {unit.number} has:"
    for table in unit.readable:
        blocks = [f"{b.start}..{b.end - 1}" if len(b.values) > 1 else str(b.start) for b in table.blocks[:MOST_LINES]]
        more = ", ..." if len(table.blocks) > MOST_LINES else ""
        yield f"#   {table.name}: {', '.join(blocks)}{more}"


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)} ms" if seconds else ""
